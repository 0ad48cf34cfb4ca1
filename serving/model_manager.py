"""The champion that answers, and how the next one takes its place without a request lost."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mnist_core.errors import MnistSearchError
from serving.recognition import Predictor

CHECK_SECONDS = 3.0
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelInfo:
    """What is shown of the model that speaks.

    Args:
        name: of the registered model.
        version: of it.
        run: the run that trained it, for people.
        sweep: the sweep of that run.
        created: when it was registered, ISO 8601.
        sha256: of its file.
        test_accuracy: in [0, 1], if it was evaluated.
        val_accuracy: in [0, 1].
        run_url: where MLflow's UI shows that run.
    """

    name: str
    version: str
    run: str
    sweep: str
    created: str
    sha256: str
    test_accuracy: float | None = None
    val_accuracy: float | None = None
    run_url: str | None = None


@dataclass(frozen=True)
class ModelArtifact:
    """A version that may become what is served.

    Args:
        file: its ``.keras`` file, whose digest has been checked.
        facts: what is shown of it.
    """

    file: Path
    facts: ModelInfo


class ModelSource(Protocol):
    """Where champions come from."""

    def current(self) -> str | None:
        """Identity of the version that is champion now; None where there is none.

        Raises:
            StoreError: it cannot be asked.
        """

    def fetch(self, identity: str, folder: Path) -> ModelArtifact:
        """Put that version's file into the folder.

        Raises:
            ModelError: the file is missing, or not the one that was registered.
            StoreError: it cannot be asked.
        """


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A champion that is ready to answer. A request that has begun with it ends with it."""

    identity: str
    predictor: Predictor
    facts: ModelInfo


class ModelManager:
    """Holds the champion of the moment.

    Args:
        source: where champions come from.
        load: makes a predictor of a ``.keras`` file, or raises ModelError.
    """

    def __init__(self, source: ModelSource, load: Callable[[Path], Predictor]) -> None:
        self._source = source
        self._load = load
        self.champion: LoadedModel | None = None
        self.problem: str | None = None
        """Why the version that should be served is not; None where all is well."""
        self.swaps = 0
        """How often another champion has taken its place."""

    def check(self) -> None:
        """Ask who is champion. A new one is loaded, tried and put in place; a bad one is refused, the old one stays.

        Raises nothing: whatever goes wrong becomes the ``problem``.
        """
        try:
            identity = self._source.current()
            if identity is None:
                self.champion = None
            elif self.champion is None or identity != self.champion.identity:
                champion = self._prepare(identity)
                self.swaps += self.champion is not None
                self.champion = champion
            self.problem = None
        except MnistSearchError as error:
            self.problem = _one_line(str(error))
        except Exception as error:  # a full disk, say: the thread that checks has to live on
            problem = _one_line(f"{type(error).__name__}: {error}")
            if problem != self.problem:  # once, not at every check
                _LOGGER.error("the champion cannot be followed: %s", problem, exc_info=error)
            self.problem = problem

    def _prepare(self, identity: str) -> LoadedModel:
        with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
            candidate = self._source.fetch(identity, Path(folder))
            return LoadedModel(identity, self._load(candidate.file), candidate.facts)

    @contextmanager
    def watch(self, seconds: float = CHECK_SECONDS) -> Iterator[None]:
        """Check every so many seconds, in a thread of its own, while the block runs."""
        over = threading.Event()

        def go_round() -> None:
            while not over.wait(seconds):
                self.check()

        thread = threading.Thread(target=go_round, name="champion", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=seconds)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def load_predictor(path: Path) -> Predictor:
    """The predictor of a ``.keras`` file: loaded in safe mode, compiled, tried once.

    Raises:
        ModelError: it cannot be loaded, or is no classifier of digits.
    """
    from mnist_core.models.predictor import CompiledPredictor
    from mnist_core.models.saved_model import load_model

    return CompiledPredictor(load_model(path))
