"""The contract of a searcher, for every engine and sampler."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.domains import Choices, FloatRange, IntRange
from search.engines import CustomEngine, Engine
from search.objectives import MODEL_SIZE, VAL_ACCURACY
from search.searchers.base import NoSuggestion
from search.searchers.factory import make_searcher
from search.space import Space, key_of
from search.spec import SweepSpec
from search.testing.searchers import (
    CONDITIONAL,
    CONTINUOUS,
    LISTED,
    LISTED_CONDITIONAL,
    MIXED,
    EnqueueingContract,
    GridContract,
    SearcherDriver,
    value_of,
)
from search.testing.values import history_of, result_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning:keras_tuner"),
    pytest.mark.filterwarnings("ignore:The optimal value found for dimension"),  # of the Gaussian process's kernel
]


class TestACustomSearcher(EnqueueingContract):
    engine = CustomEngine("tests.helpers.example_searcher:HillClimber")


class TestACustomSearcherOnAConditionalSpace(TestACustomSearcher):
    space = CONDITIONAL


class TestACustomGrid(GridContract):
    engine = CustomEngine("tests.helpers.search_fakes:OutsideGrid")


class TestOptunaTpe(EnqueueingContract):
    engine, sampler = Engine.OPTUNA, "tpe"
    trials = 14  # ten are drawn at random before the estimator is used


class TestOptunaTpeOnAConditionalSpace(TestOptunaTpe):
    space = CONDITIONAL
    trials = 24


class TestOptunaTpeWithSeveralObjectives(TestOptunaTpe):
    def spec(self, seed: int = 3) -> SweepSpec:
        return replace(super().spec(seed), objectives=(VAL_ACCURACY, MODEL_SIZE))


class TestOptunaTpeWithSeveralObjectivesOnAConditionalSpace(TestOptunaTpeWithSeveralObjectives):
    space = CONDITIONAL


class TestOptunaCmaes(EnqueueingContract):
    engine, sampler, space = Engine.OPTUNA, "cmaes", CONTINUOUS
    trials = 14


class TestOptunaCmaesWithChoices(EnqueueingContract):
    engine, sampler = Engine.OPTUNA, "cmaes"


class TestOptunaCmaesOnAConditionalSpace(EnqueueingContract):
    engine, sampler, space = Engine.OPTUNA, "cmaes", CONDITIONAL
    trials = 14


class TestOptunaRandom(EnqueueingContract):
    engine, sampler = Engine.OPTUNA, "random"


class TestOptunaRandomOnAConditionalSpace(TestOptunaRandom):
    space = CONDITIONAL


class TestOptunaQuasiRandom(EnqueueingContract):
    engine, sampler = Engine.OPTUNA, "qmc"


class TestOptunaQuasiRandomOnAConditionalSpace(TestOptunaQuasiRandom):
    space = CONDITIONAL


class TestOptunaGrid(GridContract):
    engine = Engine.OPTUNA


class TestOptunaGridOnAConditionalSpace(TestOptunaGrid):
    space = LISTED_CONDITIONAL


class TestKerasTunerRandom(EnqueueingContract):
    engine, sampler = Engine.KERAS_TUNER, "random"


class TestKerasTunerRandomOnAConditionalSpace(TestKerasTunerRandom):
    space = CONDITIONAL


class TestKerasTunerBayesian(EnqueueingContract):
    engine, sampler = Engine.KERAS_TUNER, "bayesian"
    # It draws at random three times as often as there are parameters; with fewer of them its model is used.
    space = Space({name: MIXED.domains[name] for name in ("hidden_size", "learning_rate", "batch_size")})
    trials = 11


class TestKerasTunerBayesianOnAConditionalSpace(TestKerasTunerBayesian):
    space = Space({name: CONDITIONAL.domains[name] for name in ("architecture", "learning_rate", "filters")})


class TestKerasTunerGrid(GridContract):
    engine = Engine.KERAS_TUNER


class TestKerasTunerGridOnAConditionalSpace(TestKerasTunerGrid):
    space = LISTED_CONDITIONAL


class TestListed(GridContract):
    engine, sampler = Engine.LISTED, "listed"
    space = Space({**LISTED.domains, "seed": Choices((5,))})

    def spec(self, seed: int = 3) -> SweepSpec:
        points = tuple(self.space.grid())
        return SweepSpec("contract", Space.of(points), self.engine, self.sampler, seed=seed, points=points)


class TestListedOnAConditionalSpace(TestListed):
    space = LISTED_CONDITIONAL


RANDOM = [(Engine.OPTUNA, "random"), (Engine.OPTUNA, "qmc"), (Engine.KERAS_TUNER, "random")]
FINITE = Space(
    {
        "hidden_size": Choices((64, 128, 256)),
        "learning_rate": Choices((3e-4, 1e-3, 3e-3)),
        "dropout": FloatRange(0.0, 0.4, step=0.2),
    }
)


@pytest.mark.parametrize(("engine", "sampler"), [*RANDOM, (Engine.OPTUNA, "tpe")])
def test_a_space_with_no_more_points_is_exhausted(engine: Engine, sampler: str) -> None:
    space = Space({"hidden_size": Choices((8, 16)), "batch_size": Choices((32, 64))})
    driver = SearcherDriver(make_searcher(SweepSpec("small", space, engine, sampler, trials=50)))
    assert driver.run(50, at_a_time=2) is NoSuggestion.EXHAUSTED
    assert len(driver.points) == len({key_of(point) for point in driver.points}) == 4


@pytest.mark.parametrize("space", [FINITE, LISTED_CONDITIONAL], ids=["plain", "conditional"])
@pytest.mark.parametrize(("engine", "sampler"), RANDOM)
def test_random_points_do_not_end_before_every_point_was_tried(engine: Engine, sampler: str, space: Space) -> None:
    for seed in range(5):
        spec = SweepSpec("finite", space, engine, sampler, trials=500, seed=seed)
        driver = SearcherDriver(make_searcher(spec))
        assert driver.run(500, at_a_time=3) is NoSuggestion.EXHAUSTED
        assert len({key_of(point) for point in driver.points}) == space.size


@pytest.mark.parametrize(("engine", "sampler"), RANDOM)
def test_a_resumed_sweep_of_random_points_finds_the_last_one(engine: Engine, sampler: str) -> None:
    spec = SweepSpec("finite", FINITE, engine, sampler, trials=500, seed=1)
    before = SearcherDriver(make_searcher(spec))
    before.run(26)
    past = {number: (point, result_of(value_of(point))) for number, point in enumerate(before.points)}
    driver = SearcherDriver(make_searcher(spec, history_of(spec, past)))
    assert driver.run(500) is NoSuggestion.EXHAUSTED
    assert len({key_of(point) for point in [*before.points, *driver.points]}) == len(past) + len(driver.points) == 27


def test_the_last_of_many_points_is_found_too() -> None:
    space = Space({"hidden_size": IntRange(8, 160, step=8), "dropout": FloatRange(0.0, 0.45, step=0.05)})
    driver = SearcherDriver(make_searcher(SweepSpec("many", space, Engine.OPTUNA, "random", trials=500, seed=1)))
    assert driver.run(500) is NoSuggestion.EXHAUSTED
    assert len(driver.points) == space.size == 200


def test_a_gaussian_process_tries_every_point_of_a_finite_space() -> None:
    space = Space({"hidden_size": Choices((64, 128, 256)), "dropout": Choices((0.0, 0.2, 0.4))})
    driver = SearcherDriver(make_searcher(SweepSpec("finite", space, Engine.KERAS_TUNER, "bayesian", trials=50)))
    assert driver.run(50) is NoSuggestion.EXHAUSTED
    assert len(driver.points) == 9
