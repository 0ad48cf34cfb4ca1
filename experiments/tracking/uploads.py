"""Threads that upload models beside the one that writes runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

# A server's latency is hidden by few; MLflow's pool of connections to a database has 15.
UPLOAD_THREADS = 4


class UploadThreads:
    """Runs tasks in a few threads, which start as they are needed.

    They are daemons: the threads of the standard library's pools are joined when the process ends, so that an upload
    that hangs would keep it from ending.

    Args:
        count: of threads at most.
    """

    def __init__(self, count: int = UPLOAD_THREADS) -> None:
        self._count = count
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, task: Callable[[], None]) -> None:
        """Run a task, which handles its own errors, as soon as a thread is free."""
        self._tasks.put(task)
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, name=f"upload-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """End each thread after the tasks that were submitted; do not wait for it."""
        for _ in self._threads:
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
