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
COMMAND = (sys.executable, "-m", "serving.explainer")
MAX_TRIES = 2


class Explainer(Protocol):
    """A model that explains its predictions."""

    def explain(self, image: Images) -> PredictionExplanation:
        """Explain the probabilities of an image of shape ``(28, 28)``, uint8."""


class ExplainerProcess:
    """Explains the predictions of a Keras model, one at a time, from any thread.

    Args:
        content: of its ``.keras`` file, whose digest has been checked.
        command: of the process, which calls :func:`answer`.
    """

    def __init__(self, content: bytes, command: Sequence[str] = COMMAND) -> None:
        self._content = content
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._end_child: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def explain(self, image: Images) -> PredictionExplanation:
        """Explain the probabilities of an image of shape ``(28, 28)``, uint8. The first time it takes seconds.

        Raises:
            ModelError: the model cannot be loaded, or its process ends before it answers.
        """
        with self._lock:
            for _ in range(MAX_TRIES):
                try:
                    reply = self._ask(image)
                except (EOFError, OSError, pickle.UnpicklingError):  # it has ended, as after it was idle
                    self._end_child()
                    self._child = None
                else:
                    break
            else:
                raise ModelError(f"explanations: their process ended {MAX_TRIES} times before it answered")
        if isinstance(reply, ModelError):
            raise reply
        assert isinstance(reply, PredictionExplanation)
        return reply

    def _ask(self, image: Images) -> object:
        child = self._child = self._child or self._start()
        assert child.stdin
        assert child.stdout
        _send(image, child.stdin)
        return pickle.load(child.stdout)

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal is for the service, whose end closes the pipe.
        child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self._end_child = weakref.finalize(self, _end, child)
        assert child.stdin
        _send(self._content, child.stdin)
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
        explainer = load(pickle.load(sys.stdin.buffer))
        while True:
            timer = threading.Timer(idle_seconds, os._exit, (0,))
            timer.daemon = True
            timer.start()
            image = pickle.load(sys.stdin.buffer)
            timer.cancel()
            _send(explainer.explain(image), replies)
    except ModelError as error:
        _send(error, replies)
    except (EOFError, BrokenPipeError):  # the service has ended
        pass


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


def _send(value: Any, pipe: IO[bytes]) -> None:
    pickle.dump(value, pipe)
    pipe.flush()


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    with suppress(BrokenPipeError), child:  # closes its pipes and waits for it
        pass


if __name__ == "__main__":
    answer(load_explainer)
