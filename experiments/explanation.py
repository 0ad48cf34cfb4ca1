"""Pictures of what a run's network learned, logged to the run."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from experiments.tracking.artifacts import fetch_model
from experiments.tracking.datasets import held_out
from experiments.tracking.records import RunRecord
from experiments.tracking.store import Store
from experiments.tracking.trial_results import read_epochs
from mnist_core.data.sources import DataSource
from mnist_core.plotting import RenderedPlot
from mnist_core.runtime import tensorflow_import

FOLDER = "insight"


@dataclass(frozen=True)
class RunExplanation:
    """What was drawn of a run.

    Args:
        run: that was explained.
        pictures: in the order in which they tell their story; those that could not be drawn say why.
    """

    run: RunRecord
    pictures: tuple[RenderedPlot, ...]

    @property
    def drawn(self) -> list[RenderedPlot]:
        """Those that were logged."""
        return [picture for picture in self.pictures if picture.png]

    @property
    def missing(self) -> list[RenderedPlot]:
        """Those that could not be drawn."""
        return [picture for picture in self.pictures if picture.problem]


def explain_run(store: Store, run: RunRecord, source: DataSource) -> RunExplanation:
    """Draw what a run's network learned and log the pictures to the run, below ``insight/``.

    It looks at the run's own validation images, never at the test set. A picture that cannot be drawn does not keep
    the others from being logged.

    Args:
        store: where the run is, open for writing.
        run: any; it needs a READY model.
        source: the data set that it was trained on.

    Raises:
        ModelError: the run has no READY model, or it cannot be loaded or taken apart.
        DataError: the data cannot be read, or are not those of the run.
        StoreError: the store cannot be read or written.
    """
    images = held_out(source, run)
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        path = fetch_model(store, run, Path(folder))
        with tensorflow_import():
            from mnist_core.interpretation.plots import render_interpretation
            from mnist_core.models.saved_model import load_model

        pictures = tuple(render_interpretation(load_model(path), images, read_epochs(store, run), run.best_epoch))
    explanation = RunExplanation(run, pictures)
    log_pictures(store, run.run_id, explanation.drawn, FOLDER)
    return explanation


def log_pictures(store: Store, run_id: str, pictures: list[RenderedPlot], folder: str) -> None:
    """Put drawn pictures into a folder of a run's artifacts.

    Raises:
        StoreError: the store cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as place, store.errors(f"logging pictures to {folder}/"):
        for picture in pictures:
            Path(place, picture.file).write_bytes(picture.png)
        store.client.log_artifacts(run_id, place, folder)
