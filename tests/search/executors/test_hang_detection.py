"""The time for which a trial may report nothing, by a clock that is set by hand."""

from __future__ import annotations

from search.executors.hang_detection import MAX_STEP_SECONDS, MIN_AUTOMATIC_SECONDS, SILENCE_FACTOR, SilenceWatch


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def look_for(watch: SilenceWatch, clock: Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.time += 1
        watch.look()


def test_a_trial_is_hung_when_it_was_silent_for_longer_than_the_limit() -> None:
    clock = Clock()
    watch = SilenceWatch(60.0, clock)
    look_for(watch, clock, 5)
    since = watch.now
    look_for(watch, clock, 60)
    assert not watch.is_hung(since)
    look_for(watch, clock, 1)
    assert watch.is_hung(since)
    assert not watch.is_hung(watch.now)


def test_time_that_passed_unwatched_is_not_held_against_a_trial() -> None:
    clock = Clock()
    watch = SilenceWatch(60.0, clock)
    since = watch.now
    clock.time += 3600
    watch.look()
    assert watch.now - since == MAX_STEP_SECONDS
    assert not watch.is_hung(since)


def test_without_a_limit_there_is_one_that_grows_with_the_longest_silence() -> None:
    clock = Clock()
    watch = SilenceWatch(None, clock)
    assert watch.limit == MIN_AUTOMATIC_SECONDS
    for seconds in (3, 100, 7):
        since = watch.now
        look_for(watch, clock, seconds)
        watch.end_silence(since)
    assert watch.limit == SILENCE_FACTOR * 100 > MIN_AUTOMATIC_SECONDS


def test_a_given_limit_stays_as_it_is() -> None:
    clock = Clock()
    watch = SilenceWatch(150.0, clock)
    look_for(watch, clock, 100)
    watch.end_silence(0.0)
    assert watch.limit == 150.0
