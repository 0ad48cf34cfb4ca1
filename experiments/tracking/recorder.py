"""The only writer of trials to MLflow: a child run for each attempt, with one logged model.

It uses the client alone: no active run, no autologging, nothing inferred. Metrics of the saved weights are logged
once, under their own names; curves by step, while the trial runs.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from experiments.tracking import provenance
from experiments.tracking.datasets import DataRecord
from experiments.tracking.lease import HeldLease
from experiments.tracking.records import TRACEBACK_FILE, RunKind, Tag
from experiments.tracking.store import Store
from experiments.tracking.sweep_runs import metric_points, set_tags
from mnist_core.errors import StoreError
from mnist_core.metrics import EpochMetrics
from search.trial import SavedModel, Trial, TrialResult, TrialState
from search.worker_info import WorkerInfo, versions_here

if TYPE_CHECKING:
    from mlflow.entities import Metric

FLUSH_SECONDS = 1.0
MAX_TAG_LENGTH = 4000

_RUN_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "FINISHED", TrialState.FAILED: "FAILED"}


class SweepRecorder:
    """Writer of the child runs of one sweep; a :class:`search.sweep.Recorder`.

    Args:
        store: open for writing.
        sweep_id: run id of the parent.
        sweep_name: its name.
        data: the sweep's data set.
        lease: verified before each run is opened or closed and before curves are written, once a second; None for
            an ensemble, which cannot be resumed.
    """

    def __init__(
        self, store: Store, sweep_id: str, sweep_name: str, data: DataRecord, lease: HeldLease | None = None
    ) -> None:
        self._store = store
        self._client = store.client
        self._sweep_id = sweep_id
        self._sweep_name = sweep_name
        self._data = data
        self._lease = lease
        self._runs: dict[int, str] = {}
        self._unwritten: dict[str, list[Metric]] = {}
        self._flushed = time.monotonic()
        self.seconds = 0.0
        """Wall time spent on recording."""

    def trial_started(self, trial: Trial) -> None:
        """Create a child run with its parameters and data set."""
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
        if self._lease:
            tags[Tag.LEASE] = str(self._lease.generation)
        with self._writing(f"recording {trial.name}"):
            self._verify()
            run = self._client.create_run(self._store.experiment_id, tags=tags, run_name=trial.name)
            self._runs[trial.number] = run.info.run_id
            params = [Param(name, str(value)) for name, value in trial_params(trial).items()]
            self._client.log_batch(run.info.run_id, params=params)
            self._client.log_inputs(run.info.run_id, datasets=[self._data.as_input()])

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """Record an epoch; written about once a second, in one batch for each run."""
        with self._writing(f"recording {trial.name}"):
            batch = self._unwritten.setdefault(self._runs[trial.number], [])
            recorded = {name: value for name, value in asdict(metrics).items() if value is not None}
            batch += metric_points(recorded, step=epoch)
            if time.monotonic() - self._flushed >= FLUSH_SECONDS:
                self._flush()

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """Close the run of a lost attempt."""
        run_id = self._runs.pop(trial.number)
        with self._writing(f"recording {trial.name}"):
            self._flush()
            set_tags(self._store, run_id, {Tag.STATE: TrialState.KILLED.value, Tag.ERROR: cause[:MAX_TAG_LENGTH]})
            self._client.set_terminated(run_id, "KILLED")

    def trial_ended(self, trial: Trial, result: TrialResult) -> TrialResult:
        """Upload the model, log the metrics of its weights, close the run.

        A model that cannot be uploaded makes the trial FAILED: no complete run is without its model.
        """
        run_id = self._runs.pop(trial.number)
        with self._writing(f"recording {trial.name}"):
            self._flush()
            tags: dict[str, str] = {}
            if result.model:
                try:
                    tags = self._upload_model(run_id, trial, result, result.model)
                except StoreError as error:
                    result = replace(result, state=TrialState.FAILED, best_epoch=None, model=None, error=str(error))
                self._verify()  # once more: an upload may have taken minutes
            self._client.log_batch(
                run_id, metrics=metric_points(trial_metrics(result), model_id=tags.get(Tag.MODEL_ID))
            )
            tags |= {Tag.STATE: result.state.value, **_place_tags(result.worker)}
            if result.stop_reason:
                tags[Tag.STOP_REASON] = result.stop_reason.value
            if result.error:
                tags[Tag.ERROR] = result.error[:MAX_TAG_LENGTH]
                self._client.log_text(run_id, result.traceback or result.error, TRACEBACK_FILE)
            set_tags(self._store, run_id, tags)
            self._client.set_terminated(run_id, _RUN_STATUS[result.state])
        return result

    def _upload_model(self, run_id: str, trial: Trial, result: TrialResult, saved: SavedModel) -> dict[str, str]:
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        tags: dict[str, str] = {
            Tag.SWEEP: self._sweep_name,
            Tag.SWEEP_RUN_ID: self._sweep_id,
            Tag.MODEL_SHA256: saved.sha256,
            Tag.MODEL_BYTES: str(saved.size),
        }
        params = {name: str(value) for name, value in trial_params(trial).items()}
        model = self._client.create_logged_model(
            self._store.experiment_id, name=trial.name, source_run_id=run_id, params=params, tags=tags
        )
        try:
            with self._store.errors(f"uploading the model of {trial.name}"):
                # The worker knows the ids of neither run nor model: they are added to its MLmodel here.
                description = Model.load(str(saved.folder / "MLmodel"))
                description.run_id, description.artifact_path = run_id, model.artifact_location
                description.model_id = description.model_uuid = model.model_id
                description.save(str(saved.folder / "MLmodel"))
                self._client.log_model_artifacts(model.model_id, str(saved.folder))
        except StoreError:
            self._client.finalize_logged_model(model.model_id, "FAILED")
            raise
        finally:
            shutil.rmtree(saved.folder, ignore_errors=True)
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=result.best_epoch or 0)])
        return {
            Tag.MODEL_ID: model.model_id,
            Tag.MODEL_SHA256: saved.sha256,
            Tag.MODEL_BYTES: str(saved.size),
        }

    def _verify(self) -> None:
        if self._lease:
            self._lease.verify()

    def _flush(self) -> None:
        self._verify()
        unwritten, self._unwritten = self._unwritten, {}
        for run_id, metrics in unwritten.items():
            self._client.log_batch(run_id, metrics=metrics)
        self._flushed = time.monotonic()

    @contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            with self._store.errors(doing):
                yield
        finally:
            self.seconds += time.perf_counter() - started


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
