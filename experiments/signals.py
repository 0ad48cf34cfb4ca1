"""Ctrl-C, SIGTERM and SIGHUP as a request to stop, which the sweep reads between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
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
    handled = [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    previous = {number: signal.signal(number, record) for number in handled}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
