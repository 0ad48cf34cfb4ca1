"""Worker processes: forked from a process that has only imported TensorFlow, or spawned.

The driver itself is never forked. On Linux the standard library's fork server imports TensorFlow once; a process that
has computed nothing can be forked, and a worker is ready in a tenth of the time and with a third of the memory of one
that imports TensorFlow itself. Elsewhere, fork is missing or not safe, and workers are spawned.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from mnist_core.errors import WorkerError

PRELOADED = "search.executors.preload"
ATTEMPTS = 5
PAUSE_SECONDS = 0.2

_SPAWN = multiprocessing.get_context("spawn")
# The variables that the fork server was started with; every fork of it can read them.
_server_environment: frozenset[str] | None = None


def can_fork() -> bool:
    """Return whether workers can be forked here."""
    return sys.platform == "linux" and "forkserver" in multiprocessing.get_all_start_methods()


class ProcessStarter:
    """Starts worker processes without some variables of the environment.

    Args:
        withheld: names of variables that no worker process may have.
    """

    def __init__(self, withheld: Iterable[str]) -> None:
        self._withheld = frozenset(withheld)
        self.forks = can_fork() and self._ensure_server()

    def start(self, target: Callable[..., None], *args: Any) -> BaseProcess:
        """Start a process that calls ``target``; forked as soon as the fork server has imported its modules.

        Raises:
            WorkerError: the fork server died, and did so again and again.
        """
        for _ in range(ATTEMPTS):
            try:
                return self._start(target, args)
            except FileNotFoundError:
                if not self.forks:
                    raise
                # The socket of the fork server was deleted, as cleaners of /tmp do. It goes on living, since running
                # workers are its children; further ones are spawned.
                self.forks = False
                return self._start(target, args)
            except (EOFError, ConnectionError) as error:
                cause = error
                time.sleep(PAUSE_SECONDS)  # until its end has been noticed, when the next fork starts another
        raise WorkerError("no worker process could start: the process that they are forked from died") from cause

    def _start(self, target: Callable[..., None], args: tuple[Any, ...]) -> BaseProcess:
        context: Any = multiprocessing.get_context("forkserver") if self.forks else _SPAWN
        environment = {name: value for name, value in os.environ.items() if name not in self._withheld}
        process: BaseProcess = context.Process(
            target=_run, args=(environment, target, *args), daemon=True, name="mnist-search-worker"
        )
        try:
            with _environment_without(self._withheld), interrupts_pending():
                process.start()
        except BaseException:  # an interrupt that was held back comes when the process has started
            if process.pid is not None:
                process.kill()
                process.join()
            raise
        return process

    def _ensure_server(self) -> bool:
        """Start the fork server, which goes on importing by itself; False where it has a variable that is withheld."""
        global _server_environment
        with _environment_without(self._withheld), interrupts_pending():
            if _server_environment is None:
                _server_environment = frozenset(os.environ) - self._withheld
                forkserver.set_forkserver_preload([PRELOADED])
            elif _server_environment & self._withheld:
                return False
            forkserver.ensure_running()
        return True


def exit_with_parent() -> None:
    """End this worker process as soon as its driver has ended; watched in a thread."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(environment: Mapping[str, str], target: Callable[..., None], *args: Any) -> None:
    """Call ``target`` in a worker process, with the environment that the driver has now."""
    _ignore_interrupts()
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
    np.random.seed()  # the state of a fork is that of all others; Python's own generator sees to that by itself
    target(*args)


@contextmanager
def _environment_without(names: Iterable[str]) -> Iterator[None]:
    """Start processes without these variables, from their first instruction, within the block.

    ``os.environ`` keeps them, since other threads of the driver read their credentials from it at any time.
    """
    names = tuple(names)
    for name in names:
        os.unsetenv(name)
    try:
        yield
    finally:
        for name in names:
            if name in os.environ:
                os.putenv(name, os.environ[name])


@contextmanager
def interrupts_pending() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block; processes started within it block it until they ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Else it starts with the first process, and unblocks the signal after that.
    resource_tracker.ensure_running()
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C, since the driver ends its workers; a pending one is dropped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
