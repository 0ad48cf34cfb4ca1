"""One sweep as one frozen, validated value. Its TOML form is read and written by :mod:`search.spec_file`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mnist_core.errors import MnistSearchError, SpecError
from mnist_core.hyperparameters import TRAINER_TYPES, Hyperparameters, ModelConfig, TrainingConfig, is_active
from mnist_core.metrics import Metric
from mnist_core.models.custom import CustomModel
from search.budget import StopRules
from search.domains import Choices
from search.durations import parse_duration
from search.engines import CustomEngine, Engine, check_methods_of
from search.execution import Execution
from search.objectives import RANKING, VAL_ACCURACY, VAL_LOSS, Objective
from search.space import ARCHITECTURE, SEED, Point, Space, key_of
from search.trial import Trial

PART_OF_THE_LOSS = ("l2", "label_smoothing")


@dataclass(frozen=True)
class DataSpec:
    """The division of the training images.

    Args:
        validation: images held out to choose by: a share in (0, 1) (float) or a count (int).
        seed: of the split, which is the same for all trials of a sweep.
        function: that returns the data, as ``package.module:function``; empty for none.
        digest: expected SHA-256 of the data, as ``mnist-search data`` prints it; empty for any data.

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
    """One sweep: the space, the searcher, and the training of each point.

    Args:
        name: of the sweep in the store; letters, digits, dot, dash and underscore.
        space: the parameters searched.
        engine: the library or the class that chooses points.
        sampler: the method by which it does; one of ``SAMPLERS[engine]``, or any text for a class. ``cmaes`` models
            ranges only, and draws listed parameters at random.
        pruner: the method by which it stops trials early; one of ``PRUNERS[engine]``, or any text for a class.
        trials: number of points to try; 0 means all of a grid or a list.
        seed: of the searcher, and of every trial: all trials share initial weights and image order as far as
            their shapes allow, so that points differ by their values only. Listed points may name their own.
        data: the division of the training images.
        model: values that are not searched, of the model factory or of a function.
        training: epochs, batch size, early stopping.
        points: for the engine ``listed``: the points to try, in this order; ``space`` is then :meth:`Space.of` them.
        trial_timeout: seconds for which a running trial may report nothing, neither an epoch nor its end, before its
            worker is killed and the trial is lost; it has to cover a worker's start and a first epoch. None derives
            it: 20 times the longest silence of the sweep until then, and no less than half an hour. It does
            not change the results, so it may be changed by resuming.
        execution: where the trials run. It does not change the results either.
        objectives: one or more, all of the saved weights. The first ranks the trials. With several, Optuna looks for
            a Pareto front.
        stop: budgets that end the sweep before it has tried all its points. Resuming may change them.

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
    execution: Execution = field(default_factory=Execution)
    stop: StopRules = field(default_factory=StopRules)

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
        self._check_stop()
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
        """Return a sweep of that name that tries just these points, with all other settings of this one.

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
            stop=StopRules(),
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
        """True where there are several objectives, and a Pareto front instead of one best trial."""
        return len(self.objectives) > 1

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules of the user's own that a trial imports: that of the model's function."""
        return (self.model.function.partition(":")[0],) if isinstance(self.model, CustomModel) else ()

    @property
    def prunes(self) -> bool:
        """True where a trial can be stopped after an epoch because others are better."""
        return self.pruner != "none" and not self.is_multi_objective

    @property
    def ends_trials(self) -> bool:
        """True where a trial can be told after an epoch to end: by the pruner, or by a budget of the sweep."""
        return self.prunes or bool(self.stop)

    @property
    def target(self) -> int:
        """Number of points that this sweep will have tried when it is done."""
        return int(min(self.trials or math.inf, self.max_target))

    @property
    def max_target(self) -> float:
        """Number of different points that there are in a grid or a list; infinity elsewhere."""
        if self.engine is Engine.LISTED:
            return len(set(map(key_of, self.points)))
        return self.space.grid_size() if self._is_grid else math.inf

    @property
    def _is_grid(self) -> bool:
        return self.sampler == "grid" and isinstance(self.engine, Engine)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Architectures that a trial may have; none where the model factory does not build the model."""
        if self.model.architecture is None:
            return ()
        searched = self.space.domains.get(ARCHITECTURE)
        return tuple(map(str, searched.values)) if isinstance(searched, Choices) else (self.model.architecture,)

    def trial(self, number: int, point: Point, attempt: int = 1) -> Trial:
        """Return the trial of ``point``: the searched values over the fixed ones.

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
        """Refuse several objectives where the sampler knows one only, or where there is a pruner."""
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

    def _check_stop(self) -> None:
        """Refuse a target that no trial could miss or reach, and rules of one value where there are several."""
        target = self.stop.target
        if target is not None and target > 1 and self.metric is Metric.VAL_ACCURACY:
            raise SpecError(f"stop.target: expected an accuracy, at most 1, received {target!r}")
        for key, value in (("target", target), ("plateau", self.stop.plateau)):
            if value is not None and self.is_multi_objective:
                raise SpecError(
                    f"stop.{key}: expected one objective with it, since several have no best value; expected "
                    "stop.time or stop.epochs"
                )

    def _check_architectures(self) -> None:
        known = self.architectures
        if not known:
            return
        searched, fixed = (_inactive(names, known) for names in (self.space.domains, self.model.inactive))
        if searched or fixed:
            where = f"space.{searched[0]}" if searched else f"model.{fixed[0]}"
            words = " and ".join(map(repr, known))
            raise SpecError(f"{where}: architecture {words} has no such parameter; leave it out, or choose another one")

    def _check_comparable(self) -> None:
        """Refuse to rank by the validation loss where the space searches the penalty or the smoothing in it."""
        if VAL_LOSS in self.objectives and (
            within := [name for name in PART_OF_THE_LOSS if name in self.space.domains]
        ):
            raise SpecError(
                f"space.{within[0]}: part of val_loss, so trials that differ in it cannot be ranked by that; expected "
                "objective = 'val_accuracy', or one value for all in [model]"
            )

    def _settings(self, point: Point) -> tuple[ModelConfig, TrainingConfig]:
        model_values = {name: value for name, value in point.items() if is_model_parameter(name)}
        training = self.training.with_values({name: value for name, value in point.items() if name in TRAINER_TYPES})
        return self.model.with_values(model_values), training


def is_model_parameter(name: str) -> bool:
    """Return whether a parameter is the model's, and not the trainer's."""
    return name not in TRAINER_TYPES and name != SEED


def _inactive(names: Iterable[str], architectures: Iterable[str]) -> list[str]:
    """Return the parameters that none of the architectures has."""
    return [name for name in names if not any(is_active(name, one) for one in architectures)]


def _check_seed(key: str, seed: object) -> None:
    if type(seed) is not int or not 0 <= seed < 2**31:
        raise SpecError(f"{key}: expected an integer from 0 to {2**31 - 1}, received {seed!r}")
