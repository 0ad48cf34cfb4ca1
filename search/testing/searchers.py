"""The contract of a searcher as tests."""

# ruff: noqa: D102 — the names of tests are sentences.

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from search.domains import Choices, Domain, FloatRange, IntRange, Value
from search.engines import CustomEngine, Engine
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.base import NoSuggestion, Suggestion
from search.searchers.deduplicating import DeduplicatingSearcher
from search.searchers.factory import make_searcher
from search.space import SEARCHABLE, Point, Space, key_of
from search.spec import SweepSpec
from search.testing.values import history_of, outcome_of, result_of
from search.trial import TrialState

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
    """Return a validation accuracy that depends on the numbers of a point."""
    return 0.5 + 0.4 * sum(float(value) for value in point.values() if not isinstance(value, str)) / 400


class SearcherDriver:
    """Asks a searcher for points and tells it their outcomes, with several trials open at a time.

    Args:
        searcher: asked for points.
        objectives: number of values that an outcome has.
    """

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
            assert suggestion is NoSuggestion.EXHAUSTED or self.open, "WAIT although no trial is running"
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
        """Run more trials, and return the answer that ended them early.

        Args:
            trials: how many.
            at_a_time: open trials at most.
            states: of the trials, in turn.
            order: picks the trial that ends next; None ends the one that was opened last.

        Returns:
            None where as many points were suggested as were asked for.
        """
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
    """Tests that every searcher passes, as a sweep drives it: inside a ``DeduplicatingSearcher``.

    A subclass sets ``engine``, such as ``CustomEngine("package.module:Class")``, and where it must ``sampler``,
    ``space`` and ``trials``, the number of points that most tests ask for.
    """

    engine: Engine | CustomEngine
    sampler: str = "default"
    space: Space = MIXED
    trials = 8

    def spec(self, seed: int = 3) -> SweepSpec:
        """Return the sweep that is searched."""
        # All points of a grid; but the sampler of a custom engine is a word of its own, whatever it is.
        trials = 0 if self.sampler == "grid" and isinstance(self.engine, Engine) else 50
        return SweepSpec("contract", self.space, self.engine, self.sampler, trials=trials, seed=seed)

    def start(self, history: ResumeState = NOTHING_DONE, seed: int = 3) -> SearcherDriver:
        """Return a driver of a new searcher that has been told the history."""
        spec = self.spec(seed)
        return SearcherDriver(make_searcher(spec, history), len(spec.objectives))

    def test_suggests_plain_values_of_the_space(self) -> None:
        driver = self.start()
        driver.run(self.trials)
        assert len(driver.points) == self.trials
        assert all(point in self.space for point in driver.points)
        types = {**SEARCHABLE, "seed": int}
        assert all(type(value) is types[name] for point in driver.points for name, value in point.items())

    def test_gives_each_suggestion_an_id_and_a_point_of_its_own(self) -> None:
        driver = self.start()
        driver.run(self.trials, at_a_time=3)
        assert len(driver.ids) == len(set(driver.ids)) == self.trials
        assert len({key_of(point) for point in driver.points}) == self.trials

    @pytest.mark.parametrize("order", [0, 1])
    def test_lets_several_be_open_and_end_in_any_order(self, order: int) -> None:
        driver = self.start()
        # A searcher may bound the number of open trials, but not below two at the start.
        assert all(isinstance(driver.ask(), Suggestion) for _ in range(2))
        driver.tell(driver.ids[1])
        driver.run(self.trials - 2, at_a_time=3, order=random.Random(order))
        assert len({key_of(point) for point in driver.points}) == self.trials

    def test_takes_failed_and_pruned_trials(self) -> None:
        driver = self.start()
        driver.run(self.trials, at_a_time=2, states=(TrialState.FAILED, TrialState.COMPLETE, TrialState.PRUNED))
        assert len({key_of(point) for point in driver.points}) == self.trials

    def test_is_not_broken_by_failures_in_a_row(self) -> None:
        driver = self.start()
        driver.run(12, states=(TrialState.FAILED,))
        assert len({key_of(point) for point in driver.points}) == 12

    def test_repeats_itself_for_the_same_seed_and_events(self) -> None:
        states = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAILED)
        drivers = [self.start(), self.start()]
        for driver in drivers:
            driver.run(self.trials, at_a_time=2, states=states)
        assert drivers[0].points == drivers[1].points

    @pytest.mark.parametrize("finished", [0, 1, 4])
    def test_resumes_from_any_prefix(self, finished: int) -> None:
        before = self.start()
        before.run(finished + 1)
        past = {number: (point, result_of(value_of(point))) for number, point in enumerate(before.points[:finished])}
        lost = self.spec().trial(finished, before.points[finished])
        driver = self.start(history_of(self.spec(), past, [lost]))
        driver.run(4, at_a_time=2)
        assert lost.point in driver.points[:2]
        known = {key_of(point) for point in before.points[:finished]}
        assert known.isdisjoint(key_of(point) for point in driver.points)
        assert len({key_of(point) for point in driver.points}) == 4

    def test_learns_from_failed_and_pruned_trials_of_a_resumed_sweep(self) -> None:
        before = self.start()
        before.run(3)
        states = (TrialState.FAILED, TrialState.PRUNED, TrialState.COMPLETE)
        past = {
            number: (point, result_of(value_of(point), state))
            for number, (point, state) in enumerate(zip(before.points, states, strict=True))
        }
        driver = self.start(history_of(self.spec(), past))
        driver.run(3)
        known = {key_of(point) for point in before.points}
        assert len({key_of(point) for point in driver.points} - known) == 3

    def test_takes_values_at_the_very_ends_of_every_range(self) -> None:
        low, high = self.ends()
        driver = self.start(history_of(self.spec(), {0: (low, result_of(0.8)), 1: (high, result_of(0.6))}))
        driver.run(4)
        assert len(driver.points) == 4
        assert low not in driver.points
        assert high not in driver.points

    def ends(self) -> tuple[Point, Point]:
        """The point of all lowest or first values, and that of all highest or last ones."""

        def end(index: int) -> Point:
            return self.space.draw(lambda name, domain: _ends(domain)[index])

        return end(0), end(-1)


def _ends(domain: Domain) -> Sequence[Value]:
    if isinstance(domain, Choices):
        return domain.values
    return domain.listed() or (domain.low, domain.high)


class SeededContract(SearcherContract):
    """More tests, for searchers that draw by the seed of the sweep."""

    def test_another_seed_suggests_other_points(self) -> None:
        drivers = [self.start(seed=3), self.start(seed=4)]
        for driver in drivers:
            driver.run(3)
        assert drivers[0].points != drivers[1].points

    def test_goes_on_with_other_points_than_it_began_with(self) -> None:
        before = self.start()
        before.run(4)
        past = {number: (point, result_of(value_of(point))) for number, point in enumerate(before.points)}
        driver = self.start(history_of(self.spec(), past))
        driver.run(4)
        assert {key_of(point) for point in before.points}.isdisjoint(key_of(point) for point in driver.points)


class EnqueueingContract(SeededContract):
    """More tests, for seeded searchers that suggest any point that was enqueued, whoever chose it."""

    def test_suggests_a_lost_point_of_any_origin(self) -> None:
        low, high = self.ends()
        spec = self.spec()
        driver = self.start(history_of(spec, {0: (low, result_of(0.8))}, [spec.trial(1, high)]))
        driver.run(2)
        assert high in driver.points


class GridContract(SearcherContract):
    """More tests, for searchers that try every point of a space once."""

    space = LISTED
    sampler = "grid"

    @pytest.mark.parametrize("at_a_time", [1, 2, 3])
    def test_ends_after_every_point_was_tried_once(self, at_a_time: int) -> None:
        driver = self.start()
        end = driver.run(100, at_a_time, order=random.Random(at_a_time))
        assert end is NoSuggestion.EXHAUSTED
        assert sorted(map(key_of, driver.points)) == sorted(map(key_of, self.space.grid()))

    def test_ends_after_every_point_also_where_all_fail(self) -> None:
        driver = self.start()
        assert driver.run(100, at_a_time=2, states=(TrialState.FAILED,)) is NoSuggestion.EXHAUSTED
        assert sorted(map(key_of, driver.points)) == sorted(map(key_of, self.space.grid()))

    def test_stays_at_its_end(self) -> None:
        driver = self.start()
        driver.run(100)
        assert [driver.ask(), driver.ask()] == [NoSuggestion.EXHAUSTED, NoSuggestion.EXHAUSTED]

    @pytest.mark.parametrize("at_a_time", [1, 2])
    @pytest.mark.parametrize("finished", range(0, len(LISTED.grid()), 2))
    def test_tries_exactly_what_is_missing_when_resumed(self, finished: int, at_a_time: int) -> None:
        points = list(self.space.grid())
        random.Random(finished).shuffle(points)
        spec = self.spec()
        past = {number: (point, result_of(value_of(point))) for number, point in enumerate(points[:finished])}
        lost = [spec.trial(number, point) for number, point in enumerate(points)][finished : finished + at_a_time]
        driver = self.start(history_of(spec, past, lost))
        assert driver.run(100, at_a_time) is NoSuggestion.EXHAUSTED
        assert sorted(map(key_of, driver.points)) == sorted(map(key_of, points[finished:]))
