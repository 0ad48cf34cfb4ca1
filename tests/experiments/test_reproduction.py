"""Reproduction of recorded runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy
import optuna
import pytest

from experiments import parse_spec, reproduction, run_sweep
from experiments.reproduction import reproduce_run
from experiments.tracking.queries import find_run
from experiments.tracking.store import Store, open_store, tracking_uri
from experiments.tracking.trial_results import read_epochs
from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import DataError, ModelError, NotFoundError
from mnist_core.metrics import EpochMetrics, Metric
from search.executors.base import InProcessExecutor
from search.trial import TrialState
from tests.helpers.stores import as_recorded_before_the_crossentropy, model_file
from tests.helpers.sweep_texts import SMALL
from tests.helpers.sweeps import Run, in_process

ABLE, FAILED = "mixed/trial-000", "mixed/trial-003"


def ignore(epoch: int, metrics: EpochMetrics) -> None:
    """Of no interest here."""


def test_a_run_is_reproduced_to_the_last_bit_and_nothing_is_recorded(finished_store: Store, small_npz: Path) -> None:
    run, epochs = find_run(finished_store, "small/0"), []
    done = reproduce_run(
        finished_store, run, DataSource(Origin.GIVEN, small_npz), lambda epoch, metrics: epochs.append(epoch)
    )
    assert done.is_identical
    assert done.again.history == done.recorded.history
    assert done.largest_difference == 0
    assert epochs == [1, 2, 3]
    assert list(done.differences) == []
    assert find_run(finished_store, "small/0") == run


def test_a_run_recorded_without_its_crossentropy_keeps_its_curves_and_is_reproduced(
    command: Run, finished_store: Store
) -> None:
    new = read_epochs(finished_store, find_run(finished_store, "small/0"))
    as_recorded_before_the_crossentropy(finished_store)
    old = read_epochs(finished_store, find_run(finished_store, "small/0"))
    assert old == tuple(replace(epoch, val_crossentropy=None) for epoch in new)
    assert len(old) == 3
    assert all(epoch.val_crossentropy for epoch in new)
    code, out, _ = command("reproduce", "small/0")
    assert code == 0
    (row,) = (line.split() for line in out.splitlines() if line.startswith("val_crossentropy"))
    assert len(row) == 5  # its name, "at that epoch", and the metric of the repetition alone


def test_both_results_and_changed_versions_are_shown(command: Run, finished_store: Store) -> None:
    run = find_run(finished_store, "small/1")
    sweep_id = run.tags["mlflow.parentRunId"]
    finished_store.client.set_tag(sweep_id, "version.numpy", "1.0.0")
    finished_store.client.delete_tag(sweep_id, "version.optuna")
    # A fourth epoch that was not trained.
    for metric in Metric:
        finished_store.client.log_metric(run.run_id, metric.value, 0.5, step=4)
    code, out, _ = command("reproduce", "small/1")
    assert code == 1
    rows = [line.split() for line in out.splitlines()]
    assert ["epochs", "4", "3"] in rows
    assert ["val_accuracy", "at", "that", "epoch", *[f"{run.value('val_accuracy'):.6f}"] * 2] in rows
    for line in (
        f"numpy: recorded with 1.0.0, now {numpy.__version__}",
        f"optuna: recorded with not recorded, now {optuna.__version__}",
        "largest difference of a weight: 0",
        "not the same",
    ):
        assert line in out.splitlines()


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_pruned_run_ends_where_it_was_pruned(
    schedule: str, small_npz: Path, store_at_hand: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both trainings in this process, which may have other threads than a worker.
    monkeypatch.setattr(reproduction, "LocalExecutor", lambda context, workers: InProcessExecutor(context))
    settings = ["trials=3", "sampler=random", "pruner=successive-halving"]
    training = ["training.epochs=4", f"training.schedule={schedule}"]
    runs = run_sweep(parse_spec(SMALL, settings + training), in_process(small_npz)).runs
    pruned = next(run for run in runs if run.state is TrialState.PRUNED)
    done = reproduce_run(open_store(tracking_uri()), pruned, DataSource(Origin.GIVEN, small_npz), ignore)
    assert 0 < len(done.again.history) < 4
    assert done.is_identical
    assert done.largest_difference == 0


def test_a_run_that_failed_has_no_result_to_reproduce(mixed_store: Store, whole_npz: Path) -> None:
    with pytest.raises(NotFoundError, match=rf"run {FAILED}: failed, with no result to reproduce"):
        reproduce_run(mixed_store, find_run(mixed_store, FAILED), DataSource(Origin.GIVEN, whole_npz), ignore)


def test_other_data_is_refused_with_both_digests(mixed_store: Store, other_npz: Path) -> None:
    with pytest.raises(DataError, match=r"other\.npz: not the data of this sweep: expected digest .*, received"):
        reproduce_run(mixed_store, find_run(mixed_store, ABLE), DataSource(Origin.GIVEN, other_npz), ignore)


def test_an_altered_model_is_refused(mixed_store: Store, whole_npz: Path) -> None:
    run = find_run(mixed_store, ABLE)
    with model_file(mixed_store, run).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="altered after it was logged"):
        reproduce_run(mixed_store, run, DataSource(Origin.GIVEN, whole_npz), ignore)
