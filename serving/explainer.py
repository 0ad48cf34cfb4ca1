"""Explanations by Keras in a process of its own, which the first one starts and which ends when nobody asks for more.

TensorFlow takes three times the memory of the service, and its import holds up all threads of a process again and
again, for up to a second on a busy machine.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from mnist_core import runtime
from mnist_core.arrays import Images
from mnist_core.errors import ModelError
from mnist_core.models.explanation import PredictionExplanation

if TYPE_CHECKING:
    from mnist_core.models.predictor import CompiledPredictor

IDLE_SECONDS = 300.0
LIMIT_SECONDS = 120.0
"""For one explanation, the start of its process included: some seconds, and many on a busy machine."""
MAX_TRIES = 2


class Explainer(Protocol):
    """A model that explains its predictions."""

    def explain(self, image: Images) -> PredictionExplanation:
        """Explain the probabilities of an image of shape ``(28, 28)``, uint8."""


class ExplainerProcess:
    """Explains the predictions of a Keras model, one at a time, from any thread.

    Args:
        content: of its ``.keras`` file, whose digest has been checked.
        command: of the process, which calls :func:`answer`; None for the one that loads the file.
        limit_seconds: time after which a process that has not answered is ended.
    """

    def __init__(
        self, content: bytes, command: Sequence[str] | None = None, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._content = content
        self._command = command or _command()
        self._limit_seconds = limit_seconds
        self._closed = False
        self._child: subprocess.Popen[bytes] | None = None
        self._end_child: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def explain(self, image: Images) -> PredictionExplanation:
        """Explain the probabilities of an image of shape ``(28, 28)``, uint8. The first time it takes seconds.

        Raises:
            ModelError: the model cannot be loaded, or its process ends before it answers.
        """
        with self._lock:
            reply = self._reply(image)
        if isinstance(reply, ModelError):
            raise reply
        assert isinstance(reply, PredictionExplanation)
        return reply

    def close(self) -> None:
        """End the process, also while it explains. No other is started."""
        self._closed = True
        if child := self._child:
            child.kill()

    def _reply(self, image: Images) -> object:
        for _ in range(MAX_TRIES):
            if self._closed:
                raise ModelError("explanations: the service ends")
            try:
                return self._ask(image)
            except (EOFError, OSError, pickle.UnpicklingError):  # it has ended, as after it was idle
                self._end_child()
                self._child = None
        raise ModelError(f"explanations: their process ended {MAX_TRIES} times before it answered")

    def _ask(self, image: Images) -> object:
        known, child = self._child, self._child or self._start()
        assert child.stdin
        assert child.stdout
        # Ends a process that hangs, and so the wait for it.
        timer = _started_timer(self._limit_seconds, child.kill)
        try:
            if child is not known:
                _send(self._content, child.stdin)
            _send(image, child.stdin)
            return pickle.load(child.stdout)
        finally:
            timer.cancel()

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal is for the service, whose end closes the pipe.
        child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self._child, self._end_child = child, weakref.finalize(self, _end, child)
        return child


def answer(load: Callable[[bytes], Explainer], idle_seconds: float = IDLE_SECONDS) -> None:
    """Read a model and then images from stdin, and write their explanations to stdout, as pickled values.

    Args:
        load: makes an explainer of the content of a ``.keras`` file, or raises ModelError, which is written too.
        idle_seconds: time without an image after which the process ends.
    """
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no reply
    try:
        content = pickle.load(sys.stdin.buffer)
        # Runs while the model is loaded and explains, too: what hangs then does not outlive the service.
        timer = _started_timer(idle_seconds, _exit)
        explainer = load(content)
        while True:
            image = pickle.load(sys.stdin.buffer)
            _send(explainer.explain(image), replies)
            timer.cancel()
            timer = _started_timer(idle_seconds, _exit)
    except (EOFError, BrokenPipeError):  # the service has ended
        pass
    except Exception as error:  # of TensorFlow, for example
        reason = str(error).strip().partition("\n")[0]
        _send(error if isinstance(error, ModelError) else ModelError(f"{type(error).__name__}: {reason}"), replies)


def load_explainer(content: bytes) -> CompiledPredictor:
    """Load the content of a ``.keras`` file in safe mode, on one thread.

    Raises:
        ModelError: it cannot be loaded, or does not classify digits.
    """
    runtime.configure(threads=1)
    from mnist_core.models.predictor import CompiledPredictor
    from mnist_core.models.saved_model import load_model

    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        return CompiledPredictor(load_model(path))


def _command() -> list[str]:
    """Command of a process that imports what this one does, and nothing from the folder that it is started in."""
    module = f"import sys; sys.path[:] = {sys.path!r}; from serving import explainer"
    return [sys.executable, "-c", f"{module}; explainer.answer(explainer.load_explainer)"]


def _started_timer(seconds: float, end: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


def _exit() -> None:
    os._exit(0)


def _send(value: Any, pipe: IO[bytes]) -> None:
    pickle.dump(value, pipe)
    pipe.flush()


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    with suppress(BrokenPipeError), child:  # closes its pipes and waits for it
        pass
