"""Making a sweep's report, and putting it where the sweep is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.reporting.html import Shown, render
from experiments.reporting.sections import Sections
from experiments.reporting.summary import description, summarize
from experiments.reporting.timeline import SweepTimeline, read_timeline
from experiments.tracking.records import SweepRecord
from experiments.tracking.store import Store
from mnist_core.plotting import RenderedPlot, render_plot

FOLDER = "report"
PAGE = "report.html"
# MLflow shows a run's tag of this name as its description.
DESCRIPTION = "mlflow.note.content"


def _never() -> bool:
    return False


@dataclass(frozen=True)
class SweepReport:
    """What was made of a sweep.

    Args:
        pictures: in their order; those that could not be drawn say why.
        page: HTML with all of it.
        summary: the same in a few lines of Markdown.
    """

    pictures: tuple[RenderedPlot, ...]
    page: str
    summary: str

    @property
    def missing(self) -> list[RenderedPlot]:
        """Pictures that could not be drawn."""
        return [picture for picture in self.pictures if picture.problem]


def make_report(timeline: SweepTimeline, stop: Callable[[], bool] = _never) -> SweepReport:
    """Draw a sweep and write its page.

    Args:
        timeline: of the sweep.
        stop: asked before each picture.

    Raises:
        InterruptedError: it was to stop.
    """
    sections = Sections(timeline)
    shown = []
    for section in sections:
        if stop():
            raise InterruptedError("interrupted")
        shown.append(Shown(section, render_plot(section.sketch)))
    facts = summarize(timeline, sections.importances)
    missing = [each.picture.title for each in shown if each.picture.problem]
    summary = description(facts, f"{FOLDER}/{PAGE}", missing)
    return SweepReport(tuple(each.picture for each in shown), render(timeline, facts, shown), summary)


def report_sweep(store: Store, sweep: SweepRecord, stop: Callable[[], bool] = _never) -> SweepReport:
    """Make the report of a sweep and log it to its parent run: pictures, page, description.

    Args:
        store: where the sweep is, open for writing.
        sweep: its parent run.
        stop: asked before each picture; nothing is logged where it says so.

    Raises:
        InterruptedError: it was to stop.
        StoreError: the store cannot be read or written.
        SpecError: the sweep's file in the store is not one.
    """
    report = make_report(read_timeline(store, sweep), stop)
    with TemporaryDirectory(prefix="mnist-search-") as place, store.errors(f"logging the report of {sweep.name}"):
        for picture in report.pictures:
            if picture.png:
                Path(place, picture.file).write_bytes(picture.png)
        Path(place, PAGE).write_text(report.page, encoding="utf-8")
        store.client.log_artifacts(sweep.run_id, place, FOLDER)
        store.client.set_tag(sweep.run_id, DESCRIPTION, report.summary)
    return report
