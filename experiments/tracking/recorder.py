"""The only writer of trials to MLflow: a bounded queue, and one thread that writes what is in it.

The loop of a sweep hands each event over and goes on, so no worker waits for MLflow while the queue has room. One
thread writes to the store, in the order of the events; models are uploaded in threads beside it, and the run of a trial
is closed once its model is there. After an error nothing more is written.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from types import TracebackType

from experiments.tracking.sweep_runs import metric_points
from experiments.tracking.trial_runs import TrialEnd, TrialRuns
from experiments.tracking.uploads import UploadThreads
from mnist_core.errors import StoreError, SweepInUseError
from mnist_core.metrics import EpochMetrics
from search.executors.base import Finished
from search.trial import Trial, TrialResult

MAX_QUEUED = 4096
"""Events that wait to be written, at most; the loop waits where there are so many."""
MAX_UNRECORDED = 256
"""Trials that ended and are not yet recorded, at most: their models lie on this machine's disk."""
FINISH_SECONDS = 60.0
"""Seconds for which what is left is written after an error that is not the store's."""
STOP_SECONDS = 5.0
# Waits are cut into slices, since a wait in Python does not end with a signal on every system.
_SLICE_SECONDS = 0.5


class SweepRecorder:
    """Writer of the child runs of one sweep; a :class:`search.sweep.Recorder`.

    It is a context manager: everything is written when its block has ended. Where an error of the store, a second
    signal or another driver ends the block, or what is left cannot be written within ``FINISH_SECONDS`` after another
    error, the rest is dropped; resuming closes the runs that stay open.

    Its methods are called from one thread. Each may raise the error of an earlier event.

    Args:
        runs: written by this recorder alone.
        stop: True once the user has asked to stop. A method that waits for room in the queue waits for at most
            ``FINISH_SECONDS`` then.
    """

    def __init__(self, runs: TrialRuns, stop: Callable[[], bool] = lambda: False) -> None:
        self._runs, self._stop_requested = runs, stop
        self._uploads = UploadThreads()
        # A daemon: a store that does not answer keeps no process from ending.
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        # It guards all that follows.
        self._changed = threading.Condition()
        self._queue: deque[Callable[[], None]] = deque()
        self._uploaded: deque[Callable[[], None]] = deque()
        self._recorded: list[Finished] = []
        self._unrecorded = 0
        self._is_writing = self._has_flushed = False
        self._is_stopped = False
        self._error: BaseException | None = None
        self.writing_seconds = 0.0
        """Wall time that the thread spent on writing; uploads of models beside it do not count."""
        self.waiting_seconds = 0.0
        """Wall time for which the caller waited for the thread."""

    def __enter__(self) -> SweepRecorder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish(None)
            elif isinstance(error, Exception) and self._error is None and not isinstance(error, StoreError):
                with suppress(StoreError, SweepInUseError):  # the first error is the cause
                    self._finish(FINISH_SECONDS)
        finally:
            self._stop()
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive() and self._runs.lease:
                self._runs.lease.leave_to_expire()

    def trial_started(self, trial: Trial) -> None:
        """Have a child run created, with its parameters and data set."""
        self._hand_over(partial(self._runs.open, trial, _now()))

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """Have an epoch written: within about a second, or with the end of the trial where many are running."""
        recorded = {name: value for name, value in asdict(metrics).items() if value is not None}
        self._hand_over(partial(self._runs.add_points, trial, metric_points(recorded, step=epoch)))

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """Have the run of a lost attempt closed."""
        self._hand_over(partial(self._runs.lose, trial, cause, _now()))

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        """Have the model uploaded, the metrics of its weights logged and the run closed."""
        self._hand_over(partial(self._end, TrialEnd(trial, result, _now())), ended=1)

    def recorded(self, timeout: float = 0.0) -> Sequence[Finished]:
        """Return the trials whose ends have been recorded since the last call, with the recorded results.

        A result differs from the worker's where the model could not be uploaded: the trial is FAILED.

        Args:
            timeout: seconds to wait for the first.
        """
        with self._changed:
            if timeout:
                self._wait(lambda: bool(self._recorded), timeout)
            self._raise_error()
            recorded, self._recorded = self._recorded, []
            return recorded

    def finish(self, timeout: float | None = None) -> Sequence[Finished]:
        """Wait until all that was handed over is written; return what :meth:`recorded` would.

        Raises:
            StoreError: it is not written within the timeout, in seconds. Nothing more is written then.
        """
        self._finish(timeout)
        return self.recorded()

    def _finish(self, timeout: float | None) -> None:
        with self._changed:
            if not (self._is_stopped or self._error):
                self._queue.append(self._runs.flush_all)
                self._changed.notify_all()
            if not self._wait(self._is_idle, timeout):
                self._give_up(timeout)
            self._raise_error()

    def _is_idle(self) -> bool:
        return not (self._queue or self._uploaded or self._unrecorded or self._is_writing)

    def _hand_over(self, step: Callable[[], None], ended: int = 0) -> None:
        def has_room() -> bool:
            return len(self._queue) < MAX_QUEUED and self._unrecorded + ended <= MAX_UNRECORDED

        with self._changed:
            while not (self._wait(has_room, _SLICE_SECONDS) or self._stop_requested()):
                pass
            # A store that does not answer would keep the sweep from noticing that it is to stop.
            if not self._wait(has_room, FINISH_SECONDS):
                self._give_up(FINISH_SECONDS)
            self._raise_error()
            if self._is_stopped or not self._thread.is_alive():
                raise RuntimeError("a recorder records within its with block only")
            self._queue.append(step)
            self._unrecorded += ended
            self._changed.notify_all()

    def _wait(self, is_done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something is done, or there is an error; False after the timeout. The lock is held."""
        started = now = time.monotonic()
        deadline = None if timeout is None else started + timeout
        while not (is_done() or self._error or self._is_stopped):
            if deadline is not None and now >= deadline:
                break
            self._changed.wait(_SLICE_SECONDS if deadline is None else min(_SLICE_SECONDS, deadline - now))
            now = time.monotonic()
        self.waiting_seconds += now - started
        return is_done() or self._error is not None

    def _give_up(self, timeout: float | None) -> None:
        """Drop what is not written, which becomes an error."""
        within = "" if timeout is None else f" within {timeout:.0f} s"
        self._stop(
            StoreError(
                f"{self._runs.store.shown}: not all was written{within}; {self._unrecorded} of the trials that ended "
                "are not recorded, and resuming tries them again"
            )
        )

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _stop(self, error: BaseException | None = None) -> None:
        """Drop what is not written."""
        with self._changed:
            self._error = self._error or error
            self._is_stopped = True
            self._queue.clear()
            self._uploads.close()
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            while (step := self._next_step()) is not None:
                started = time.monotonic()
                step()
                self.writing_seconds += time.monotonic() - started
        except BaseException as error:  # raised to the caller at its next step
            self._stop(error)

    def _next_step(self) -> Callable[[], None] | None:
        """Wait for what is to be written next; None once the recorder is stopped."""
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            while not self._is_stopped:
                seconds = self._runs.seconds_to_flush()
                waiting = self._uploaded or self._queue
                # In turns: a round of curves of many runs would keep everything else waiting.
                if seconds == 0 and not (waiting and self._has_flushed):
                    self._is_writing = self._has_flushed = True
                    return self._runs.flush
                if waiting:
                    self._is_writing, self._has_flushed = True, False
                    return waiting.popleft()
                self._changed.wait(seconds)
            return None

    def _end(self, end: TrialEnd) -> None:
        if end.result.model is None:
            self._close(end)
        else:
            self._uploads.submit(partial(self._upload, replace(end, model=self._runs.create_model(end))))

    def _upload(self, end: TrialEnd) -> None:
        """Upload a model, in a thread for that; the run is closed by the thread that writes."""
        if self._is_stopped:
            return
        try:
            self._runs.upload_model(end)
        except StoreError as failure:
            end = replace(end, failure=failure)
        except BaseException as error:
            self._stop(error)
            return
        with self._changed:
            self._uploaded.append(partial(self._close, end))
            self._changed.notify_all()

    def _close(self, end: TrialEnd) -> None:
        recorded = Finished(end.trial, self._runs.close(end))
        with self._changed:
            self._recorded.append(recorded)
            self._unrecorded -= 1


def _now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
