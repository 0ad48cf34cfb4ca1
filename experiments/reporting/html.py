"""The report as one HTML file that needs nothing but itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.reporting.sections import Section
from experiments.reporting.tables import Table, trials_table
from experiments.reporting.timeline import SweepTimeline
from mnist_core.plotting import RenderedPlot


@dataclass(frozen=True)
class Shown:
    """A chapter and what came of its picture."""

    section: Section
    picture: RenderedPlot

    @property
    def data_uri(self) -> str:
        """The picture inside the page."""
        return "data:image/png;base64," + base64.b64encode(self.picture.png).decode("ascii")


def render(timeline: SweepTimeline, facts: Sequence[tuple[str, str]], shown: Sequence[Shown]) -> str:
    """The page's text.

    Args:
        timeline: of the sweep.
        facts: names and values for the head of the page.
        shown: the chapters, in their order.
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
    all_trials: Table = trials_table(timeline)
    return template.render(name=timeline.sweep.name, facts=facts, shown=shown, all_trials=all_trials)
