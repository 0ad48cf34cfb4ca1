"""The model that is served, and its replacement by the next champion without a lost request."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mnist_core.errors import MnistSearchError, ModelError
from serving.explainer import ExplainerProcess
from serving.recognition import Predictor

CHECK_SECONDS = 3.0
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelInfo:
    """A description of the model that is served.

    Args:
        name: of the registered model.
        version: its number.
        run: title of the run that trained it.
        sweep: name of that run's sweep.
        created: time of its registration, ISO 8601.
        sha256: of its file.
        test_accuracy: in [0, 1]; None if it was not evaluated.
        val_accuracy: in [0, 1]; None if it was not recorded.
        run_url: address of that run in MLflow's UI.
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
    """The files of a model version.

    Args:
        file: a ``.keras`` file whose digest has been checked.
        info: description of the version.
        litert: a LiteRT file that was made of it, whose digest has been checked; None where there is none.
    """

    file: Path
    info: ModelInfo
    litert: Path | None = None


class ModelSource(Protocol):
    """A source of champions, such as a registry."""

    def current(self) -> str | None:
        """Identity of the version that is champion now; None if there is none.

        Raises:
            StoreError: the source cannot be read.
        """

    def fetch(self, identity: str, folder: Path) -> ModelArtifact:
        """Copy that version's file into the folder.

        Raises:
            ModelError: the file is missing, or not the one that was registered.
            StoreError: the source cannot be read.
        """


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version that is loaded. A request that begins with it ends with it, though another is served by then."""

    identity: str
    predictor: Predictor
    info: ModelInfo


class ModelManager:
    """Keeps the current champion loaded.

    Args:
        source: of champions.
        load: makes a predictor of a ``.keras`` file and the LiteRT file that was made of it, None where there is none;
            or raises ModelError.
    """

    def __init__(self, source: ModelSource, load: Callable[[Path, Path | None], Predictor]) -> None:
        self._source = source
        self._load = load
        self.champion: LoadedModel | None = None
        self.problem: str | None = None
        """The reason why the current champion is not served; None if it is."""
        self.swaps = 0
        """Number of times that a champion was replaced by another."""

    def check(self) -> None:
        """Load and test a new champion, and serve it. If that fails, the previous one stays.

        Raises nothing: an error becomes the ``problem``.
        """
        try:
            identity = self._source.current()
            if identity is None:
                self.champion = None
            elif self.champion is None or identity != self.champion.identity:
                champion = self._fetch_and_load(identity)
                self.swaps += self.champion is not None
                self.champion = champion
            self.problem = None
        except MnistSearchError as error:
            self.problem = _one_line(str(error))
        except Exception as error:  # a full disk, for example: the thread that checks has to go on
            problem = _one_line(f"{type(error).__name__}: {error}")
            if problem != self.problem:  # once, not at every check
                _LOGGER.error("the champion cannot be updated: %s", problem, exc_info=error)
            self.problem = problem

    def _fetch_and_load(self, identity: str) -> LoadedModel:
        with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
            artifact = self._source.fetch(identity, Path(folder))
            return LoadedModel(identity, self._load(artifact.file, artifact.litert), artifact.info)

    @contextmanager
    def watch(self, seconds: float = CHECK_SECONDS) -> Iterator[None]:
        """Check for a new champion at this interval, in a thread, while the block runs; then close the champion."""
        stopped = threading.Event()

        def check_repeatedly() -> None:
            while not stopped.wait(seconds):
                self.check()

        thread = threading.Thread(target=check_repeatedly, name="champion", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            if champion := self.champion:
                champion.predictor.close()
            thread.join(timeout=seconds)


def load_predictor(
    path: Path, litert: Path | None = None, prepare_keras: Callable[[], object] = lambda: None
) -> Predictor:
    """Load a model and test it with one call: the LiteRT file where there is one, or else the ``.keras`` file.

    A LiteRT file that cannot be loaded, as where its library is not installed, is logged; the ``.keras`` file serves.

    Args:
        path: a ``.keras`` file; it is loaded in safe mode, with a LiteRT file at the first explanation. It may be
            deleted at once.
        litert: a LiteRT file that was made of it.
        prepare_keras: called before Keras is loaded in this process.

    Raises:
        ModelError: it cannot be loaded, or does not classify digits.
    """
    if litert is not None:
        from mnist_core.models.litert import LiteRtPredictor

        try:
            explainer = ExplainerProcess(path.read_bytes())
            return LiteRtPredictor(litert.read_bytes(), explainer.explain, explainer.close)
        except (ImportError, ModelError) as error:
            _LOGGER.warning("the champion is served by Keras, not by LiteRT: %s", _one_line(str(error)))
    prepare_keras()
    from mnist_core.models.predictor import CompiledPredictor
    from mnist_core.models.saved_model import load_model

    return CompiledPredictor(load_model(path))


def _one_line(text: str) -> str:
    return " ".join(text.split())
