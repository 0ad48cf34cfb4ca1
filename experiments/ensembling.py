"""Ensembles: the best runs of a sweep combined into one classifier by their mean probabilities."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments import ranking
from experiments.tracking import queries, sweep_runs
from experiments.tracking.artifacts import fetch_model, save_model
from experiments.tracking.datasets import describe_data, split_of
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.records import RunRecord, SweepRecord
from experiments.tracking.store import Store
from experiments.tracking.trial_runs import TrialRuns
from mnist_core.arrays import Probabilities
from mnist_core.classification import Estimate, PairedTest, mcnemar, wilson
from mnist_core.data.images import split
from mnist_core.data.sources import DataSource
from mnist_core.errors import NotFoundError, SpecError, StoreError
from mnist_core.metrics import EpochMetrics, StopReason
from mnist_core.models.custom import CustomModel
from mnist_core.runtime import tensorflow_import
from search.space import key_of
from search.spec import SweepSpec
from search.sweep import EndReason
from search.trial import Trial, TrialResult, TrialState

# The function that combines the members' models, as it is recorded.
AVERAGE = "mnist_core.models.averaging:average_model"


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The best runs of a sweep with their predictions on its validation images.

    Args:
        sweep: of the runs.
        members: best first.
        probabilities: of each member, shape ``(members, n, 10)``, float32.
        labels: shape ``(n,)``, uint8.
    """

    sweep: SweepRecord
    members: Sequence[RunRecord]
    probabilities: Probabilities
    labels: npt.NDArray[np.uint8]

    @property
    def mean(self) -> Probabilities:
        """Mean probabilities of the members, shape ``(n, 10)``."""
        return np.asarray(self.probabilities.mean(axis=0))

    @property
    def accuracy(self) -> Estimate:
        """Accuracy of the mean probabilities, with Wilson's interval."""
        return self._accuracy(self.mean)

    @property
    def best_accuracy(self) -> Estimate:
        """Accuracy of the best member alone, with Wilson's interval."""
        return self._accuracy(self.probabilities[0])

    @property
    def against_best(self) -> PairedTest:
        """McNemar's test of the mean against the best member, on the same images."""
        return mcnemar(self.mean.argmax(axis=1), self.probabilities[0].argmax(axis=1), self.labels)

    @property
    def loss(self) -> float:
        """Mean negative log probability of the truth, in nats."""
        truth = self.mean[np.arange(len(self.labels)), self.labels].astype(np.float64)
        return float(-np.log(np.maximum(truth, np.finfo(np.float32).eps)).mean())

    def _accuracy(self, probabilities: Probabilities) -> Estimate:
        return wilson(int((probabilities.argmax(axis=1) == self.labels).sum()), len(self.labels))


def combine(store: Store, sweep: SweepRecord, top: int, source: DataSource) -> Ensemble:
    """Combine the best runs of a sweep by predicting its validation images; the test set is not read.

    Args:
        store: that has the sweep.
        sweep: any that is not an ensemble itself.
        top: number of its runs, best first; 2 or more.
        source: of its data.

    Raises:
        SpecError: ``top`` is less than 2, or the sweep is an ensemble.
        NotFoundError: it has fewer runs that may win.
        DataError: the data is not that of the sweep.
        ModelError: a model is missing or not the one that was logged.
    """
    if top < 2:
        raise SpecError(f"top: expected 2 or more, received {top}")
    queries.check_has_trials(sweep)
    spec = queries.read_recorded_spec(store, sweep)
    members = ranking.rank(queries.read_runs(store, sweep), sweep.objective)[:top]
    if len(members) < top:
        raise NotFoundError(f"sweep {sweep.name}: expected {top} runs or more that may win, found {len(members)}")
    division = split_of(sweep.tags)
    describe_data(source, replace(spec, data=division))
    validation = split(source.load_training(), division.validation, division.seed).validation
    with tensorflow_import():
        from mnist_core.models.saved_model import load_model, predict

    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        paths = [fetch_model(store, run, Path(folder) / run.run_id) for run in members]
        probabilities = np.stack([predict(load_model(path), validation.images) for path in paths])
    return Ensemble(sweep, members, probabilities, validation.labels)


def record_ensemble(store: Store, ensemble: Ensemble, source: DataSource) -> RunRecord:
    """Record an ensemble as one Keras model, in a run that can be evaluated and promoted like any other.

    Its parent run is named ``SWEEP-ensemble`` and tagged with the sweep of its members.

    Raises:
        ModelError: a member's model is missing or not the one that was logged.
        StoreError: the store cannot be written.
    """
    spec = queries.read_recorded_spec(store, ensemble.sweep)
    data = describe_data(source, replace(spec, data=split_of(ensemble.sweep.tags)))
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        result = _average(store, ensemble, Path(folder))
        spec = _spec_of(spec, ensemble.members)
        wanted, source_id = f"{ensemble.sweep.name}-ensemble", ensemble.sweep.run_id
        sweep_id = sweep_runs.begin_sweep(store, spec, wanted, data, workers=1, ensemble_of=source_id).run_id
        try:
            name = queries.find_sweep(store, sweep_id).name
            trial = _trial_of(spec, ensemble.members)
            with SweepRecorder(TrialRuns(store, sweep_id, name, data)) as recorder:
                recorder.trial_started(trial)
                recorder.trial_ended(trial, result)
                (recorded,) = recorder.finish()
            (run,) = queries.read_runs(store, queries.find_sweep(store, sweep_id))
            if recorded.result.error:
                raise StoreError(f"ensemble {name}: its model could not be recorded: {recorded.result.error}")
            sweep_runs.end_sweep(store, sweep_id, EndReason.DONE, run)
        except BaseException:
            with suppress(StoreError):  # the first error is the cause
                _close_failed(store, sweep_id)
            raise
    return run


def _close_failed(store: Store, sweep_id: str) -> None:
    """Close the runs of an ensemble that could not be recorded; it is not resumed but combined again."""
    sweep_runs.close_orphans(store, queries.read_sweep_runs(store, queries.find_sweep(store, sweep_id)).all)
    sweep_runs.end_sweep(store, sweep_id, None, None)


def _average(store: Store, ensemble: Ensemble, folder: Path) -> TrialResult:
    from mnist_core.models.averaging import average_model
    from mnist_core.models.saved_model import load_model

    paths = [fetch_model(store, run, folder / run.run_id) for run in ensemble.members]
    saved = save_model(average_model([load_model(path) for path in paths]), folder / "ensemble")
    # Nothing was trained, so there are no curves; its one epoch has the metrics on the validation images.
    metrics = EpochMetrics(math.nan, math.nan, ensemble.loss, ensemble.accuracy.value, ensemble.loss)
    return TrialResult(
        TrialState.COMPLETE,
        history=(metrics,),
        best_epoch=1,
        stop_reason=StopReason.BUDGET,
        model=saved,
        weights=saved.weights,
    )


def _spec_of(spec: SweepSpec, members: Sequence[RunRecord]) -> SweepSpec:
    """The sweep of just the members' points."""
    points = tuple({key_of(run.point): run.point for run in members}.values())
    return spec.with_points(f"{spec.name}-ensemble", points)


def _trial_of(spec: SweepSpec, members: Sequence[RunRecord]) -> Trial:
    model = CustomModel(AVERAGE, {"members": ", ".join(run.title for run in members)})
    return Trial(0, {}, model, spec.training, spec.seed)
