"""The actor that runs trials on a node of a Ray cluster.

Ray sends this class by value, so that it starts on a node without this project too, and can say what is missing there.
For that, the module imports nothing but the standard library; every method returns values of the standard library or
of :mod:`search.executors.ray_messages`.
"""

from __future__ import annotations

import os
import queue
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any


class RayActor:
    """One worker: trains a trial at a time in a thread of its own, while its calls carry epochs and decisions.

    Each call returns the messages that there are, and waits for the first of them.

    Args:
        parts: pickled settings of the worker (:class:`~search.worker.WorkerContext` without its data), and a list
            with the reference of the images, which is fetched here.
        gpu: False hides all GPUs of the node from this worker.
    """

    def __init__(self, parts: bytes, images: list[Any], gpu: bool) -> None:
        if not gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        self._parts, self._images = parts, images
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._staging: Path | None = None
        # One thread for the whole life of the actor: Keras keeps its settings for each thread.
        threading.Thread(target=self._run, daemon=True).start()

    def hello(self) -> dict[str, Any]:
        """Load TensorFlow and the data, and describe this worker.

        Returns:
            ``host``, ``node`` (id), ``pid``, ``versions`` (pairs), and ``problem``, a text that is empty where the
            worker is ready.
        """
        import ray

        self._tasks.put(None)
        problem = self._messages.get()
        return {
            "host": socket.gethostname(),
            "node": ray.get_runtime_context().get_node_id(),
            "pid": os.getpid(),
            "versions": _versions(),
            "problem": problem,
        }

    def start(self, trial: Any) -> None:
        """Begin a trial. It returns at once, so that a worker which died before is told from one that dies under it."""
        self._tasks.put(trial)

    def messages(self) -> list[Any]:
        """Return the first messages of the trial."""
        return self._following()

    def go_on(self, answer: bool) -> list[Any]:
        """Pass on the decision about the last epoch, where one is waited for, and return the next messages."""
        self._answers.put(answer)
        return self._following()

    def _following(self) -> list[Any]:
        messages = [self._messages.get()]
        while not self._messages.empty():
            messages.append(self._messages.get())
        return messages

    def _run(self) -> None:
        try:
            runtime = self._prepare()
            problem = ""
        except BaseException as error:
            runtime, problem = None, f"{type(error).__name__}: {error}"
        self._remove_files()
        self._tasks.get()
        self._messages.put(problem)
        try:
            while runtime is not None:
                self._train(self._tasks.get(), runtime)
        except BaseException:  # else the outstanding call would wait for ever
            os._exit(1)

    def _prepare(self) -> Any:
        import pickle
        from dataclasses import replace

        import ray

        from search.executors.ray_messages import ObjectStoreImages
        from search.worker import WorkerRuntime

        self._staging = Path(tempfile.mkdtemp(prefix="mnist-search-"))
        context = pickle.loads(self._parts)
        source = ObjectStoreImages(*ray.get(self._images[0]))
        runtime = WorkerRuntime(replace(context, source=source, staging=self._staging), own_process=True)
        runtime.split  # noqa: B018 — loads TensorFlow, and checks the digest of the images
        return runtime

    def _remove_files(self) -> None:
        """Remove the whole staging folder, between trials as well: an actor that is ended cannot do that."""
        if self._staging:
            shutil.rmtree(self._staging, ignore_errors=True)

    def _train(self, trial: Any, runtime: Any) -> None:
        from search.executors.ray_messages import Done, EpochEnd, read_files
        from search.worker import run_trial

        while not self._answers.empty():
            self._answers.get()

        def report(epoch: int, metrics: Any) -> bool:
            self._messages.put(EpochEnd(epoch, metrics))
            return self._answers.get() if runtime.context.pruning else True

        result = run_trial(trial, runtime, report)
        files = read_files(result.model.folder) if result.model else ()
        self._remove_files()
        self._messages.put(Done(result, files))


def _versions() -> list[tuple[str, str]]:
    """Return the versions of what decides whether two workers train alike; ``missing`` where one is not installed."""
    try:
        from search.worker_info import versions_here
    except ImportError:
        import platform

        return [("python", platform.python_version()), ("mnist-search", "missing")]
    return list(versions_here())
