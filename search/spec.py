"""One sweep as one frozen, validated value. Its TOML form is read and written by :mod:`search.spec_file`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mnist_core.errors import MnistSearchError, SpecError
from mnist_core.hyperparameters import TRAINER_TYPES, Hyperparameters, ModelConfig, TrainingConfig, is_active
from mnist_core.metrics import Metric
from search.domains import Choices
from search.durations import parse_duration
from search.engines import CustomEngine, Engine, check_methods_of
from search.objectives import RANKING, VAL_ACCURACY, VAL_LOSS, Objective
from search.space import ARCHITECTURE, SEED, Point, Space
from search.trial import Trial

PART_OF_THE_LOSS = ("l2", "label_smoothing")


@dataclass(frozen=True)
class DataSpec:
    """How the training images are divided.

    Args:
        validation: images held out to choose by: a share in (0, 1) (float) or a count (int).
        seed: of the split, which is the same for all trials of a sweep.
        function: of the user's own that returns the data, as ``package.module:function``; empty takes what is found.
        digest: refuse any data but this (SHA-256 as ``mnist-search data`` prints it); empty takes what is found.

    Raises:
        SpecError: a value is of the wrong type or out of its range.
    """

    validation: int | float = 0.1
    seed: int = 0
    digest: str = ""
    function: str = ""

    def __post_init__(self) -> None:
        share = isinstance(self.validation, float) and 0 < self.validation < 1
        count = type(self.validation) is int and self.validation > 0
        if not (share or count):
            raise SpecError(f"validation: expected a share between 0 and 1 or a count, received {self.validation!r}")
        _check_seed("seed", self.seed)
        if not isinstance(self.digest, str) or not re.fullmatch(r"([0-9a-f]{64})?", self.digest):
            raise SpecError(f"digest: expected 64 hexadecimal digits, received {self.digest!r}")
        if not isinstance(self.function, str):
            raise SpecError(f"function: expected 'package.module:function', received {self.function!r}")


@dataclass(frozen=True)
class SweepSpec:
    """One sweep: what to search, how to choose points, how to train each.

    Args:
        name: what the sweep is called in the store; letters, digits, dot, dash and underscore.
        space: the parameters searched.
        engine: the library or the class that chooses points.
        sampler: how it chooses them; one of ``SAMPLERS[engine]``. ``cmaes`` models ranges only, and draws listed
            parameters at random.
        pruner: how it stops hopeless trials; one of ``PRUNERS[engine]``.
        trials: how many points to try; 0 means all of a grid or a list.
        seed: of the searcher, and of every trial: all trials share initial weights and image order as far as
            their shapes allow, so that points are compared on equal terms. Listed points may name their own.
        data: how the training images are divided.
        model: values of the model factory's arguments that are not searched, or a function of the user's own.
        training: epochs, batch size, early stopping.
        points: for the engine ``listed``: what to try, in this order; ``space`` is then :meth:`Space.of` them.
        trial_timeout: seconds for which a running trial may report nothing, neither an epoch nor its end, before its
            worker is killed and the trial is lost; it has to cover a worker's start and a first epoch. None derives
            it: 20 times the longest silence of the sweep until then, and no less than half an hour. How to run and
            not what to search, so it may be changed by resuming.
        objectives: one or more, all of the saved weights. The first ranks the trials. With several, Optuna looks for
            a Pareto front.

    Raises:
        SpecError: the parts do not go together.
    """

    name: str
    space: Space
    engine: Engine | CustomEngine = Engine.OPTUNA
    sampler: str = "tpe"
    pruner: str = "none"
    trials: int = 0
    seed: int = 0
    data: DataSpec = field(default_factory=DataSpec)
    model: ModelConfig = field(default_factory=Hyperparameters)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    points: tuple[Point, ...] = ()
    objectives: tuple[Objective, ...] = (VAL_ACCURACY,)
    trial_timeout: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise SpecError(f"name: expected letters, digits, '.', '-' and '_', received {self.name!r}")
        check_methods_of(self.engine, self.sampler, self.pruner)
        self._check_objectives()
        _check_seed("seed", self.seed)
        if type(self.trials) is not int or self.trials < 0:
            raise SpecError(f"trials: expected a count of trials, 1 or more, received {self.trials!r}")
        if self.trial_timeout is not None and parse_duration(self.trial_timeout, "trial_timeout") != self.trial_timeout:
            raise SpecError(f"trial_timeout: expected a number of seconds, received {self.trial_timeout!r}")
        self._check_points()
        self._check_architectures()
        self._check_comparable()
        if self._is_grid:
            self.space.grid_size()
        elif not self.trials and not self.points:
            raise SpecError(f"trials: expected how many points sampler = {self.sampler!r} is to try, received none")
        for name, value in self.space.bounds():
            try:
                self._settings({name: value})
            except MnistSearchError as error:
                raise SpecError(f"space.{error}") from error

    def with_points(self, name: str, points: tuple[Point, ...]) -> SweepSpec:
        """The sweep of that name that tries just these points, and all else as this one has it.

        Raises:
            SpecError: the points do not go together.
        """
        architectures = {str(point.get(ARCHITECTURE, self.model.architecture)) for point in points}
        return replace(
            self,
            name=name,
            model=self.model.without_inactive(architectures),
            engine=Engine.LISTED,
            sampler="listed",
            pruner="none",
            objectives=self.objectives[:1],
            trials=0,
            space=Space.of(points, self.space.parameters),
            points=points,
        )

    @property
    def objective(self) -> str:
        """The name of the metric that ranks the trials: that of the first objective."""
        return self.objectives[0].metric

    @property
    def metric(self) -> Metric:
        """The metric that ranks the trials."""
        return Metric(self.objective)

    @property
    def is_multi_objective(self) -> bool:
        """Whether there are several objectives, and a Pareto front instead of one best trial."""
        return len(self.objectives) > 1

    @property
    def prunes(self) -> bool:
        """Whether a trial can be stopped after an epoch because others are better."""
        return self.pruner != "none" and not self.is_multi_objective

    @property
    def target(self) -> int:
        """How many points this sweep will have tried when it is done."""
        return int(min(self.trials or math.inf, self.max_target))

    @property
    def max_target(self) -> float:
        """How many points there are to try: the size of a grid or a list, infinity elsewhere."""
        if self.engine is Engine.LISTED:
            return len(self.points)
        return self.space.grid_size() if self._is_grid else math.inf

    @property
    def _is_grid(self) -> bool:
        return self.sampler == "grid" and isinstance(self.engine, Engine)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Those that a trial may have; none where the model factory does not build the model."""
        if self.model.architecture is None:
            return ()
        searched = self.space.domains.get(ARCHITECTURE)
        return tuple(map(str, searched.values)) if isinstance(searched, Choices) else (self.model.architecture,)

    def trial(self, number: int, point: Point, attempt: int = 1) -> Trial:
        """The trial that trains ``point``: the searched values over the fixed ones.

        Raises:
            ParameterError: a value is out of its range.
        """
        hyperparameters, training = self._settings(point)
        return Trial(number, point, hyperparameters, training, int(point.get(SEED, self.seed)), attempt)

    def _check_points(self) -> None:
        if self.engine is Engine.LISTED:
            if not self.points or Space.of(self.points, self.space.parameters) != self.space:
                raise SpecError("points: expected one or more to try, and a space that is theirs")
            for point in self.points:
                _check_seed("points: seed", point.get(SEED, self.seed))
        elif self.points or SEED in self.space.domains:
            raise SpecError(
                f"{'points' if self.points else 'space.seed'}: expected engine = {Engine.LISTED.value!r} with it, "
                f"received {self.engine.value!r}"
            )

    def _check_objectives(self) -> None:
        """Several objectives need a sampler that weighs them, and leave nothing that a pruner could go by."""
        texts = list(map(str, self.objectives))
        if not texts or len(set(texts)) < len(texts):
            raise SpecError(f"objectives: expected one or more, each once, received {texts}")
        if self.objectives[0] not in RANKING:
            expected = " or ".join(repr(str(objective)) for objective in RANKING)
            raise SpecError(
                f"objectives: expected the first to be {expected}, which ranks the trials, received {texts[0]!r}"
            )
        if not self.is_multi_objective:
            return
        single = None
        if self.engine in (Engine.KERAS_TUNER, Engine.LISTED):
            single = f"engine {self.engine.value!r}"
        elif self.engine is Engine.OPTUNA and self.sampler == "cmaes":
            single = "sampler 'cmaes'"
        if single:
            raise SpecError(f"objectives: {single} optimises one value; expected engine = 'optuna', sampler = 'tpe'")
        if self.pruner != "none":
            raise SpecError(
                f"pruner: expected 'none' with several objectives, since half-trained trials cannot be compared in "
                f"all of them; received {self.pruner!r}"
            )

    def _check_architectures(self) -> None:
        known = self.architectures
        if not known:
            return
        of_none, inactive = _of_none(self.space.domains, known), _of_none(self.model.inactive, known)
        if of_none or inactive:
            where = f"space.{of_none[0]}" if of_none else f"model.{inactive[0]}"
            words = " and ".join(map(repr, known))
            raise SpecError(f"{where}: architecture {words} has no such parameter; leave it out, or choose another one")

    def _check_comparable(self) -> None:
        """A validation loss holds the penalty and the smoothing that its trial was trained with."""
        if VAL_LOSS in self.objectives and (
            within := [name for name in PART_OF_THE_LOSS if name in self.space.domains]
        ):
            raise SpecError(
                f"space.{within[0]}: part of val_loss, so trials that differ in it cannot be ranked by that; expected "
                "objective = 'val_accuracy', or one value for all in [model]"
            )

    def _settings(self, point: Point) -> tuple[ModelConfig, TrainingConfig]:
        of_model = {name: value for name, value in point.items() if is_models(name)}
        training = self.training.with_values({name: value for name, value in point.items() if name in TRAINER_TYPES})
        return self.model.with_values(of_model), training


def is_models(name: str) -> bool:
    """Whether a parameter is the model's, and not the trainer's."""
    return name not in TRAINER_TYPES and name != SEED


def _of_none(names: Iterable[str], architectures: Iterable[str]) -> list[str]:
    """The parameters that none of the architectures has."""
    return [name for name in names if not any(is_active(name, one) for one in architectures)]


def _check_seed(key: str, seed: object) -> None:
    if type(seed) is not int or not 0 <= seed < 2**31:
        raise SpecError(f"{key}: expected an integer from 0 to {2**31 - 1}, received {seed!r}")
