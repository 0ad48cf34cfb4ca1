"""The first writes of a sweep: its name is unique, and an error leaves a sweep that can be resumed."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from experiments import parse_spec, resume_sweep, run_sweep
from experiments.tracking import queries, sweep_runs
from experiments.tracking.datasets import DataRecord, describe_data
from experiments.tracking.records import SweepRecord, SweepState, Tag
from experiments.tracking.store import Store, open_store, tracking_uri
from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import StoreError
from search.spec import SweepSpec
from search.sweep import EndReason
from tests.helpers.sweep_texts import SMALL
from tests.helpers.sweeps import in_process

ONE_TRIAL = SMALL.replace("trials = 4", "trials = 1")
SPEC = parse_spec(ONE_TRIAL)


@pytest.fixture
def data(small_npz: Path) -> DataRecord:
    return describe_data(DataSource(Origin.GIVEN, small_npz), SPEC)


@pytest.fixture
def store(store_at_hand: None) -> Store:
    return open_store(tracking_uri(), create=True)


@pytest.fixture
def server_store(server: str) -> Store:
    return open_store(server, create=True)


def begin(store: Store, data: DataRecord, name: str = "twin") -> SweepRecord:
    run_id = sweep_runs.begin_sweep(store, SPEC, name, data, workers=1).run_id
    (sweep,) = (sweep for sweep in queries.read_sweeps(store) if sweep.run_id == run_id)
    return sweep


def names_of(store: Store) -> list[str]:
    return sorted(sweep.name for sweep in queries.read_sweeps(store))


# Everything is imported before the start signal, so that both name their sweep at the same time.
BEGINNER = """
import sys
from pathlib import Path
from experiments import parse_spec
from experiments.tracking import sweep_runs
from experiments.tracking.datasets import describe_data
from experiments.tracking.store import open_store
from mnist_core.data.sources import DataSource, Origin
uri, text, data = sys.argv[1:]
spec, store = parse_spec(text), open_store(uri)
record = describe_data(DataSource(Origin.GIVEN, Path(data)), spec)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    sweep_runs.begin_sweep(store, spec, "twin", record, workers=1)
"""


@pytest.mark.fault
def test_processes_that_begin_sweeps_of_one_name_at_once_give_each_a_unique_name(store: Store, small_npz: Path) -> None:
    beginners = [
        subprocess.Popen(
            [sys.executable, "-c", BEGINNER, store.uri, SMALL, str(small_npz)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for beginner in beginners:
        assert beginner.stdout is not None
        assert beginner.stdout.readline() == "ready\n"
    for beginner in beginners:
        assert beginner.stdin is not None
        beginner.stdin.write("go\n")
        beginner.stdin.flush()
    for beginner in beginners:
        beginner.communicate()
    assert names_of(store) == ["twin", *(f"twin-{number}" for number in range(2, 7))]


@pytest.mark.server
def test_threads_that_begin_sweeps_on_a_server_at_once_give_each_a_unique_name(
    server_store: Store, data: DataRecord
) -> None:
    start = threading.Barrier(4)

    def race(_: int) -> str:
        start.wait()
        return begin(server_store, data).name

    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(race, range(4)))
    assert max(Counter(names).values()) == 1
    runs = queries.search_runs(server_store, f"tags.{Tag.KIND} = 'sweep'")
    assert all(run.info.run_name == run.data.tags[Tag.SWEEP] for run in runs)


@pytest.mark.server
@pytest.mark.parametrize("quicker", ["the one that looks first", "the one that looks last"])
def test_of_two_runs_that_were_created_with_one_name_one_keeps_it(
    quicker: str, server_store: Store, monkeypatch: pytest.MonkeyPatch, data: DataRecord
) -> None:
    wanted = quicker.replace(" ", "-")
    if quicker == "the one that looks last":
        # It begins between the other one's run and its look, and is done before that.
        real, others = sweep_runs.settle_name, []

        def after_another(*arguments: Any) -> str:
            monkeypatch.setattr(sweep_runs, "settle_name", real)
            monkeypatch.setattr(sweep_runs, "free_name", lambda store, name: name)
            others.append(begin(server_store, data, wanted).name)
            return real(*arguments)

        monkeypatch.setattr(sweep_runs, "settle_name", after_another)
        assert [begin(server_store, data, wanted).name, *others] == [f"{wanted}-2", wanted]
    else:
        # It has looked for a free name before the other one's run was there.
        assert begin(server_store, data, wanted).name == wanted
        monkeypatch.setattr(sweep_runs, "free_name", lambda store, name: name)
        assert begin(server_store, data, wanted).name == f"{wanted}-2"


def failing(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_an_error_at_the_beginning_closes_the_sweep_which_can_be_resumed(
    store: Store, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_text", failing)
        with pytest.raises(StoreError, match=r"beginning sweep small: .*Input/output error"):
            run_sweep(SPEC, in_process(small_npz))
    assert queries.find_sweep(store, "small").state is SweepState.FAILED
    result = resume_sweep("small", in_process(small_npz))
    assert (result.ending, result.sweep.state, len(result.runs)) == (EndReason.DONE, SweepState.FINISHED, 1)
    assert MlflowClient(store.uri).list_artifacts(result.sweep.run_id)


@pytest.mark.fault
def test_a_sweep_that_was_killed_after_its_first_write_is_resumed(store: Store, small_npz: Path) -> None:
    killed = BEGINNER.replace("print(", "import os\nMlflowClient.log_param = lambda *arguments: os._exit(9)\nprint(", 1)
    text = "from mlflow import MlflowClient\n" + killed
    ended = subprocess.run(
        [sys.executable, "-c", text, store.uri, ONE_TRIAL, str(small_npz)], input=b"go\n", check=False
    )
    assert ended.returncode == 9
    left = queries.find_sweep(store, "twin")
    assert left.state is SweepState.RUNNING
    assert MlflowClient(store.uri).list_artifacts(left.run_id) == []
    assert resume_sweep("twin", in_process(small_npz)).ending is EndReason.DONE
    assert names_of(store) == ["twin"]


def twice(real: Callable[..., Any]) -> Callable[..., Any]:
    """As MLflow's client does with a request whose reply was lost."""

    def create_run(self: MlflowClient, *arguments: Any, **settings: Any) -> Any:
        real(self, *arguments, **settings)
        return real(self, *arguments, **settings)

    return create_run


@pytest.mark.parametrize("place", ["store", pytest.param("server_store", marks=pytest.mark.server)])
def test_a_repeated_request_leaves_one_sweep(
    place: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, data: DataRecord
) -> None:
    where: Store = request.getfixturevalue(place)
    monkeypatch.setattr(MlflowClient, "create_run", twice(MlflowClient.create_run))
    assert begin(where, data, "repeated").name == "repeated"
    assert [name for name in names_of(where) if name.startswith("repeated")] == ["repeated"]


def test_a_run_whose_id_was_lost_with_the_reply_is_closed(
    store: Store, monkeypatch: pytest.MonkeyPatch, data: DataRecord
) -> None:
    real = MlflowClient.create_run

    def losing(self: MlflowClient, *arguments: Any, **settings: Any) -> None:
        real(self, *arguments, **settings)
        raise MlflowException("the reply was lost")

    monkeypatch.setattr(MlflowClient, "create_run", losing)
    with pytest.raises(StoreError, match="the reply was lost"):
        begin(store, data, "lost")
    assert [(sweep.name, sweep.state) for sweep in queries.read_sweeps(store)] == [("lost", SweepState.FAILED)]


def test_resuming_deletes_the_duplicates_of_a_repeated_request(
    store: Store, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", twice(MlflowClient.create_run))
        patch.setattr(sweep_runs, "_delete_duplicates", failing)
        with pytest.raises(StoreError):
            run_sweep(SPEC, in_process(small_npz))
    assert names_of(store) == ["small", "small"]
    assert resume_sweep("small", in_process(small_npz)).ending is EndReason.DONE
    assert names_of(store) == ["small"]


def test_a_sweep_file_that_is_too_long_for_a_tag_is_read_from_its_artifact(store: Store, data: DataRecord) -> None:
    points = tuple({"hidden_size": size, "learning_rate": 0.001} for size in range(8, 200))
    spec: SweepSpec = SPEC.with_points("long", points)
    run_id = sweep_runs.begin_sweep(store, spec, "long", data, workers=1).run_id
    sweep = queries.find_sweep(store, run_id)
    assert sweep.tags[Tag.SPEC] == ""
    assert queries.read_recorded_spec(store, sweep) == spec
