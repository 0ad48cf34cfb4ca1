"""Searchers that are asked for many points before the first result."""

from __future__ import annotations

import numpy as np

from search.searchers.base import NoSuggestion, Searcher
from search.searchers.factory import make_searcher
from search.space import Point, key_of
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.testing.values import outcome_of

RUNNING = 100


def asked(searcher: Searcher, count: int) -> list[Point]:
    """The points of so many asks, of which none has ended."""
    found = [searcher.ask() for _ in range(count)]
    return [one.point for one in found if not isinstance(one, NoSuggestion)]


def spec_of(text: str) -> SweepSpec:
    return parse_spec(f'name = "many"\n{text}')


def test_tpe_spreads_the_points_of_a_hundred_running_trials() -> None:
    spec = spec_of("trials = 200\n[space]\nlearning_rate = { low = 1e-4, high = 1e-2, log = true }\n")
    searcher = make_searcher(spec)
    # Twenty results, best at 1e-3: TPE has left its random start and prefers that neighbourhood.
    for _ in range(20):
        suggestion = searcher.ask()
        assert not isinstance(suggestion, NoSuggestion)
        away = abs(np.log10(float(suggestion.point["learning_rate"])) + 3)
        searcher.tell(suggestion.id, outcome_of(1.0 - float(away)))
    rates = sorted(float(point["learning_rate"]) for point in asked(searcher, RUNNING))
    assert len(set(rates)) == RUNNING
    # Without the constant liar they fall into three of the ten bins, nearly all of them into two.
    occupied, _ = np.histogram(np.log10(rates), bins=10, range=(-4, -2))
    assert np.count_nonzero(occupied) >= 8


def test_a_grid_of_keras_tuner_has_a_point_for_each_of_a_hundred_workers() -> None:
    sizes = ", ".join(str(8 + number) for number in range(20))
    spec = spec_of(
        'engine = "keras-tuner"\nsampler = "grid"\n[space]\n'
        f"hidden_size = [{sizes}]\ndropout = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]\n"
    )
    points = asked(make_searcher(spec), RUNNING)
    assert len({key_of(point) for point in points}) == RUNNING
