"""A sweep over both architectures with every option of the trainer, and an ensemble of its best runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import (
    SweepResult,
    find_sweep,
    open_store,
    parse_spec,
    read_runs,
    resume_sweep,
    run_sweep,
)
from experiments.cli.main import app
from experiments.confirmation import confirm_sweep
from experiments.ensembling import Ensemble, combine, record_ensemble
from experiments.evaluation import TestSet, evaluate_run
from experiments.registry.model_source import RegistryModelSource
from experiments.reporting.reports import report_sweep
from experiments.reproduction import reproduce_run
from experiments.tracking import sweep_runs
from experiments.tracking.artifacts import fetch_model
from experiments.tracking.queries import find_run, read_sweeps
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.records import RunRecord, SweepState, Tag
from experiments.tracking.store import Store
from experiments.tracking.trial_runs import TrialRuns
from mnist_core.data.images import LabelledImages
from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import NotFoundError, SpecError, StoreError
from mnist_core.models.saved_model import load_model, predict
from search.trial import TrialState
from tests.helpers.stores import copy_store, folder_of
from tests.helpers.sweeps import in_process

BOTH = """
name = "both"
sampler = "grid"
[data]
validation = 200
[model]
blocks = 1
[training]
epochs = 2
batch_size = 50
schedule = "cosine"
ema = 0.5
augmentation = { shift = 1.0 }
[space]
architecture = ["mlp", "cnn"]
filters = [2, 4]
hidden_size = 16
"""


@pytest.fixture(scope="module")
def both(new_store: Callable[[], str], small_npz: Path) -> SweepResult:
    return run_sweep(parse_spec(BOTH), in_process(small_npz, tracking_uri=new_store()))


@pytest.fixture(scope="module")
def store(both: SweepResult) -> Store:
    return open_store(both.tracking_uri)


@pytest.fixture(scope="module")
def source(small_npz: Path) -> DataSource:
    return DataSource(Origin.GIVEN, small_npz)


@pytest.fixture(scope="module")
def combined(store: Store, both: SweepResult, source: DataSource) -> Ensemble:
    return combine(store, both.sweep, 3, source)


@pytest.fixture(scope="module")
def kept(store: Store, combined: Ensemble, source: DataSource) -> RunRecord:
    return record_ensemble(store, combined, source)


@pytest.fixture
def _in_that_store(both: SweepResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", both.tracking_uri)


def test_a_run_has_the_parameters_of_its_architecture_and_no_others(both: SweepResult) -> None:
    plain, *convolutional = sorted(both.ranked, key=lambda run: run.params["architecture"] == "cnn")
    assert plain.params["architecture"] == "mlp"
    assert {"filters", "blocks", "kernel_size"}.isdisjoint(plain.params)
    assert sorted(run.params["filters"] for run in convolutional) == ["2", "4"]
    assert all(run.params["blocks"] == "1" for run in convolutional)
    assert all((run.params["shift"], run.params["schedule"]) == ("1.0", "cosine") for run in both.ranked)


def test_a_conditional_sweep_that_is_done_has_nothing_left_to_resume(both: SweepResult) -> None:
    again = resume_sweep("both", in_process(None, tracking_uri=both.tracking_uri))
    assert len(again.runs) == 3


def test_the_best_of_a_conditional_sweep_are_confirmed_with_fresh_seeds(both: SweepResult) -> None:
    options = in_process(None, tracking_uri=both.tracking_uri)
    confirmed = confirm_sweep("both", top=3, seeds=2, options=options)
    assert len(confirmed.ranked) == 6
    assert sorted(run.params.get("filters", "") for run in confirmed.ranked) == ["", "", "2", "2", "4", "4"]


def test_the_mean_is_that_of_the_members_own_probabilities(combined: Ensemble, both: SweepResult) -> None:
    assert [run.run_id for run in combined.members] == [run.run_id for run in both.ranked]
    assert combined.probabilities.shape == (3, 200, 10)
    # Validation accuracies are those that were recorded: it is the same part of the data.
    for run, messages in zip(combined.members, combined.probabilities, strict=True):
        accuracy = float((messages.argmax(axis=1) == combined.labels).mean())
        assert accuracy == pytest.approx(run.value("val_accuracy"), abs=1e-6)
    expected = (combined.probabilities.mean(axis=0).argmax(axis=1) == combined.labels).mean()
    assert combined.accuracy.value == pytest.approx(expected)
    assert combined.accuracy.low < expected < combined.accuracy.high
    assert combined.best_accuracy.value == pytest.approx(both.ranked[0].value("val_accuracy"), abs=1e-6)


def test_an_ensemble_is_recorded_as_one_model_that_predicts_the_mean(
    kept: RunRecord, combined: Ensemble, store: Store, sample: LabelledImages, tmp_path: Path
) -> None:
    images = sample.images[::100]
    model = load_model(fetch_model(store, kept, tmp_path))
    paths = [fetch_model(store, run, tmp_path / run.run_id) for run in combined.members]
    mean = np.mean([predict(load_model(path), images) for path in paths], axis=0)
    # float32, summed in another order.
    np.testing.assert_allclose(predict(model, images), mean, atol=1e-6)
    assert kept.metrics["weights"] == sum(run.metrics["weights"] for run in combined.members)


def test_the_run_of_an_ensemble_records_its_members_and_metrics(
    kept: RunRecord, combined: Ensemble, both: SweepResult, store: Store
) -> None:
    assert kept.params["members"] == ", ".join(run.title for run in combined.members)
    assert kept.value("val_accuracy") == pytest.approx(combined.accuracy.value)
    assert kept.value("val_loss") == pytest.approx(combined.loss)
    parent = find_sweep(store, kept.tags["mlflow.parentRunId"])
    assert parent.name.startswith("both-ensemble")
    assert parent.tags[Tag.ENSEMBLE_OF] == both.sweep.run_id
    assert len(read_runs(store, both.sweep)) == 3


def test_an_ensemble_is_evaluated_like_any_run(kept: RunRecord, store: Store, sample: LabelledImages) -> None:
    digest = kept.tags[Tag.DATASET_DIGEST]
    test = TestSet("some digits", "here", sample.take(np.arange(0, 4000, 40)), digest)
    evaluated = evaluate_run(store, kept, test)
    assert evaluated.probabilities.shape == (100, 10)
    assert find_run(store, kept.run_id).tags[Tag.TEST_DIGEST] == test.data.digest


def test_an_ensemble_whose_model_cannot_be_uploaded_is_an_error(
    combined: Ensemble, both: SweepResult, source: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise StoreError("the disk is full")

    store = copy_store(folder_of(both), tmp_path / "copied")
    monkeypatch.setattr(TrialRuns, "upload_model", fails)
    with pytest.raises(StoreError, match="could not be recorded: the disk is full"):
        record_ensemble(store, combined, source)
    newest = max(read_sweeps(store), key=lambda sweep: sweep.started)
    assert (newest.tags[Tag.ENSEMBLE_OF], newest.state) == (both.sweep.run_id, SweepState.FAILED)
    assert [run.state for run in read_runs(store, newest)] == [TrialState.FAILED]


def test_an_ensemble_whose_sweep_cannot_be_closed_at_first_is_closed_as_failed(
    combined: Ensemble, both: SweepResult, source: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = copy_store(folder_of(both), tmp_path / "copied"), sweep_runs.end_sweep

    def fails_once(*arguments: Any) -> None:
        monkeypatch.setattr(sweep_runs, "end_sweep", real)
        raise StoreError("the disk is full")

    monkeypatch.setattr(sweep_runs, "end_sweep", fails_once)
    with pytest.raises(StoreError, match="the disk is full"):
        record_ensemble(store, combined, source)
    newest = max(read_sweeps(store), key=lambda sweep: sweep.started)
    assert (newest.tags[Tag.ENSEMBLE_OF], newest.state) == (both.sweep.run_id, SweepState.FAILED)


def test_an_error_while_a_failed_ensemble_is_closed_does_not_replace_the_first(
    combined: Ensemble, both: SweepResult, source: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    def fails(*arguments: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(SweepRecorder, "trial_started", interrupted)
    monkeypatch.setattr(sweep_runs, "end_sweep", fails)
    with pytest.raises(KeyboardInterrupt):
        record_ensemble(copy_store(folder_of(both), tmp_path / "copied"), combined, source)


def test_an_ensemble_is_promoted_explained_and_served_like_any_run(
    kept: RunRecord, both: SweepResult, whole_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copy_store(folder_of(both), tmp_path / "copied")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    words = ["promote", kept.run_id, "--yes", "--floor", "0", "--data", str(whole_npz)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "is champion" in done.output
    drawn = {artifact.path for artifact in store.client.list_artifacts(kept.run_id, "insight")}
    assert {"insight/saliency.png", "insight/mistakes.png", "insight/reliability.png"} <= drawn
    champions = RegistryModelSource(store.uri)
    candidate = champions.fetch(champions.current() or "", tmp_path / "fetched")
    assert load_model(candidate.file).output_shape == (None, 10)


@pytest.mark.usefixtures("kept")
def test_an_ensemble_is_neither_resumed_nor_confirmed_nor_combined_nor_trained_again(
    both: SweepResult, store: Store, source: DataSource
) -> None:
    options = in_process(None, tracking_uri=both.tracking_uri)
    for attempt in (
        lambda: resume_sweep("both-ensemble", options),
        lambda: confirm_sweep("both-ensemble", options=options),
        lambda: combine(store, find_sweep(store, "both-ensemble"), 2, source),
        lambda: reproduce_run(store, find_run(store, "both-ensemble/0"), source, lambda epoch, metrics: None),
    ):
        with pytest.raises(SpecError, match="holds an ensemble and no trials; name the sweep"):
            attempt()


@pytest.mark.parametrize("top", [-1, 0, 1])
def test_fewer_than_two_members_are_refused(top: int, store: Store, both: SweepResult, source: DataSource) -> None:
    with pytest.raises(SpecError, match=f"top: expected 2 or more, received {top}"):
        combine(store, both.sweep, top, source)


def test_more_members_than_there_are_is_refused(store: Store, both: SweepResult, source: DataSource) -> None:
    with pytest.raises(NotFoundError, match="expected 4 runs or more that may win, found 3"):
        combine(store, both.sweep, 4, source)


@pytest.mark.usefixtures("_in_that_store")
def test_the_command_shows_members_and_mean_and_records_them_with_register(combined: Ensemble) -> None:
    shown = CliRunner().invoke(app, ["ensemble", "both", "--top", "2"])
    assert shown.exit_code == 0
    assert "best alone" in shown.output
    assert "mean of 2" in shown.output
    assert "--register" in shown.output
    done = CliRunner().invoke(app, ["ensemble", "both", "--top", "2", "--register"])
    assert "registered as both-ensemble" in done.output
    listed = CliRunner().invoke(app, ["best", "both", "--max-parameters", "13000"])
    assert "chosen" in listed.output


@pytest.mark.parametrize("tagged", [True, False], ids=["as recorded now", "as recorded by earlier versions"])
def test_an_ensemble_is_reported_and_compared_like_any_sweep(
    kept: RunRecord, both: SweepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tagged: bool
) -> None:
    store = copy_store(folder_of(both), tmp_path / "copied")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    if not tagged:
        store.client.delete_tag(kept.run_id, Tag.POINT)
    assert find_run(store, kept.run_id).point == {}
    # Another test may have recorded one before this.
    name = kept.title.partition("/")[0]
    reported = CliRunner().invoke(app, ["report", name])
    assert reported.exit_code == 0, reported.output
    compared = CliRunner().invoke(app, ["compare", "both", name])
    assert compared.exit_code == 0, compared.output
    assert f"{kept.value('val_accuracy'):.4f}" in compared.output, compared.output


def test_a_conditional_sweep_is_reported_with_empty_cells(both: SweepResult, store: Store) -> None:
    page = report_sweep(store, both.sweep).page
    assert all(run.name in page for run in both.runs)


@pytest.mark.usefixtures("_in_that_store", "kept")
def test_the_lists_show_empty_cells_where_a_parameter_does_not_exist(both: SweepResult) -> None:
    for command in (["runs", "both"], ["best", "both"], ["runs", "both-ensemble"], ["best", "both-ensemble"]):
        shown = CliRunner().invoke(app, command)
        assert shown.exit_code == 0, shown.output
        assert "filters" in shown.output
    lines = CliRunner().invoke(app, ["runs", "both"]).output.splitlines()
    cells = {run.title.rpartition("/")[2]: run.params.get("filters") for run in both.ranked}
    counts = {name: len(line.split()) for name in cells for line in lines if name in line.split()}
    (plain,) = (name for name, filters in cells.items() if filters is None)
    assert all(counts[plain] < counts[name] for name in cells if name != plain)
