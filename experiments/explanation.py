"""Plots that explain a run's network, logged to the run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.formatting import Displayed, TextTable
from experiments.result_tables import plots_table
from experiments.tracking.artifacts import fetch_model
from experiments.tracking.datasets import load_validation
from experiments.tracking.records import RunRecord
from experiments.tracking.store import Store
from experiments.tracking.trial_results import read_epochs
from mnist_core.data.sources import DataSource
from mnist_core.plotting import RenderedPlot
from mnist_core.runtime import tensorflow_import

FOLDER = "insight"


@dataclass(frozen=True, repr=False)
class RunExplanation(Displayed):
    """The plots that explain a run.

    Args:
        run: that is explained.
        plots: in their order; one that could not be drawn has a ``problem``.
    """

    run: RunRecord
    plots: tuple[RenderedPlot, ...]

    @property
    def drawn(self) -> list[RenderedPlot]:
        """The plots that were drawn and logged."""
        return [plot for plot in self.plots if plot.png]

    @property
    def missing(self) -> list[RenderedPlot]:
        """The plots that could not be drawn."""
        return [plot for plot in self.plots if plot.problem]

    def _title(self) -> str:
        return f"{self.run.title}: {len(self.drawn)} plots in {FOLDER}/ of the run"

    def _tables(self) -> Sequence[TextTable]:
        return (plots_table(self.plots),)


def explain_run(store: Store, run: RunRecord, source: DataSource) -> RunExplanation:
    """Draw plots that explain a run's network and log them to the run, below ``insight/``.

    They use the run's own validation images, never the test set. Where one cannot be drawn, the others are logged.

    Args:
        store: that has the run, open for writing.
        run: any; it needs a READY model.
        source: the data set that it was trained on.

    Raises:
        ModelError: the run has no READY model, or it cannot be loaded or split into layers.
        DataError: the data cannot be read, or are not those of the run.
        StoreError: the store cannot be read or written.
    """
    images = load_validation(source, run)
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        path = fetch_model(store, run, Path(folder))
        with tensorflow_import():
            from mnist_core.interpretation.plots import render_interpretation
            from mnist_core.models.saved_model import load_model

        plots = tuple(render_interpretation(load_model(path), images, read_epochs(store, run), run.best_epoch))
    explanation = RunExplanation(run, plots)
    log_plots(store, run.run_id, explanation.drawn, FOLDER)
    return explanation


def log_plots(store: Store, run_id: str, plots: list[RenderedPlot], folder: str) -> None:
    """Log drawn plots to a folder of a run's artifacts.

    Raises:
        StoreError: the store cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as place, store.errors(f"logging plots to {folder}/"):
        for plot in plots:
            Path(place, plot.file).write_bytes(plot.png)
        store.client.log_artifacts(run_id, place, folder)
