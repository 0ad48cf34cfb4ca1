"""Ctrl-C, SIGTERM and SIGHUP as a request to stop, which the sweep reads between two steps, or as a regular end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """The user's request to stop, and its signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        """True once a signal has arrived."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, by the convention of shells; 0 without one."""
        return 128 + self.signal if self.signal else 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Record SIGINT, SIGTERM and SIGHUP while the block runs; a second signal ends the process at once.

    A signal that the process ignores stays ignored, as ``nohup`` requires. Outside the main thread, where Python
    delivers no signals, the request stays unset.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def record(number: int, frame: FrameType | None) -> None:
        if request.signal is not None:
            raise SystemExit(128 + number)
        request.signal = signal.Signals(number)

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # None is a handler that was not installed from Python, which could not be restored.
    with _handled([one for one in numbers if signal.getsignal(one) not in (signal.SIG_IGN, None)], record):
        yield request


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Raise SystemExit at SIGTERM and SIGHUP while the block runs, where they would end the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    with _handled([one for one in numbers if signal.getsignal(one) is signal.SIG_DFL], end):
        yield


@contextmanager
def _handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals so while the block runs."""
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
