"""Tests of the process that explains: its answers, its end, and its start after that. Its model is a stand-in."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from mnist_core.errors import ModelError
from serving.explainer import ExplainerProcess

STAND_IN = """
import os, sys, time
import numpy as np
from mnist_core.errors import ModelError
from mnist_core.models.explanation import PredictionExplanation
from serving.explainer import answer

class Explainer:
    def explain(self, image):
        print("a line of a library")
        if image[0, 0] == 255:
            os._exit(1)
        if image[0, 0] == 254:
            time.sleep(90)
        if image[0, 0] == 253:
            raise ValueError("no gradient\\nof this layer")
        return PredictionExplanation(np.zeros(10), np.array([os.getpid()]), image + 1.0)

def load(content):
    if content == b"broken":
        raise ModelError("no archive")
    return Explainer()

answer(load, idle_seconds=float(sys.argv[1]))
"""
IMAGE = np.arange(784, dtype=np.uint8).reshape(28, 28) // 4
ENDS, HANGS, FAILS = (np.full((28, 28), level, np.uint8) for level in (255, 254, 253))

Start = Callable[..., ExplainerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def start(content: bytes = b"model", idle_seconds: float = 60) -> ExplainerProcess:
        return ExplainerProcess(content, [sys.executable, "-c", STAND_IN, str(idle_seconds)])

    return start


def pid_of(explainer: ExplainerProcess) -> int:
    return int(explainer.explain(IMAGE).activations[0])


def test_one_process_answers_all_explanations(start: Start) -> None:
    explainer = start()
    np.testing.assert_array_equal(explainer.explain(IMAGE).saliency, IMAGE + 1.0)
    assert pid_of(explainer) == pid_of(explainer) != os.getpid()


def test_threads_get_the_answers_to_their_own_images(start: Start) -> None:
    explainer, wrong = start(), []

    def explain(level: int) -> None:
        image = np.full((28, 28), level, np.uint8)
        for _ in range(20):
            if not (explainer.explain(image).saliency == level + 1).all():
                wrong.append(level)

    threads = [threading.Thread(target=explain, args=(level,)) for level in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_process_that_was_killed_is_started_again(start: Start) -> None:
    explainer = start()
    first = pid_of(explainer)
    os.kill(first, signal.SIGKILL)
    assert pid_of(explainer) != first


def test_a_process_that_nobody_asks_ends_and_the_next_explanation_starts_another(start: Start) -> None:
    explainer = start(idle_seconds=0.5)
    first = pid_of(explainer)
    wait_for_end(first)
    assert pid_of(explainer) != first


def test_an_image_that_ends_the_process_each_time_is_an_error(start: Start) -> None:
    explainer = start()
    with pytest.raises(ModelError, match="their process ended 2 times before it answered"):
        explainer.explain(ENDS)
    assert pid_of(explainer)


def test_a_model_that_cannot_be_loaded_is_an_error(start: Start) -> None:
    with pytest.raises(ModelError, match="no archive"):
        start(b"broken").explain(IMAGE)


def test_an_error_of_a_library_is_named(start: Start) -> None:
    with pytest.raises(ModelError, match=r"^ValueError: no gradient$"):
        start().explain(FAILS)


def test_a_process_that_does_not_answer_is_ended(start: Start) -> None:
    explainer = start()
    first = pid_of(explainer)
    os.kill(first, signal.SIGSTOP)
    explainer._limit_seconds = 0.01
    with pytest.raises(ModelError, match="their process ended 2 times before it answered"):
        explainer.explain(IMAGE)
    wait_for_end(first)
    explainer._limit_seconds = 60
    assert pid_of(explainer)


def test_the_process_ends_at_once_with_the_service_though_it_explains(start: Start) -> None:
    explainer, errors = start(), []
    child = pid_of(explainer)

    def explain() -> None:
        try:
            explainer.explain(HANGS)
        except ModelError as error:
            errors.append(str(error))

    thread = threading.Thread(target=explain)
    thread.start()
    explainer.close()
    thread.join(60)
    assert errors == ["explanations: the service ends"]
    wait_for_end(child)


def test_a_process_that_hangs_does_not_outlive_a_service_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STAND_IN, "0.5"], stdin=subprocess.PIPE) as child:
        assert child.stdin
        for value in (b"model", HANGS):
            pickle.dump(value, child.stdin)
        child.stdin.close()
        assert child.wait(60) == 0


def test_modules_in_the_working_folder_are_not_imported(tmp_path: Path) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit(3)")
    command = ExplainerProcess(b"model")._command
    assert subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, check=False).returncode == 0


def test_the_process_ends_with_its_explainer(start: Start) -> None:
    explainer = start()
    child = pid_of(explainer)
    del explainer
    wait_for_end(child)


def test_the_process_ends_where_the_service_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STAND_IN, "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin
        child.stdin.close()  # as the system does for a process that was killed
        assert child.wait(60) == 0


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended, or is left to be collected by its parent."""
    for _ in range(1000):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} goes on")
