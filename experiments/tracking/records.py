"""Records of sweeps, runs and versions, read from MLflow as frozen values; and the names of their tags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

from search.space import Point
from search.trial import TrialState


class Tag(StrEnum):
    """Names of the tags on runs and logged models."""

    KIND = "kind"
    SWEEP = "sweep"
    SWEEP_RUN_ID = "sweep_run_id"
    TRIAL_UID = "trial_uid"
    TRIAL_NUMBER = "trial_number"
    ATTEMPT = "attempt"
    POINT = "point"
    STATE = "state"
    STOP_REASON = "stop_reason"
    ERROR = "error"
    DATASET = "dataset"
    DATASET_DIGEST = "dataset_digest"
    DATASET_ORIGIN = "dataset_origin"
    DATASET_LOCATION = "dataset_location"
    DATASET_SIZE = "dataset_size"
    MODEL_ID = "model_id"
    MODEL_SHA256 = "model_sha256"
    MODEL_BYTES = "model_bytes"
    ENGINE = "engine"
    SAMPLER = "sampler"
    PRUNER = "pruner"
    OBJECTIVE = "objective"
    SEED = "seed"
    TARGET = "trials"
    WORKERS = "workers"
    HOST = "host"
    DEVICE = "device"
    THREADS = "threads"
    DRIVER = "driver"
    LEASE = "lease"
    LEASE_RENEWED = "lease_renewed"
    LEASE_RELEASED = "lease_released"
    SWEEP_UID = "sweep_uid"
    SPEC = "sweep_toml"
    ENDING = "ending"
    ENDING_CAUSE = "ending_cause"
    BEST_RUN_ID = "best_run_id"
    BEST_RUN = "best_run"
    GIT_DIRTY = "git_dirty"
    VALIDATION = "validation"
    SPLIT_SEED = "split_seed"
    CONFIRMS = "confirms"
    ENSEMBLE_OF = "ensemble_of"
    TEST_DATASET = "test_dataset"
    TEST_DIGEST = "test_digest"


class RunKind(StrEnum):
    """The value of a run's tag ``kind``: a sweep's parent run, or an attempt at a trial."""

    SWEEP = "sweep"
    TRIAL = "trial"


REGISTERED_MODEL = "mnist-classifier"
# Minimum test accuracy of a champion, where the user asks for no other.
FLOOR = 0.9
SPEC_FILE = "sweep.toml"
TRACEBACK_FILE = "traceback.txt"
# Metrics of the parent run.
TRACKING_SECONDS = "tracking_seconds"
TRACKING_WAIT_SECONDS = "tracking_wait_seconds"
SEARCH_SECONDS = "search_seconds"


class SweepState(Enum):
    """The state of a sweep; the values are those of MLflow's run status."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True)
class SweepRecord:
    """The parent run of a sweep.

    Args:
        run_id: of the parent run.
        name: unique in the experiment.
        state: of the sweep.
        started: UTC.
        tags: all its tags, by :class:`Tag`.
        metrics: the last value of each metric.
    """

    run_id: str
    name: str
    state: SweepState
    started: datetime
    tags: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def objective(self) -> str:
        """Name of the metric that ranks its trials."""
        return self.tags.get(Tag.OBJECTIVE, "val_accuracy")

    @property
    def ending(self) -> str:
        """The reason for its end, as ``done`` or ``stopped by target``; empty where it runs or was killed."""
        return "" if self.state is SweepState.RUNNING else self.tags.get(Tag.ENDING, "")


@dataclass(frozen=True)
class CurvePoint:
    """A metric after one epoch.

    Args:
        value: as logged.
        time: of logging, UTC.
    """

    value: float
    time: datetime


@dataclass(frozen=True)
class RunRecord:
    """The child run of one attempt at a trial.

    Args:
        run_id: of the child run.
        name: as the MLflow UI shows it.
        number: of the trial.
        attempt: 1 or more.
        state: of the attempt.
        params: all logged parameters, as text.
        point: the searched parameters, with their exact values; empty where none were searched.
        metrics: the last value of each metric; an unfinished run may have few.
        model_id: of its logged model if that is READY.
        stop_reason: reason for the end of its training; None where something else failed.
        error: the cause of its failure, one line.
        tags: all its tags, by :class:`Tag`.
        started: time of its submission to a worker, UTC.
        ended: time of its closing, UTC; None while it runs.
    """

    run_id: str
    name: str
    number: int
    attempt: int
    state: TrialState
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    point: Point = field(default_factory=dict)
    model_id: str | None = None
    stop_reason: str | None = None
    error: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def title(self) -> str:
        """Name with that of its sweep: ``bayesian/trial-007``."""
        return f"{self.tags.get(Tag.SWEEP, '')}/{self.name}"

    @property
    def best_epoch(self) -> int | None:
        """The 1-based epoch whose weights were saved."""
        value = self.metrics.get("best_epoch")
        return int(value) if value is not None else None

    @property
    def seconds(self) -> float | None:
        """Wall time of training and saving, in seconds."""
        return self.metrics.get("seconds")

    def value(self, metric: str) -> float | None:
        """A metric of the saved weights by its name among the curves, such as ``val_accuracy``; None unless finite."""
        value = self.metrics.get(f"best_{metric}")
        return value if value is not None and math.isfinite(value) else None


class Alias(StrEnum):
    """Aliases of versions."""

    CHAMPION = "champion"
    PREVIOUS = "previous"
    CHALLENGER = "challenger"


class VersionTag(StrEnum):
    """Names of the tags on versions. They hold all that lists show, so that lists read no run."""

    RUN = "run"
    SWEEP = "sweep"
    SWEEP_RUN_ID = "sweep_run_id"
    MODEL_ID = "model_id"
    MODEL_SHA256 = "model_sha256"
    PARAMETERS = "parameters"
    VAL_ACCURACY = "val_accuracy"
    TEST_ACCURACY = "test_accuracy"
    TEST_DATASET = "test_dataset"
    TEST_DIGEST = "test_digest"
    GATE = "gate"
    REASON = "reason"
    FORCED_BECAUSE = "forced_because"
    BY = "by"
    AT = "at"
    CHECK = "check"
    LITERT = "litert"
    LITERT_SHA256 = "litert_sha256"


@dataclass(frozen=True)
class VersionRecord:
    """One version of the registered model.

    Args:
        name: of the registered model.
        version: counts from 1.
        run_id: of the run that trained it.
        aliases: its current ones.
        created: UTC.
        tags: by :class:`VersionTag`.
    """

    name: str
    version: int
    run_id: str
    aliases: tuple[str, ...]
    created: datetime
    tags: Mapping[str, str]

    @property
    def title(self) -> str:
        """Name and number: ``mnist-classifier version 3``."""
        return f"{self.name} version {self.version}"
