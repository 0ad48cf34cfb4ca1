"""Signals to a real process while it records them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")

LISTENER = """
import os, signal, sys
from experiments.signals import stop_on_signals

number = getattr(signal, sys.argv[1])
before = signal.getsignal(number)
with stop_on_signals() as stop:
    os.kill(os.getpid(), number)
    print("stop" if stop() else "go on", stop.exit_code)
assert signal.getsignal(number) == before
"""


def listen(name: str, ignored: bool) -> str:
    """Output of a process that sends itself a signal, and was started with it ignored or not."""

    def before_it_starts() -> None:
        signal.signal(getattr(signal, name), signal.SIG_IGN if ignored else signal.SIG_DFL)

    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", LISTENER, name],
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=before_it_starts,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_a_signal_that_was_ignored_before_stays_ignored(name: str) -> None:
    assert listen(name, ignored=True) == "go on 0"


@pytest.mark.parametrize(("name", "exit_code"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143)])
def test_any_other_signal_requests_a_stop(name: str, exit_code: int) -> None:
    assert listen(name, ignored=False) == f"stop {exit_code}"
