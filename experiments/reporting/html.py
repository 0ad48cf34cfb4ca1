"""The report as one HTML file that loads nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.reporting.sections.section import Section
from experiments.reporting.sections.trials import trials_table
from experiments.reporting.timeline import SweepTimeline
from mnist_core.plotting import RenderedPlot


@dataclass(frozen=True)
class RenderedSection:
    """A section and its plot, drawn or with the reason why it could not be."""

    section: Section
    plot: RenderedPlot

    @property
    def data_uri(self) -> str:
        """The plot's PNG as a data URI, for the page."""
        return "data:image/png;base64," + base64.b64encode(self.plot.png).decode("ascii")


def render_page(timeline: SweepTimeline, facts: Sequence[tuple[str, str]], sections: Sequence[RenderedSection]) -> str:
    """The page as HTML.

    Args:
        timeline: of the sweep.
        facts: names and values for the head of the page.
        sections: in their order.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("experiments.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.jinja")
    return template.render(name=timeline.sweep.name, facts=facts, sections=sections, all_trials=trials_table(timeline))
