"""What MLflow holds of a sweep, as frozen values; and the names under which it is held there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

from search.space import Point
from search.trial import TrialState


class Tag(StrEnum):
    """Tags on runs and logged models. Those that people compare by carry plain words."""

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
    DRIVER = "driver"
    LEASE = "lease"
    LEASE_RENEWED = "lease_renewed"
    LEASE_RELEASED = "lease_released"
    SWEEP_UID = "sweep_uid"
    SPEC = "sweep_toml"
    ENDING = "ending"
    BEST_RUN_ID = "best_run_id"
    BEST_RUN = "best_run"
    GIT_DIRTY = "git_dirty"
    VALIDATION = "validation"
    SPLIT_SEED = "split_seed"
    CONFIRMS = "confirms"
    ENSEMBLE_OF = "ensemble_of"
    TEST_DATASET = "test_dataset"
    TEST_DIGEST = "test_digest"


class Kind(StrEnum):
    """What a run of the experiment stands for."""

    SWEEP = "sweep"
    TRIAL = "trial"


REGISTERED_MODEL = "mnist-classifier"
# The least test accuracy of a champion, where the user asks for no other.
FLOOR = 0.9
SPEC_FILE = "sweep.toml"
TRACEBACK_FILE = "traceback.txt"
# A metric of the parent run.
TRACKING_SECONDS = "tracking_seconds"


class SweepState(Enum):
    """Where a sweep stands; the values are those of MLflow's run status."""

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
        state: where it stands.
        started: UTC.
        tags: all its tags, by :class:`Tag`.
        metrics: every metric's last value.
    """

    run_id: str
    name: str
    state: SweepState
    started: datetime
    tags: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def objective(self) -> str:
        """The metric that ranks its trials."""
        return self.tags.get(Tag.OBJECTIVE, "val_accuracy")


@dataclass(frozen=True)
class CurvePoint:
    """A metric after one epoch.

    Args:
        value: as logged.
        time: at which it was logged, UTC.
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
        state: what became of it.
        params: every logged parameter, as text.
        point: the searched parameters, with their exact values; empty where none were searched.
        metrics: every metric's last value; those of an unfinished run may be few.
        model_id: of its logged model if that is READY.
        stop_reason: why its training ended; None where something else failed.
        error: one line on why it failed.
        tags: all its tags, by :class:`Tag`.
        started: when it was handed to a worker, UTC.
        ended: when it was closed, UTC; None while it runs.
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
        """For people, wherever runs of several sweeps may meet: ``bayesian/trial-007``."""
        return f"{self.tags.get(Tag.SWEEP, '')}/{self.name}"

    @property
    def best_epoch(self) -> int | None:
        """The 1-based epoch whose weights were saved."""
        value = self.metrics.get("best_epoch")
        return int(value) if value is not None else None

    @property
    def seconds(self) -> float | None:
        """Wall time of training and saving."""
        return self.metrics.get("seconds")

    def value(self, metric: str) -> float | None:
        """A metric of the saved weights, by its name among the curves, such as ``val_accuracy``; finite or None."""
        value = self.metrics.get(f"best_{metric}")
        return value if value is not None and math.isfinite(value) else None


class Alias(StrEnum):
    """What versions are called."""

    CHAMPION = "champion"
    PREVIOUS = "previous"
    CHALLENGER = "challenger"


class VersionTag(StrEnum):
    """Tags on versions: all that the lists show, so that they need no run."""

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


@dataclass(frozen=True)
class VersionRecord:
    """One version of the registered model.

    Args:
        name: of the registered model.
        version: counts from 1.
        run_id: of the run that trained it.
        aliases: what it is called now.
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
        """For people: ``mnist-classifier version 3``."""
        return f"{self.name} version {self.version}"
