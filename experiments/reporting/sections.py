"""What a report shows, in which order, and with what beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from experiments.reporting import captions, optuna_plots, plots, tables
from experiments.reporting.tables import Table
from experiments.reporting.timeline import SweepTimeline
from mnist_core.plotting import PlotSpec
from search import study

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure

MAX_CONTOURS = 3


@dataclass(frozen=True)
class Section:
    """One picture with what is said of it.

    Args:
        sketch: of the picture.
        words: what it shows, in a sentence or two that stand for it where it cannot be seen.
        table: the numbers behind it; None where those are the table of all trials.
    """

    sketch: PlotSpec
    words: str
    table: Table | None = None


class Sections:
    """The chapters of one sweep's report. What several of them need is worked out once."""

    def __init__(self, timeline: SweepTimeline) -> None:
        self._timeline = timeline

    def __iter__(self) -> Iterator[Section]:
        yield from self._of_the_search()
        yield from self._of_the_trials()

    def _of_the_search(self) -> Iterator[Section]:
        timeline = self._timeline
        parallel = partial(self._of_study, optuna_plots.draw_parallel_coordinates)
        slices = partial(self._of_study, optuna_plots.draw_slices)
        best_point = captions.of_parameters(timeline)
        yield Section(
            PlotSpec("history", "Optimization history", self._draw_history),
            captions.of_history(timeline),
            tables.history_table(timeline),
        )
        yield Section(
            PlotSpec("importances", "What matters", self._draw_importances),
            captions.of_importances(timeline, self.importances),
            tables.importances_table(self.importances),
        )
        yield Section(PlotSpec("parallel_coordinates", "All parameters at once", parallel), best_point)
        yield Section(PlotSpec("slices", "Each parameter alone", slices), best_point)
        yield Section(PlotSpec("contours", "Pairs of parameters", self._draw_contours), best_point)

    def _of_the_trials(self) -> Iterator[Section]:
        timeline = self._timeline
        for name, title, draw, say, tabulate in (
            ("curves", "Epoch by epoch", plots.draw_curves, captions.of_curves, tables.curves_table),
            ("tradeoffs", "What accuracy costs", plots.draw_tradeoffs, captions.of_tradeoffs, tables.fronts_table),
            ("timeline", "When each trial ran", plots.draw_timeline, captions.of_timeline, tables.timeline_table),
            ("time", "Where the time went", plots.draw_time_spent, captions.of_time, tables.time_table),
        ):
            yield Section(PlotSpec(name, title, partial(draw, timeline)), say(timeline), tabulate(timeline))

    @cached_property
    def importances(self) -> dict[str, float]:
        """Shares of the parameters, most first; none where they cannot be told."""
        try:
            return study.importances(self._study)
        except ValueError:
            return {}

    @cached_property
    def _study(self) -> optuna.Study:
        return study.to_study(self._timeline.spec, self._timeline.outcomes())

    def _of_study(self, draw: Callable[..., Figure], *given: object, needs: int = 1) -> Figure:
        if (found := len(self._timeline.complete)) < needs:
            raise ValueError(f"needs {needs} complete trial{'s' * (needs > 1)}, found {found}")
        return draw(self._study, plots.LABELS[self._timeline.spec.metric], *given)

    def _draw_history(self) -> Figure:
        figure = self._of_study(optuna_plots.draw_history)
        plots.focus(figure.axes[0], self._timeline.values(), self._timeline.spec.metric.direction)
        return figure

    def _draw_importances(self) -> Figure:
        return self._of_study(optuna_plots.draw_importances, needs=2)

    def _draw_contours(self) -> Figure:
        names = list(self.importances or self._timeline.spec.space.domains)[:MAX_CONTOURS]
        if len(names) < 2:
            raise ValueError("only one parameter was searched")
        return self._of_study(optuna_plots.draw_contours, names, needs=2)
