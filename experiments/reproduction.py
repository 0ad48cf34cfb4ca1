"""Reproduction of a recorded run: train it again from its record and compare both results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.formatting import Displayed, TextTable, format_number
from experiments.tracking import provenance, queries, trial_results
from experiments.tracking.artifacts import fetch_model, save_model
from experiments.tracking.credentials import credential_variables
from experiments.tracking.datasets import describe_data, split_of
from experiments.tracking.records import RunRecord, SweepRecord, Tag
from experiments.tracking.store import Store
from mnist_core.data.sources import DataSource
from mnist_core.errors import NotFoundError, WorkerError
from mnist_core.metrics import EpochMetrics, Metric, StopReason
from mnist_core.runtime import tensorflow_import
from search.executors.base import Ended, Executor, Finished, Lost
from search.executors.local import LocalExecutor, usable_cores
from search.trial import Trial, TrialResult
from search.worker import WorkerContext

POLL_SECONDS = 0.2

Progress = Callable[[int, EpochMetrics], None]
"""Called after each epoch with its 1-based number."""


@dataclass(frozen=True)
class VersionDifference:
    """A version or commit that differs from the recorded one."""

    name: str
    recorded: str
    now: str


@dataclass(frozen=True, repr=False)
class Reproduction(Displayed):
    """A run and its repetition.

    Args:
        run: as recorded.
        recorded: its curves and best epoch.
        again: curves and best epoch of the repetition.
        differences: of versions and commit.
        largest_difference: between any two weights of the two models; None where the recorded model is gone.
    """

    run: RunRecord
    recorded: TrialResult
    again: TrialResult
    differences: Sequence[VersionDifference]
    largest_difference: float | None

    @property
    def is_identical(self) -> bool:
        """True if curves and weights agree to the last bit."""
        again = self.again.history
        if all(epoch.val_crossentropy is None for epoch in self.recorded.history):  # there was no such curve then
            again = tuple(replace(epoch, val_crossentropy=None) for epoch in again)
        same = self.recorded.history == again and self.recorded.best_epoch == self.again.best_epoch
        return same and self.largest_difference in (0.0, None)

    def _title(self) -> str:
        return f"{self.run.title}: {'identical' if self.is_identical else 'not identical'} when trained again"

    def _tables(self) -> Sequence[TextTable]:
        return (reproduction_table(self),)


def reproduce_run(store: Store, run: RunRecord, source: DataSource, progress: Progress) -> Reproduction:
    """Train a run again in a worker process; the store is not changed.

    Args:
        store: that holds the run.
        run: any that has a result.
        source: of its data.
        progress: called after each epoch.

    Raises:
        NotFoundError: the run has no result, or its sweep is gone.
        SpecError: it is an ensemble, which was not trained itself.
        DataError: the data is not that of the run.
        ModelError: the recorded model was altered.
        WorkerError: the training failed, or its process died.
    """
    sweep = queries.find_sweep(store, run.tags["mlflow.parentRunId"])
    queries.check_has_trials(sweep)
    recorded = trial_results.read_result(store, run)
    if not recorded.history or recorded.best_epoch is None:
        raise NotFoundError(f"run {run.title}: {run.state.value}, with no result to reproduce")
    spec = queries.read_recorded_spec(store, sweep)
    data = describe_data(source, replace(spec, data=split_of(run.tags)))
    trial = spec.trial(run.number, run.point, run.attempt)
    # Without the other trials the pruner cannot decide, so the training is stopped after the same epoch. Its setting
    # of epochs stays, since a cosine schedule depends on it.
    pruned_after = len(recorded.history) if run.stop_reason == StopReason.PRUNED.value else None
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        recorded_model = fetch_model(store, run, Path(folder)) if run.model_id else None
        staging = Path(folder) / "again"
        staging.mkdir()
        context = WorkerContext(
            source=source,
            digest=data.digest,
            data=split_of(run.tags),
            save=save_model,
            staging=staging,
            threads=_threads_of(run, sweep),
            pruning=pruned_after is not None,
            trial_timeout=spec.trial_timeout,
            withheld=credential_variables,
        )
        again = _train(trial, LocalExecutor(context, 1), progress, pruned_after)
        assert again.model is not None
        largest = _largest_difference(recorded_model, again.model.folder / again.model.file) if recorded_model else None
    return Reproduction(run, recorded, again, version_differences(sweep), largest)


def _threads_of(run: RunRecord, sweep: SweepRecord) -> int:
    """Threads that the run computed with: the sums of a convolution depend, in their last bits, on their number.

    Runs of earlier versions do not say; their sweep shared the cores of its machine among its workers.
    """
    recorded = run.tags.get(Tag.THREADS)
    return int(recorded) if recorded else max(1, usable_cores() // int(sweep.tags.get(Tag.WORKERS, "1")))


def version_differences(sweep: SweepRecord) -> list[VersionDifference]:
    """Differences from the beginning of the sweep: versions of packages, commit of the project."""
    now = {f"version.{name}": version for name, version in provenance.versions().items()}
    if git := provenance.git_state():
        now["mlflow.source.git.commit"] = git[0]
    pairs = [(name, sweep.tags.get(name, "not recorded"), value) for name, value in now.items()]
    return [VersionDifference(name.rpartition(".")[2], then, value) for name, then, value in pairs if then != value]


def _train(trial: Trial, executor: Executor, progress: Progress, pruned_after: int | None) -> TrialResult:
    def decide(trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        progress(epoch, metrics)
        return epoch != pruned_after

    try:
        executor.submit(trial)
        ended: Sequence[Ended] = ()
        while not ended:
            ended = executor.poll(decide, POLL_SECONDS)
        end = ended[0]
    finally:
        executor.close()
    if isinstance(end, Lost):
        raise WorkerError(f"{trial.name}: {end.cause}")
    assert isinstance(end, Finished)
    if end.result.error:
        raise WorkerError(f"{trial.name}: its training failed this time: {end.result.error}")
    return end.result


def _largest_difference(first: Path, second: Path) -> float:
    with tensorflow_import():
        from mnist_core.models.saved_model import load_model

    pairs = zip(load_model(first).get_weights(), load_model(second).get_weights(), strict=True)
    return max((float(np.abs(one - other).max()) for one, other in pairs if one.size), default=0.0)


def reproduction_table(reproduction: Reproduction) -> TextTable:
    """A run and its repetition, metric by metric."""
    recorded, again = reproduction.recorded, reproduction.again
    rows = [
        ("epochs", str(len(recorded.history)), str(len(again.history))),
        ("best epoch", str(recorded.best_epoch), str(again.best_epoch)),
    ]
    for metric in Metric:
        first, second = (
            format_number(getattr(one.best, metric.value), ".6f") if one.best else "" for one in (recorded, again)
        )
        rows.append((f"{metric.value} at that epoch", first, second))
    seconds = (reproduction.run.metrics.get("training_seconds"), again.training_seconds)
    rows.append(("training seconds", format_number(seconds[0], ".1f"), format_number(seconds[1], ".1f")))
    return TextTable(("", "recorded", "again"), rows, right=("recorded", "again"))
