"""The times at which points of curves are written."""

from __future__ import annotations

import pytest
from mlflow.entities import Metric

from experiments.tracking.curve_buffer import FLUSH_SECONDS, MAX_POINTS, MAX_RUNS, MAX_SHARE, CurveBuffer


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def points(count: int) -> list[Metric]:
    return [Metric("loss", 0.5, 0, step) for step in range(1, count + 1)]


def write_round(buffer: CurveBuffer, clock: Clock, seconds_a_run: float) -> int:
    """Write a whole round at that speed; its number of runs."""
    written = 0
    while buffer.seconds_left() == 0:
        batch = buffer.next_batch()
        assert 0 < len(batch) <= MAX_RUNS
        clock.now += seconds_a_run * len(batch)
        buffer.written(seconds_a_run * len(batch))
        written += len(batch)
    return written


def test_points_are_written_after_a_second() -> None:
    clock = Clock()
    buffer = CurveBuffer(clock)
    assert buffer.seconds_left() is None
    buffer.add("a", points(2))
    assert buffer.seconds_left() == FLUSH_SECONDS
    clock.now += FLUSH_SECONDS
    assert buffer.seconds_left() == 0
    assert [(run, len(batch)) for run, batch in buffer.next_batch()] == [("a", 2)]
    buffer.written(0.01)
    assert buffer.seconds_left() is None


@pytest.mark.parametrize("runs", [1, 100, 1000])
def test_rounds_take_at_most_their_share_of_the_time(runs: int) -> None:
    clock = Clock()
    buffer = CurveBuffer(clock)
    clock.now += FLUSH_SECONDS
    began, writing = clock.now, 0.0
    for _ in range(5):
        for number in range(runs):
            buffer.add(str(number), points(1))
        clock.now += buffer.seconds_left() or 0.0
        assert write_round(buffer, clock, 0.006) == runs
        writing += 0.006 * runs
        buffer.add("next", points(1))
        clock.now += buffer.seconds_left() or 0.0
        buffer.take("next")
    assert writing <= MAX_SHARE * (clock.now - began) + 1e-9


def test_a_run_with_as_many_points_as_a_request_takes_waits_for_no_round() -> None:
    buffer = CurveBuffer(Clock())
    buffer.add("few", points(1))
    buffer.add("many", points(MAX_POINTS))
    assert buffer.seconds_left() == 0
    assert [run for run, _ in buffer.next_batch()] == ["many"]
    buffer.written(0.01)
    assert buffer.seconds_left() == FLUSH_SECONDS


def test_a_run_that_ends_is_not_written_by_the_round_too() -> None:
    clock = Clock()
    buffer = CurveBuffer(clock)
    for number in range(MAX_RUNS + 1):
        buffer.add(str(number), points(1))
    clock.now += FLUSH_SECONDS
    buffer.next_batch()
    buffer.written(0.01)
    last = str(MAX_RUNS)
    assert len(buffer.take(last)) == 1
    assert buffer.seconds_left() is None
    assert buffer.take(last) == []
    # With it the round has ended, so the next one is as far away as ever.
    buffer.add("next", points(1))
    assert buffer.seconds_left() == FLUSH_SECONDS
