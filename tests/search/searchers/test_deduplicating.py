"""Deduplication of the suggestions of a searcher that repeats itself."""

from __future__ import annotations

import itertools
import math

import pytest

from search.searchers.base import NoSuggestion, Suggestion
from search.searchers.deduplicating import MIN_DRAWS, DeduplicatingSearcher, draws_to_meet_any
from search.testing.values import outcome_of
from search.trial import TrialState
from tests.helpers.search_fakes import ListSearcher

A, B, C = ({"hidden_size": size} for size in (8, 16, 32))


def asked(searcher: DeduplicatingSearcher) -> Suggestion:
    suggestion = searcher.ask()
    assert isinstance(suggestion, Suggestion)
    return suggestion


def test_a_point_of_the_history_is_not_suggested_again() -> None:
    inner = ListSearcher([A, B])
    searcher = DeduplicatingSearcher(inner)
    searcher.add(A, outcome_of(0.8))
    assert asked(searcher).point == B
    assert inner.added == [(A, outcome_of(0.8))]
    assert inner.told == [(100, outcome_of(0.8))]
    assert inner.reports == [(100, 1, 0.4), (100, 2, 0.8)]


def test_a_point_that_has_ended_is_not_suggested_again() -> None:
    inner = ListSearcher([A, dict(A), B])
    searcher = DeduplicatingSearcher(inner)
    searcher.tell(asked(searcher).id, outcome_of(0.7, TrialState.PRUNED))
    assert asked(searcher).point == B
    assert inner.told == [(100, outcome_of(0.7, TrialState.PRUNED)), (101, outcome_of(0.7, TrialState.PRUNED))]


def test_a_failed_point_is_not_tried_again() -> None:
    inner = ListSearcher([A, dict(A), B])
    searcher = DeduplicatingSearcher(inner)
    searcher.tell(asked(searcher).id, outcome_of(0.7, TrialState.FAILED))
    assert asked(searcher).point == B
    assert inner.told[1] == (101, outcome_of(0.7, TrialState.FAILED))


def test_the_order_of_parameters_does_not_make_another_point() -> None:
    one, same = {"hidden_size": 8, "dropout": 0.1}, {"dropout": 0.1, "hidden_size": 8}
    searcher = DeduplicatingSearcher(ListSearcher([same, B]))
    searcher.add(one, outcome_of(0.8))
    assert asked(searcher).point == B


def test_repeats_of_a_running_point_are_told_when_it_ends() -> None:
    inner = ListSearcher([A, dict(A), dict(A), B])
    searcher = DeduplicatingSearcher(inner)
    first, second = asked(searcher), asked(searcher)
    assert (first.point, second.point) == (A, B)
    assert inner.told == []
    searcher.tell(second.id, outcome_of(0.2))
    assert inner.told == [(second.id, outcome_of(0.2))]
    searcher.tell(first.id, outcome_of(0.9))
    assert inner.told[1:] == [(id, outcome_of(0.9)) for id in (first.id, 101, 102)]


def test_repeats_are_told_once() -> None:
    inner = ListSearcher([A, dict(A), B, dict(A), C])
    searcher = DeduplicatingSearcher(inner)
    first, second = asked(searcher), asked(searcher)
    searcher.tell(first.id, outcome_of(0.9))
    searcher.tell(second.id, outcome_of(0.3))
    asked(searcher)
    assert sorted(id for id, _ in inner.told) == [100, 101, 102, 103]


def test_endless_repeats_of_known_points_end_the_search() -> None:
    searcher = DeduplicatingSearcher(ListSearcher(itertools.repeat(A, 10_000)))
    searcher.add(A, outcome_of(0.8))
    assert searcher.ask() is NoSuggestion.EXHAUSTED


def test_endless_repeats_wait_for_the_running_trial() -> None:
    searcher = DeduplicatingSearcher(ListSearcher(itertools.repeat(A, 10_000)))
    first = asked(searcher)
    assert searcher.ask() is NoSuggestion.WAIT
    searcher.tell(first.id, outcome_of(0.8))
    assert searcher.ask() is NoSuggestion.EXHAUSTED


def test_a_space_that_is_used_up_is_not_asked_for_more() -> None:
    inner = ListSearcher(itertools.chain([A, B], itertools.repeat(A, 10_000)))
    searcher = DeduplicatingSearcher(inner, size=3)
    searcher.add(C, outcome_of(0.8))
    first, second = asked(searcher), asked(searcher)
    assert [searcher.ask(), searcher.ask()] == [NoSuggestion.EXHAUSTED, NoSuggestion.EXHAUSTED]
    searcher.tell(first.id, outcome_of(0.7))
    searcher.tell(second.id, outcome_of(0.6))
    assert searcher.ask() is NoSuggestion.EXHAUSTED
    assert len(inner.points) == 2


def test_the_last_point_may_come_after_as_many_repeats_as_are_allowed() -> None:
    searcher = DeduplicatingSearcher(ListSearcher([*itertools.repeat(A, 500), B]), size=2, draws=500)
    searcher.add(A, outcome_of(0.8))
    assert asked(searcher).point == B
    impatient = DeduplicatingSearcher(ListSearcher([*itertools.repeat(A, 500), B]), size=2)
    impatient.add(A, outcome_of(0.8))
    assert impatient.ask() is NoSuggestion.EXHAUSTED


@pytest.mark.parametrize("size", [1, 4, 27, 1000, 99_000])
def test_random_draws_almost_certainly_meet_every_point(size: int) -> None:
    assert (1 - 1 / size) ** draws_to_meet_any(size) < 1e-10


def test_draws_from_a_continuous_space_are_few() -> None:
    assert draws_to_meet_any(math.inf) == MIN_DRAWS


def test_a_long_history_may_be_replayed_whole() -> None:
    points = [{"hidden_size": size} for size in range(1, 301)]
    searcher = DeduplicatingSearcher(ListSearcher([*points, C | {"l2": 0.5}]))
    for point in points:
        searcher.add(point, outcome_of(0.5))
    assert asked(searcher).point == {"hidden_size": 32, "l2": 0.5}


@pytest.mark.parametrize("inactive", list(NoSuggestion))
def test_the_reason_for_no_suggestion_is_that_of_the_inner_searcher(inactive: NoSuggestion) -> None:
    assert DeduplicatingSearcher(ListSearcher([inactive])).ask() is inactive


def test_enqueued_points_and_reports_are_passed_on() -> None:
    inner = ListSearcher([A], keep_going=lambda point, epoch: epoch < 2)
    searcher = DeduplicatingSearcher(inner)
    searcher.enqueue(B)
    suggestion = asked(searcher)
    assert [searcher.report(suggestion.id, epoch, 0.5) for epoch in (1, 2)] == [True, False]
    assert inner.enqueued == [B]
    assert inner.reports == [(suggestion.id, 1, 0.5), (suggestion.id, 2, 0.5)]
