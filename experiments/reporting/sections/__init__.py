"""The sections of a sweep's report: one file for each topic, with its caption, its table and its plot."""

from __future__ import annotations

from experiments.reporting.optuna_plots import StudyPlots
from experiments.reporting.sections.curves import curves_section
from experiments.reporting.sections.history import history_section
from experiments.reporting.sections.hosts import host_sections
from experiments.reporting.sections.importances import importances_section
from experiments.reporting.sections.parameters import parameter_sections
from experiments.reporting.sections.section import Section
from experiments.reporting.sections.timeline import timeline_section
from experiments.reporting.sections.tradeoffs import tradeoffs_section
from experiments.reporting.sections.worker_time import worker_time_section
from experiments.reporting.timeline import SweepTimeline


def build_sections(timeline: SweepTimeline, plots: StudyPlots) -> list[Section]:
    """All sections in the order of the report; none of the plots is drawn yet.

    Args:
        timeline: of the sweep.
        plots: of the same sweep.
    """
    return [
        history_section(timeline, plots),
        importances_section(timeline, plots),
        *parameter_sections(timeline, plots),
        curves_section(timeline),
        tradeoffs_section(timeline),
        timeline_section(timeline),
        worker_time_section(timeline),
        *host_sections(timeline),
    ]
