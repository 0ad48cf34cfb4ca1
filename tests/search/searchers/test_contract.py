"""What every searcher keeps to, whichever engine and sampler is behind it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from search.domains import Choices, FloatRange, IntRange
from search.engines import Engine
from search.objectives import MODEL_SIZE, VAL_ACCURACY
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.base import NoSuggestion, Suggestion
from search.searchers.deduplicating import DeduplicatingSearcher
from search.searchers.factory import make_searcher
from search.space import SEARCHABLE, Point, Space, key_of
from search.spec import SweepSpec
from search.trial import TrialState
from tests.helpers.search_fakes import history_of, outcome_of, result_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning:keras_tuner"),
    pytest.mark.filterwarnings("ignore:The optimal value found for dimension"),  # of the Gaussian process's kernel
]

MIXED = Space(
    {
        "hidden_size": IntRange(8, 64, log=True),
        "hidden_layers": IntRange(1, 3),
        "learning_rate": FloatRange(1e-4, 1e-2, log=True),
        "dropout": FloatRange(0.0, 0.5),
        "l2": FloatRange(0.0, 0.3, step=0.1),
        "batch_size": Choices((32, 64, 128)),
        "architecture": Choices(("mlp",)),
        "batch_normalization": Choices((False, True)),
    }
)
CONDITIONAL = Space(
    {
        "filters": IntRange(4, 16, log=True),
        "learning_rate": FloatRange(1e-4, 1e-2, log=True),
        "architecture": Choices(("mlp", "cnn")),
        "block_dropout": FloatRange(0.0, 0.5),
        "hidden_size": IntRange(8, 64),
        "pooling": Choices(("max", "average")),
    }
)
CONTINUOUS = Space({"learning_rate": FloatRange(1e-4, 1e-2, log=True), "dropout": FloatRange(0.0, 0.5)})
LISTED = Space(
    {
        "hidden_size": IntRange(8, 24, step=8),
        "dropout": FloatRange(0.0, 0.3, step=0.3),
        "l2": Choices((1e-4, 0.0)),
        "architecture": Choices(("mlp",)),
    }
)
LISTED_CONDITIONAL = Space(
    {
        "blocks": IntRange(1, 3),
        "hidden_size": Choices((16, 8)),
        "architecture": Choices(("cnn", "mlp")),
        "pooling": Choices(("max", "average")),
    }
)


def value_of(point: Point) -> float:
    """A validation accuracy that the numbers of a point decide."""
    return 0.5 + 0.4 * sum(float(value) for value in point.values() if not isinstance(value, str)) / 400


class Desk:
    """Asks a searcher for points and tells it what became of them, some being open at a time."""

    def __init__(self, searcher: DeduplicatingSearcher, objectives: int = 1) -> None:
        self.searcher = searcher
        self.objectives = objectives
        self.open: dict[int, Point] = {}
        self.points: list[Point] = []
        self.ids: list[int] = []

    def ask(self) -> Suggestion | NoSuggestion:
        suggestion = self.searcher.ask()
        if isinstance(suggestion, Suggestion):
            self.open[suggestion.id] = suggestion.point
            self.points.append(suggestion.point)
            self.ids.append(suggestion.id)
        else:
            assert suggestion is NoSuggestion.EXHAUSTED or self.open, "told to wait with nothing to wait for"
        return suggestion

    def tell(self, id: int, state: TrialState = TrialState.COMPLETE) -> None:
        value = value_of(self.open.pop(id))
        outcome = outcome_of(value, state)
        if outcome.values:
            outcome = replace(outcome, values=(value, 100 * value)[: self.objectives])
        for epoch, value in enumerate(outcome.curve, start=1):
            self.searcher.report(id, epoch, value)
        self.searcher.tell(id, outcome)

    def run(
        self,
        trials: int,
        at_a_time: int = 1,
        states: Iterable[TrialState] = (TrialState.COMPLETE,),
        order: random.Random | None = None,
    ) -> NoSuggestion | None:
        """Run this many more trials; what was answered instead of a suggestion where there were not so many."""
        states, end = tuple(states), None
        goal = len(self.points) + trials
        while (end is not NoSuggestion.EXHAUSTED and len(self.points) < goal) or self.open:
            end = None
            while end is None and len(self.open) < at_a_time and len(self.points) < goal:
                answer = self.ask()
                end = answer if isinstance(answer, NoSuggestion) else None
            if self.open:
                waiting = list(self.open)
                self.tell(order.choice(waiting) if order else waiting[-1], states[len(self.points) % len(states)])
        return end


class SearcherContract:
    """Inherited by the tests of every engine and sampler."""

    engine: Engine
    sampler: str
    space: Space = MIXED
    trials = 8

    def spec(self, seed: int = 3) -> SweepSpec:
        trials = 0 if self.sampler == "grid" else 50
        return SweepSpec("contract", self.space, self.engine, self.sampler, trials=trials, seed=seed)

    def session(self, history: ResumeState = NOTHING_DONE, seed: int = 3) -> Desk:
        spec = self.spec(seed)
        return Desk(make_searcher(spec, history), len(spec.objectives))

    def test_suggests_plain_values_of_the_space(self) -> None:
        session = self.session()
        session.run(self.trials)
        assert len(session.points) == self.trials
        assert all(point in self.space for point in session.points)
        types = {**SEARCHABLE, "seed": int}
        assert all(type(value) is types[name] for point in session.points for name, value in point.items())

    def test_gives_each_suggestion_an_id_and_a_point_of_its_own(self) -> None:
        session = self.session()
        session.run(self.trials, at_a_time=3)
        assert len(session.ids) == len(set(session.ids)) == self.trials
        assert len({key_of(point) for point in session.points}) == self.trials

    @pytest.mark.parametrize("order", [0, 1])
    def test_lets_several_be_open_and_end_in_any_order(self, order: int) -> None:
        session = self.session()
        # How many can be open at a time is for the engine to say; two always can at the start.
        assert all(isinstance(session.ask(), Suggestion) for _ in range(2))
        session.tell(session.ids[1])
        session.run(self.trials - 2, at_a_time=3, order=random.Random(order))
        assert len({key_of(point) for point in session.points}) == self.trials

    def test_takes_failed_and_pruned_trials(self) -> None:
        session = self.session()
        session.run(self.trials, at_a_time=2, states=(TrialState.FAILED, TrialState.COMPLETE, TrialState.PRUNED))
        assert len({key_of(point) for point in session.points}) == self.trials

    def test_is_not_broken_by_failures_in_a_row(self) -> None:
        session = self.session()
        session.run(12, states=(TrialState.FAILED,))
        assert len({key_of(point) for point in session.points}) == 12

    def test_repeats_itself_for_the_same_seed_and_events(self) -> None:
        states = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAILED)
        desks = [self.session(), self.session()]
        for session in desks:
            session.run(self.trials, at_a_time=2, states=states)
        assert desks[0].points == desks[1].points

    @pytest.mark.parametrize("finished", [0, 1, 4])
    def test_resumes_from_any_prefix(self, finished: int) -> None:
        before = self.session()
        before.run(finished + 1)
        past = {number: (point, result_of(value_of(point))) for number, point in enumerate(before.points[:finished])}
        lost = self.spec().trial(finished, before.points[finished])
        session = self.session(history_of(self.spec(), past, [lost]))
        session.run(4, at_a_time=2)
        assert lost.point in session.points[:2]
        known = {key_of(point) for point in before.points[:finished]}
        assert known.isdisjoint(key_of(point) for point in session.points)
        assert len({key_of(point) for point in session.points}) == 4

    def test_learns_from_failed_and_pruned_trials_of_a_resumed_sweep(self) -> None:
        before = self.session()
        before.run(3)
        states = (TrialState.FAILED, TrialState.PRUNED, TrialState.COMPLETE)
        past = {
            number: (point, result_of(value_of(point), state))
            for number, (point, state) in enumerate(zip(before.points, states, strict=True))
        }
        session = self.session(history_of(self.spec(), past))
        session.run(3)
        known = {key_of(point) for point in before.points}
        assert len({key_of(point) for point in session.points} - known) == 3

    def test_takes_values_at_the_very_ends_of_every_range(self) -> None:
        low, high = self.ends()
        session = self.session(history_of(self.spec(), {0: (low, result_of(0.8)), 1: (high, result_of(0.6))}))
        session.run(4)
        assert len(session.points) == 4
        assert low not in session.points
        assert high not in session.points

    def ends(self) -> tuple[Point, Point]:
        """The point of all lowest or first values, and that of all highest or last ones."""

        def end(index: int) -> Point:
            return self.space.draw(lambda name, domain: (domain.listed() or (domain.low, domain.high))[index])

        return end(0), end(-1)


class SeededContract(SearcherContract):
    """For samplers that draw."""

    def test_another_seed_suggests_other_points(self) -> None:
        desks = [self.session(seed=3), self.session(seed=4)]
        for session in desks:
            session.run(3)
        assert desks[0].points != desks[1].points

    def test_goes_on_with_other_points_than_it_began_with(self) -> None:
        before = self.session()
        before.run(4)
        past = {number: (point, result_of(value_of(point))) for number, point in enumerate(before.points)}
        session = self.session(history_of(self.spec(), past))
        session.run(4)
        assert {key_of(point) for point in before.points}.isdisjoint(key_of(point) for point in session.points)


class EnqueueingContract(SeededContract):
    """For samplers that can be handed a point of another's choice, as a sweep begun elsewhere leaves behind."""

    def test_suggests_a_lost_point_of_any_origin(self) -> None:
        low, high = self.ends()
        spec = self.spec()
        session = self.session(history_of(spec, {0: (low, result_of(0.8))}, [spec.trial(1, high)]))
        session.run(2)
        assert high in session.points


class GridContract(SearcherContract):
    """For samplers that try every point of a space."""

    space = LISTED
    sampler = "grid"

    @pytest.mark.parametrize("at_a_time", [1, 2, 3])
    def test_ends_after_every_point_was_tried_once(self, at_a_time: int) -> None:
        session = self.session()
        end = session.run(100, at_a_time, order=random.Random(at_a_time))
        assert end is NoSuggestion.EXHAUSTED
        assert sorted(map(key_of, session.points)) == sorted(map(key_of, self.space.grid()))

    def test_ends_after_every_point_also_where_all_fail(self) -> None:
        session = self.session()
        assert session.run(100, at_a_time=2, states=(TrialState.FAILED,)) is NoSuggestion.EXHAUSTED
        assert sorted(map(key_of, session.points)) == sorted(map(key_of, self.space.grid()))

    def test_stays_at_its_end(self) -> None:
        session = self.session()
        session.run(100)
        assert [session.ask(), session.ask()] == [NoSuggestion.EXHAUSTED, NoSuggestion.EXHAUSTED]

    @pytest.mark.parametrize("at_a_time", [1, 2])
    @pytest.mark.parametrize("finished", range(0, len(LISTED.grid()), 2))
    def test_tries_exactly_what_is_missing_when_resumed(self, finished: int, at_a_time: int) -> None:
        points = list(self.space.grid())
        random.Random(finished).shuffle(points)
        spec = self.spec()
        past = {number: (point, result_of(value_of(point))) for number, point in enumerate(points[:finished])}
        lost = [spec.trial(number, point) for number, point in enumerate(points)][finished : finished + at_a_time]
        session = self.session(history_of(spec, past, lost))
        assert session.run(100, at_a_time) is NoSuggestion.EXHAUSTED
        assert sorted(map(key_of, session.points)) == sorted(map(key_of, points[finished:]))


class TestOptunaTpe(EnqueueingContract):
    engine, sampler = Engine.OPTUNA, "tpe"
    trials = 14  # ten are drawn at random before the estimator has its say


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
    # It draws at random three times as often as there are parameters; fewer of them let it come to its own.
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
    session = Desk(make_searcher(SweepSpec("small", space, engine, sampler, trials=50)))
    assert session.run(50, at_a_time=2) is NoSuggestion.EXHAUSTED
    assert len(session.points) == len({key_of(point) for point in session.points}) == 4


@pytest.mark.parametrize("space", [FINITE, LISTED_CONDITIONAL], ids=["plain", "conditional"])
@pytest.mark.parametrize(("engine", "sampler"), RANDOM)
def test_random_points_do_not_end_before_every_point_was_tried(engine: Engine, sampler: str, space: Space) -> None:
    for seed in range(5):
        spec = SweepSpec("finite", space, engine, sampler, trials=500, seed=seed)
        session = Desk(make_searcher(spec))
        assert session.run(500, at_a_time=3) is NoSuggestion.EXHAUSTED
        assert len({key_of(point) for point in session.points}) == space.size


@pytest.mark.parametrize(("engine", "sampler"), RANDOM)
def test_a_resumed_sweep_of_random_points_finds_the_last_one(engine: Engine, sampler: str) -> None:
    spec = SweepSpec("finite", FINITE, engine, sampler, trials=500, seed=1)
    before = Desk(make_searcher(spec))
    before.run(26)
    past = {number: (point, result_of(value_of(point))) for number, point in enumerate(before.points)}
    session = Desk(make_searcher(spec, history_of(spec, past)))
    assert session.run(500) is NoSuggestion.EXHAUSTED
    assert len({key_of(point) for point in [*before.points, *session.points]}) == len(past) + len(session.points) == 27


def test_the_last_of_many_points_is_found_too() -> None:
    space = Space({"hidden_size": IntRange(8, 160, step=8), "dropout": FloatRange(0.0, 0.45, step=0.05)})
    session = Desk(make_searcher(SweepSpec("many", space, Engine.OPTUNA, "random", trials=500, seed=1)))
    assert session.run(500) is NoSuggestion.EXHAUSTED
    assert len(session.points) == space.size == 200


def test_a_gaussian_process_tries_every_point_of_a_finite_space() -> None:
    space = Space({"hidden_size": Choices((64, 128, 256)), "dropout": Choices((0.0, 0.2, 0.4))})
    session = Desk(make_searcher(SweepSpec("finite", space, Engine.KERAS_TUNER, "bayesian", trials=50)))
    assert session.run(50) is NoSuggestion.EXHAUSTED
    assert len(session.points) == 9
