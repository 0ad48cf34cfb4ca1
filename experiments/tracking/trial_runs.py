"""Child runs of a sweep, written to MLflow: one for each attempt at a trial, with one logged model.

It uses the client alone: no active run, no autologging, nothing inferred. Metrics of the saved weights are logged
once, under their own names; curves by step, while the trial runs.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from experiments.tracking import provenance
from experiments.tracking.curve_buffer import CurveBuffer
from experiments.tracking.datasets import DataRecord
from experiments.tracking.lease import HeldLease
from experiments.tracking.records import TRACEBACK_FILE, RunKind, Tag
from experiments.tracking.store import Store
from experiments.tracking.sweep_runs import metric_points
from mnist_core.errors import StoreError
from search.trial import SavedModel, Trial, TrialResult, TrialState
from search.worker_info import WorkerInfo, versions_here

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Metric

MAX_TAG_LENGTH = 4000

_RUN_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "FINISHED", TrialState.FAILED: "FAILED"}


@dataclass(frozen=True)
class TrialEnd:
    """The end of an attempt at a trial, as it is to be recorded.

    Args:
        trial: the attempt.
        result: as the worker returned it.
        at: time of its end, in milliseconds since 1970.
        model: the logged model of a result that has one.
        failure: the reason for which the model's files are not uploaded; None where they are.
    """

    trial: Trial
    result: TrialResult
    at: int
    model: LoggedModel | None = None
    failure: StoreError | None = None


class TrialRuns:
    """The child runs of one sweep, as one thread writes them; each method returns when MLflow has answered.

    Args:
        store: open for writing.
        sweep_id: run id of the parent.
        sweep_name: its name.
        data: the sweep's data set.
        lease: verified before each run is opened or closed and before curves are written; None for an ensemble, which
            cannot be resumed.
    """

    def __init__(
        self, store: Store, sweep_id: str, sweep_name: str, data: DataRecord, lease: HeldLease | None = None
    ) -> None:
        self.store = store
        self._client = store.client
        self._sweep_id = sweep_id
        self._sweep_name = sweep_name
        self._data = data
        self.lease = lease
        self._runs: dict[int, str] = {}
        self._curves = CurveBuffer()

    def open(self, trial: Trial, at: int) -> None:
        """Create the run of an attempt, with its parameters and data set.

        Args:
            trial: the attempt.
            at: time of its start, in milliseconds since 1970.
        """
        from mlflow.entities import Param

        tags = {
            "mlflow.parentRunId": self._sweep_id,
            "mlflow.user": provenance.user(),
            Tag.KIND: RunKind.TRIAL,
            Tag.SWEEP: self._sweep_name,
            Tag.TRIAL_UID: f"{self._sweep_id}/{trial.number}/{trial.attempt}",
            Tag.TRIAL_NUMBER: str(trial.number),
            Tag.ATTEMPT: str(trial.attempt),
            # In the write that creates the run: if the process dies right after it, the run can still be read.
            Tag.POINT: json.dumps(dict(trial.point)),
            Tag.STATE: TrialState.RUNNING.value,
            **self._data.tags(),
        }
        if self.lease:
            tags[Tag.LEASE] = str(self.lease.generation)
        with self.store.errors(f"recording {trial.name}"):
            self._verify()
            run = self._client.create_run(self.store.experiment_id, start_time=at, tags=tags, run_name=trial.name)
            self._runs[trial.number] = run.info.run_id
            params = [Param(name, str(value)) for name, value in trial_params(trial).items()]
            self._client.log_batch(run.info.run_id, params=params)
            self._client.log_inputs(run.info.run_id, datasets=[self._data.as_input()])

    def add_points(self, trial: Trial, points: Sequence[Metric]) -> None:
        """Keep points of a trial's curves until :meth:`flush` writes them, or the end of the trial does."""
        self._curves.add(self._runs[trial.number], points)

    def seconds_to_flush(self) -> float | None:
        """Seconds until :meth:`flush` is to be called; None where it has nothing to write."""
        return self._curves.seconds_left()

    def flush(self) -> None:
        """Write the curves of a few runs."""
        started = time.monotonic()
        with self.store.errors("recording curves"):
            self._verify()
            for run_id, points in self._curves.next_batch():
                self._client.log_batch(run_id, metrics=points)
        self._curves.written(time.monotonic() - started)

    def flush_all(self) -> None:
        """Write all curves that wait."""
        while self._curves.seconds_left() is not None:
            self.flush()

    def lose(self, trial: Trial, cause: str, at: int) -> None:
        """Close the run of a lost attempt, at a time in milliseconds since 1970."""
        run_id = self._runs.pop(trial.number)
        with self.store.errors(f"recording {trial.name}"):
            self._verify()
            tags: dict[str, str] = {Tag.STATE: TrialState.KILLED.value, Tag.ERROR: _storable(cause)[:MAX_TAG_LENGTH]}
            self._write_end(run_id, self._curves.take(run_id), tags, "KILLED", at)

    def create_model(self, end: TrialEnd) -> LoggedModel:
        """Create the logged model of a trial whose result has one; its files are to be uploaded."""
        trial, saved = end.trial, end.result.model
        assert saved is not None
        tags: dict[str, str] = {Tag.SWEEP: self._sweep_name, Tag.SWEEP_RUN_ID: self._sweep_id, **_model_tags(saved)}
        params = {name: str(value) for name, value in trial_params(trial).items()}
        with self.store.errors(f"recording {trial.name}"):
            self._verify()
            return self._client.create_logged_model(
                self.store.experiment_id,
                name=trial.name,
                source_run_id=self._runs[trial.number],
                params=params,
                tags=tags,
            )

    def upload_model(self, end: TrialEnd) -> None:
        """Upload the files of a model that was created, and remove their folder. Safe to call from any thread.

        Raises:
            StoreError: they cannot be uploaded.
        """
        from mlflow.models import Model
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        saved, model = end.result.model, end.model
        assert saved is not None
        assert model is not None
        try:
            with self.store.errors(f"uploading the model of {end.trial.name}"):
                # The worker knows the ids of neither run nor model: they are added to its MLmodel here.
                description = Model.load(str(saved.folder / "MLmodel"))
                description.run_id, description.artifact_path = model.source_run_id, model.artifact_location
                description.model_id = description.model_uuid = model.model_id
                description.save(str(saved.folder / "MLmodel"))
                # The client would read the model from the store first, to learn its place. It has no types.
                place: Any = get_artifact_repository(model.artifact_location, tracking_uri=self.store.uri)
                place.log_artifacts(str(saved.folder))
        finally:
            shutil.rmtree(saved.folder, ignore_errors=True)

    def close(self, end: TrialEnd) -> TrialResult:
        """Log the rest of the curves and the metrics of the saved weights, and close the run; the recorded result.

        A model that could not be uploaded makes the trial FAILED: no complete run is without its model. Its error names
        what the searcher was told before.
        """
        result, model, failure, at = end.result, end.model, end.failure, end.at
        run_id = self._runs.pop(end.trial.number)
        with self.store.errors(f"recording {end.trial.name}"):
            self._verify()  # once more: an upload may have taken minutes
            tags: dict[str, str] = {}
            if failure:
                error = f"{failure}{_measured(result)}"
                result = replace(result, state=TrialState.FAILED, best_epoch=None, model=None, error=error)
            if model:
                tags |= self._finalize(run_id, model, result)
            tags |= {Tag.STATE: result.state.value, **_place_tags(result.worker)}
            if result.stop_reason:
                tags[Tag.STOP_REASON] = result.stop_reason.value
            if result.error:
                tags[Tag.ERROR] = _storable(result.error)[:MAX_TAG_LENGTH]
                # The place of artifacts may be what failed; the tag has the cause.
                with suppress(StoreError), self.store.errors("recording a traceback"):
                    self._client.log_text(run_id, _storable(result.traceback or result.error), TRACEBACK_FILE)
            points = metric_points(trial_metrics(result), model_id=tags.get(Tag.MODEL_ID), at=at)
            self._write_end(run_id, self._curves.take(run_id) + points, tags, _RUN_STATUS[result.state], at)
        return result

    def _finalize(self, run_id: str, model: LoggedModel, result: TrialResult) -> dict[str, str]:
        """Finalize a logged model whose files are uploaded, or not: then the result has none; the run's tags for it."""
        from mlflow.entities import LoggedModelOutput

        self._client.finalize_logged_model(model.model_id, "READY" if result.model else "FAILED")
        if result.model is None:
            return {}
        self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=result.best_epoch or 0)])
        return {Tag.MODEL_ID: model.model_id, **_model_tags(result.model)}

    def _write_end(self, run_id: str, points: list[Metric], tags: Mapping[str, str], status: str, at: int) -> None:
        """Log points and tags in one request, and close the run: until then it counts as running."""
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, metrics=points, tags=[RunTag(key, value) for key, value in tags.items()])
        self._client.set_terminated(run_id, status, end_time=at)

    def _verify(self) -> None:
        if self.lease:
            self.lease.verify()


def _measured(result: TrialResult) -> str:
    """The metrics of weights that are not stored, as the end of a sentence."""
    if result.best is None:
        return ""
    best = f"val_accuracy {result.best.val_accuracy:.4f}, val_loss {result.best.val_loss:.4f}"
    return f"; its best epoch was {result.best_epoch}, with {best}"


def _storable(text: str) -> str:
    """The text without what databases refuse: NUL, and bytes of file names that are no UTF-8."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _model_tags(saved: SavedModel) -> dict[str, str]:
    return {Tag.MODEL_SHA256: saved.sha256, Tag.MODEL_BYTES: str(saved.size)}


def _place_tags(worker: WorkerInfo | None) -> dict[str, str]:
    """Tags of the place in which a trial ran, with the versions in which it differs from this process."""
    if worker is None:
        return {}
    here = dict(versions_here())
    tags: dict[str, str] = {Tag.HOST: worker.host, Tag.DEVICE: worker.device}
    if worker.threads is not None:
        tags[Tag.THREADS] = str(worker.threads)
    return tags | {f"version.{name}": value for name, value in worker.versions if here.get(name) != value}


def trial_params(trial: Trial) -> dict[str, object]:
    """The flat parameters of a trial, by the names of the model factory and the trainer; the same for each engine.

    Parameters that the trial's architecture does not have are left out: tables of runs show an empty cell.
    """
    return {**trial.hyperparameters.active_values(), **trial.training.flat(), "seed": trial.seed}


def trial_metrics(result: TrialResult) -> dict[str, float]:
    """The metrics that are logged once of a finished trial: those of the saved weights, and seconds."""
    metrics: dict[str, float] = {
        "epochs_run": len(result.history),
        "seconds": result.training_seconds + result.saving_seconds,
        "training_seconds": result.training_seconds,
        "saving_seconds": result.saving_seconds,
    }
    if result.best and result.model and result.best_epoch:
        metrics |= {
            "best_epoch": result.best_epoch,
            "best_val_accuracy": result.best.val_accuracy,
            "best_val_loss": result.best.val_loss,
            "weights": result.model.weights,
        }
        if result.best.val_crossentropy is not None:
            metrics["best_val_crossentropy"] = result.best.val_crossentropy
    return metrics
