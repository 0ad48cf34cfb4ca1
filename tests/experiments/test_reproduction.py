"""Runs trained again from what was recorded of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Run, Watcher, here
from small_sweeps import SMALL
from stores import model_file

from experiments import parse_spec, run_sweep
from experiments.history import find_run
from experiments.reproduction import reproduce
from experiments.store import Store, open_store, tracking_uri
from mnist_core.errors import DataError, ModelError, NotFoundError
from mnist_core.metrics import EpochMetrics
from mnist_core.sources import DataSource, Origin
from search.trial import TrialState

ABLE, FAILED = "contest/trial-000", "contest/trial-003"


def ignore(epoch: int, metrics: EpochMetrics) -> None:
    """Of no interest here."""


def test_a_run_comes_out_the_same_to_the_last_bit_and_nothing_is_recorded(
    contest_store: Store, whole_npz: Path
) -> None:
    run = find_run(contest_store, ABLE)
    epochs: list[int] = []
    done = reproduce(
        contest_store, run, DataSource(Origin.GIVEN, whole_npz), lambda epoch, metrics: epochs.append(epoch)
    )
    assert done.is_identical
    assert done.recorded.history == done.again.history
    assert done.largest_difference == 0
    assert epochs == [1, 2, 3]
    assert list(done.differences) == []
    assert find_run(contest_store, ABLE) == run


def test_what_is_not_as_it_was_is_said(command: Run, contest_store: Store) -> None:
    sweep_id = find_run(contest_store, ABLE).tags["mlflow.parentRunId"]
    contest_store.client.set_tag(sweep_id, "version.numpy", "1.0.0")
    contest_store.client.delete_tag(sweep_id, "version.optuna")
    code, out, _ = command("reproduce", ABLE)
    assert code == 0
    assert "numpy: recorded with 1.0.0, now " in out
    assert "optuna: recorded with not recorded, now " in out
    assert "the same to the last bit" in out
    assert "largest difference of a weight: 0\n" in out
    accuracy = find_run(contest_store, ABLE).value("val_accuracy")
    assert ["val_accuracy", "there", f"{accuracy:.6f}", f"{accuracy:.6f}"] in [
        line.split() for line in out.splitlines()
    ]


def test_a_result_that_differs_is_said_with_exit_code_1(command: Run, contest_store: Store) -> None:
    run = find_run(contest_store, ABLE)
    contest_store.client.log_metric(run.run_id, "val_loss", 0.125, step=4)
    contest_store.client.log_metric(run.run_id, "val_accuracy", 0.5, step=4)
    contest_store.client.log_metric(run.run_id, "loss", 0.125, step=4)
    contest_store.client.log_metric(run.run_id, "accuracy", 0.5, step=4)
    code, out, _ = command("reproduce", ABLE)
    assert code == 1
    assert ["epochs", "4", "3"] in [line.split() for line in out.splitlines()]
    assert "not the same" in out


def test_a_pruned_run_ends_where_it_was_pruned(whole_npz: Path, store_at_hand: None) -> None:
    spec = parse_spec(SMALL, ["trials=3", "sampler=random", "pruner=successive-halving", "training.epochs=4"])
    watcher = Watcher()
    runs = run_sweep(spec, here(whole_npz, watcher)).runs
    pruned = [run for run in runs if run.state is TrialState.PRUNED]
    assert pruned
    done = reproduce(open_store(tracking_uri()), pruned[0], DataSource(Origin.GIVEN, whole_npz), ignore)
    assert 0 < len(done.again.history) < 4
    assert done.is_identical
    assert done.largest_difference == 0


def test_a_run_that_failed_has_no_result_to_reproduce(contest_store: Store, whole_npz: Path) -> None:
    with pytest.raises(NotFoundError, match=rf"run {FAILED}: failed, with no result to reproduce"):
        reproduce(contest_store, find_run(contest_store, FAILED), DataSource(Origin.GIVEN, whole_npz), ignore)


def test_other_data_is_refused_with_both_digests(contest_store: Store, other_npz: Path) -> None:
    with pytest.raises(DataError, match=r"other\.npz: not the data of this sweep: expected digest .*, received"):
        reproduce(contest_store, find_run(contest_store, ABLE), DataSource(Origin.GIVEN, other_npz), ignore)


def test_a_model_that_was_altered_is_no_measure(contest_store: Store, whole_npz: Path) -> None:
    run = find_run(contest_store, ABLE)
    with model_file(contest_store, run).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="altered after it was logged"):
        reproduce(contest_store, run, DataSource(Origin.GIVEN, whole_npz), ignore)
