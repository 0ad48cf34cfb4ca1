"""Worker processes that are forked from a process which has only imported TensorFlow."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from multiprocessing import Pipe, forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from search.executors.base import Ended, Finished
from search.executors.local import LocalExecutor
from search.executors.processes import ProcessStarter, can_fork
from search.testing.values import context_of, small_trial
from search.training_imports import UNUSED_IN_TRAINING

pytestmark = pytest.mark.skipif(not can_fork(), reason="workers are spawned here")


def describe(connection: Connection) -> None:
    """Send what a test asks of a worker process."""
    connection.send(
        {
            "environment": dict(os.environ),
            "first environment": psutil.Process().environ(),
            "folder": os.getcwd(),  # noqa: PTH109
            "random": (random.random(), np.random.random()),
            "modules": {"tensorflow", "keras", *UNUSED_IN_TRAINING} & sys.modules.keys(),
            "parent": os.getppid(),
        }
    )


def use_what_was_left_out(connection: Connection) -> None:
    """Use libraries that Keras was imported without, as a model of the user's own may."""
    import matplotlib.pyplot as plt
    import pandas as pd
    from scipy.stats import norm
    from sklearn.linear_model import LinearRegression

    fitted = LinearRegression().fit(pd.DataFrame({"x": [0.0, 1.0]}), [1.0, 3.0])
    connection.send({"slope": fitted.coef_[0], "median": norm.ppf(0.5), "lines": len(plt.plot([0, 1]))})


def ask(starter: ProcessStarter, target: Callable[[Connection], None] = describe) -> dict[str, Any]:
    ours, theirs = Pipe()
    process = starter.start(target, theirs)
    theirs.close()
    answer: dict[str, Any] = ours.recv()
    process.join()
    assert process.exitcode == 0
    return answer


def test_a_worker_has_imported_tensorflow_before_it_starts_and_is_no_child_of_the_driver() -> None:
    answer = ask(ProcessStarter(()))
    assert answer["modules"] == {"tensorflow", "keras"}
    assert answer["parent"] != os.getpid()


def test_a_worker_can_import_the_libraries_that_keras_was_imported_without() -> None:
    answer = ask(ProcessStarter(()), use_what_was_left_out)
    assert answer == {"slope": pytest.approx(2.0), "median": 0.0, "lines": 1}


def test_a_worker_has_the_environment_and_the_folder_that_the_driver_has_when_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_IN_THIS_TEST", "1")
    monkeypatch.delenv("PATH")
    answer = ask(ProcessStarter(()))
    assert answer["environment"]["SET_IN_THIS_TEST"] == "1"
    assert "PATH" not in answer["environment"]
    assert Path(answer["folder"]) == tmp_path


def test_workers_draw_different_random_numbers() -> None:
    starter = ProcessStarter(())
    (first, second), (third, fourth) = (ask(starter)["random"] for _ in range(2))
    assert first != third
    assert second != fourth


def test_a_variable_that_the_fork_server_has_is_withheld_by_spawning() -> None:
    assert ProcessStarter(()).forks
    starter = ProcessStarter(["HOME"])
    assert not starter.forks
    answer = ask(starter)
    assert "HOME" not in answer["environment"]
    assert "HOME" not in answer["first environment"]


def test_a_worker_is_spawned_where_the_socket_of_the_fork_server_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = ProcessStarter(())
    assert ask(starter)["parent"] != os.getpid()
    monkeypatch.setattr(forkserver._forkserver, "_forkserver_address", str(tmp_path / "deleted"))  # type: ignore[attr-defined]
    for _ in range(2):
        assert ask(starter)["parent"] == os.getpid()


def test_a_fork_server_that_was_killed_is_started_again(small_npz: Path, tmp_path: Path) -> None:
    ask(ProcessStarter(()))
    executor = LocalExecutor(context_of(small_npz, tmp_path), workers=1)
    try:
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]
        executor.submit(small_trial(0, epochs=1))
        ended: list[Ended] = []
        for _ in range(600):
            ended += executor.poll(lambda *_: True, timeout=0.2)
            if ended:
                break
    finally:
        executor.close()
    assert [(end.trial.number, type(end)) for end in ended] == [(0, Finished)]
