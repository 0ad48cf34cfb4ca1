"""The work of a worker: load the data once, then build, train and save each trial, and always return a result."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mnist_core.data.images import LabelledImages, split
from mnist_core.errors import DataError, NonFiniteError
from mnist_core.messages import main_line
from mnist_core.metrics import EpochMetrics, StopReason
from search.spec import DataSpec
from search.trial import SavedModel, Trial, TrialResult, TrialState
from search.worker_info import describe_worker

if TYPE_CHECKING:
    import keras

    from mnist_core.training.compiled_epoch import ResidentSplit

EpochCallback = Callable[[int, EpochMetrics], bool]
SaveModel = Callable[[Any, Path], SavedModel]
"""Writes a Keras model into a folder that does not exist yet; importable by name, since workers get it by pickle."""
Withheld = Callable[[Mapping[str, str]], Iterable[str]]
"""Returns the names in an environment that workers must not have; importable by name as well."""


class TrainingSource(Protocol):
    """The training images of a sweep, wherever a worker gets them from."""

    @property
    def location(self) -> str:
        """The place where they were read, for errors."""

    def load_training(self) -> LabelledImages:
        """Return the images.

        Raises:
            DataError: they cannot be read.
        """


class ReadSource:
    """A source of training images that this process has read already, and hands to the first who asks.

    Other processes, which get it by pickle, read the images themselves.

    Args:
        source: of the images.
        images: as it has returned them.
    """

    def __init__(self, source: TrainingSource, images: LabelledImages | None) -> None:
        self._source, self._images = source, images

    @property
    def location(self) -> str:
        """That of the source."""
        return self._source.location

    def load_training(self) -> LabelledImages:
        """Return the images, and keep them no longer."""
        images, self._images = self._images, None
        return self._source.load_training() if images is None else images

    def forget(self) -> None:
        """Keep the images no longer."""
        self._images = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ReadSource, (self._source, None)


def nothing_withheld(environment: Mapping[str, str]) -> Iterable[str]:
    """Return no names: workers have the whole environment."""
    return ()


@dataclass(frozen=True)
class WorkerContext:
    """The settings of a worker, the same for all trials.

    Args:
        source: location of the data, which the worker reads.
        digest: expected SHA-256 of the training images.
        data: the way in which they are divided.
        save: writes a trained model.
        staging: folder in which each trial writes its files, and a worker process its temporary ones.
        threads: cores that one worker computes with.
        pruning: True makes a trial wait after each epoch for the decision to go on; else it goes on at once.
        trial_timeout: seconds for which a trial may report nothing before its worker is killed; None derives it
            from the longest silence until then. A trial within the driver's own process cannot be killed.
        withheld: environment variables that worker processes are started without.
        modules: of the user's own, which trials import; a cluster gets their code.
    """

    source: TrainingSource
    digest: str
    data: DataSpec
    save: SaveModel
    staging: Path
    threads: int = 1
    pruning: bool = True
    trial_timeout: float | None = None
    withheld: Withheld = nothing_withheld
    modules: tuple[str, ...] = ()


class WorkerRuntime:
    """The state of a worker: TensorFlow configured and the data loaded once, in the first trial.

    Args:
        context: settings of the worker.
        own_process: True configures TensorFlow and the place of temporary files, as only a process of its own may do.
    """

    def __init__(self, context: WorkerContext, own_process: bool = False) -> None:
        self.context = context
        self._own_process = own_process

    @cached_property
    def split(self) -> ResidentSplit:
        """The images of every trial of this worker.

        Raises:
            DataError: their digest is not that of the sweep.
        """
        from mnist_core.runtime import configure, reset
        from search.training_imports import import_for_training

        if self._own_process:
            self._keep_temporary_files()
            import_for_training()
            configure(self.context.threads)
        from mnist_core.training.compiled_epoch import ResidentSplit

        # The user's modules may draw random numbers when they are imported, as initializers do for their seeds.
        reset(0)
        training = self.context.source.load_training()
        if training.digest != self.context.digest:
            raise DataError(
                f"{self.context.source.location}: altered since the sweep began: expected digest "
                f"{self.context.digest}, received {training.digest}"
            )
        return ResidentSplit.load(split(training, self.context.data.validation, self.context.data.seed))

    def _keep_temporary_files(self) -> None:
        """Have temporary files written into the staging folder, with which they are removed.

        TensorFlow writes some for each function that it compiles. It removes them at a regular end of its process,
        which a worker does not have.
        """
        self.context.staging.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(self.context.staging)


@dataclass
class _Reports:
    """Passes each epoch on and keeps it.

    Args:
        report: receives each epoch.
        history: metrics of each epoch until now.
        waited: seconds that the decisions took.
    """

    report: EpochCallback
    history: list[EpochMetrics] = field(default_factory=list)
    waited: float = 0.0

    def __call__(self, epoch: int, metrics: EpochMetrics) -> bool:
        self.history.append(metrics)
        asked = time.perf_counter()
        try:
            return self.report(epoch, metrics)
        finally:
            self.waited += time.perf_counter() - asked


def run_trial(trial: Trial, runtime: WorkerRuntime, report: EpochCallback) -> TrialResult:
    """Train one trial and save its model. Every exception becomes a FAILED result with its traceback.

    Args:
        trial: the point to train.
        runtime: of the worker.
        report: receives every epoch; False ends the training as pruned.
    """
    reports = _Reports(report)
    started = time.perf_counter()
    try:
        result = _train_and_save(trial, runtime, reports)
    except Exception as error:
        result = TrialResult(
            TrialState.FAILED,
            history=tuple(reports.history),
            stop_reason=StopReason.NON_FINITE if isinstance(error, NonFiniteError) else None,
            training_seconds=time.perf_counter() - started - reports.waited,
            error=": ".join(filter(None, [type(error).__name__, main_line(str(error))])),
            traceback=traceback.format_exc(),
        )
    with suppress(Exception):  # where TensorFlow cannot be imported, which has failed the trial
        result = replace(result, worker=replace(describe_worker(), threads=runtime.context.threads))
    return result


def _train_and_save(trial: Trial, runtime: WorkerRuntime, reports: _Reports) -> TrialResult:
    data, staging = runtime.split, runtime.context.staging
    staging.mkdir(parents=True, exist_ok=True)  # also where a cleaner of /tmp has removed it
    # Here and not above: the process that drives the sweep imports this module, but never TensorFlow.
    from mnist_core.runtime import kept_keras_settings, reset
    from mnist_core.training.trainer import train

    started = time.perf_counter()
    trial.hyperparameters.load()  # settings of Keras that its module makes are those of all trials
    with kept_keras_settings():
        # A model of unknown structure may draw random numbers of TensorFlow, which begin anew with new kernels only.
        reset(trial.seed, keep_kernels=trial.hyperparameters.structure is not None)
        model = trial.hyperparameters.build(data.train.shape)
        training = train(model, data, trial.training, trial.seed, reports, trial.hyperparameters.structure)
        trained = time.perf_counter()
        saved = _save(model, runtime.context, staging / f"{trial.number}-{trial.attempt}")
    return TrialResult.trained(training, saved, trained - started - reports.waited, time.perf_counter() - trained)


def _save(model: keras.Model, context: WorkerContext, folder: Path) -> SavedModel:
    try:
        return context.save(model, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
