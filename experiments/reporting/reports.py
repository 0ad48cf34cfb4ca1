"""Make the report of a sweep, and log it to the sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.formatting import Displayed, TextTable
from experiments.reporting.html import RenderedSection, render_page
from experiments.reporting.optuna_plots import StudyPlots
from experiments.reporting.sections import build_sections
from experiments.reporting.summary import format_summary, summarize
from experiments.reporting.timeline import SweepTimeline, read_timeline
from experiments.result_tables import plots_table
from experiments.tracking.records import RunRecord, SweepRecord
from experiments.tracking.store import Store
from mnist_core.plotting import RenderedPlot, render_plot

FOLDER = "report"
PAGE = "report.html"
# MLflow shows a run's tag of this name as its description.
DESCRIPTION = "mlflow.note.content"


def _never() -> bool:
    return False


@dataclass(frozen=True, repr=False)
class SweepReport(Displayed):
    """The report of a sweep.

    Args:
        plots: in their order; one that could not be drawn holds the reason.
        page: as HTML, with all plots, captions and tables.
        summary: a few lines of Markdown.
    """

    plots: tuple[RenderedPlot, ...]
    page: str
    summary: str

    @property
    def missing(self) -> list[RenderedPlot]:
        """Plots that could not be drawn."""
        return [plot for plot in self.plots if plot.problem]

    def _title(self) -> str:
        return f"{len(self.plots) - len(self.missing)} plots and {PAGE} in {FOLDER}/ of the sweep"

    def _tables(self) -> Sequence[TextTable]:
        return (plots_table(self.plots),)


def make_report(timeline: SweepTimeline, stop: Callable[[], bool] = _never) -> SweepReport:
    """Draw the plots of a sweep and write its page.

    Args:
        timeline: of the sweep.
        stop: asked before each plot.

    Raises:
        InterruptedError: ``stop`` returned True.
    """
    study_plots = StudyPlots(timeline)
    sections = []
    for section in build_sections(timeline, study_plots):
        if stop():
            raise InterruptedError("interrupted")
        sections.append(RenderedSection(section, render_plot(section.plot)))
    facts = summarize(timeline, study_plots.importances)
    plots = tuple(each.plot for each in sections)
    summary = format_summary(facts, f"{FOLDER}/{PAGE}", [plot.title for plot in plots if plot.problem])
    return SweepReport(plots, render_page(timeline, facts, sections), summary)


def report_sweep(
    store: Store, sweep: SweepRecord, stop: Callable[[], bool] = _never, runs: Sequence[RunRecord] | None = None
) -> SweepReport:
    """Make the report of a sweep and log it to its parent run: plots, page, description.

    Args:
        store: that holds the sweep, open for writing.
        sweep: its parent run.
        stop: asked before each plot; where it returns True, nothing is logged.
        runs: every attempt of the sweep, where they were read already.

    Raises:
        InterruptedError: ``stop`` returned True.
        StoreError: the store cannot be read or written.
        SpecError: the sweep's file in the store is no valid one.
    """
    report = make_report(read_timeline(store, sweep, runs), stop)
    with TemporaryDirectory(prefix="mnist-search-") as folder, store.errors(f"logging the report of {sweep.name}"):
        for plot in report.plots:
            if plot.png:
                Path(folder, plot.file).write_bytes(plot.png)
        Path(folder, PAGE).write_text(report.page, encoding="utf-8")
        store.client.log_artifacts(sweep.run_id, folder, FOLDER)
        store.client.set_tag(sweep.run_id, DESCRIPTION, report.summary)
    return report
