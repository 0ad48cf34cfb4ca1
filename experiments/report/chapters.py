"""What a report shows, in which order, and with what beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from experiments.report import drawing, tables, words
from experiments.report.story import SweepStory
from experiments.report.tables import Table
from mnist_core.gallery.attempt import Sketch
from search import study, study_pictures

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure

MOST_CONTOURS = 3


@dataclass(frozen=True)
class Chapter:
    """One picture with what is said of it.

    Args:
        sketch: of the picture.
        words: what it shows, in a sentence or two that stand for it where it cannot be seen.
        table: the numbers behind it; None where those are the table of all trials.
    """

    sketch: Sketch
    words: str
    table: Table | None = None


class Chapters:
    """The chapters of one sweep's report. What several of them need is worked out once."""

    def __init__(self, story: SweepStory) -> None:
        self._story = story

    def __iter__(self) -> Iterator[Chapter]:
        yield from self._of_the_search()
        yield from self._of_the_trials()

    def _of_the_search(self) -> Iterator[Chapter]:
        story = self._story
        parallel = partial(self._of_study, study_pictures.draw_parallel_coordinates)
        slices = partial(self._of_study, study_pictures.draw_slices)
        best_point = words.of_parameters(story)
        yield Chapter(
            Sketch("history", "Optimization history", self._draw_history),
            words.of_history(story),
            tables.history_table(story),
        )
        yield Chapter(
            Sketch("importances", "What matters", self._draw_importances),
            words.of_importances(story, self.importances),
            tables.importances_table(self.importances),
        )
        yield Chapter(Sketch("parallel_coordinates", "All parameters at once", parallel), best_point)
        yield Chapter(Sketch("slices", "Each parameter alone", slices), best_point)
        yield Chapter(Sketch("contours", "Pairs of parameters", self._draw_contours), best_point)

    def _of_the_trials(self) -> Iterator[Chapter]:
        story = self._story
        for name, title, draw, say, tabulate in (
            ("curves", "Epoch by epoch", drawing.draw_curves, words.of_curves, tables.curves_table),
            ("tradeoffs", "What accuracy costs", drawing.draw_tradeoffs, words.of_tradeoffs, tables.fronts_table),
            ("timeline", "When each trial ran", drawing.draw_timeline, words.of_timeline, tables.timeline_table),
            ("time", "Where the time went", drawing.draw_time_spent, words.of_time, tables.time_table),
        ):
            yield Chapter(Sketch(name, title, partial(draw, story)), say(story), tabulate(story))

    @cached_property
    def importances(self) -> dict[str, float]:
        """Shares of the parameters, most first; none where they cannot be told."""
        try:
            return study.importances(self._study)
        except ValueError:
            return {}

    @cached_property
    def _study(self) -> optuna.Study:
        return study.to_study(self._story.spec, self._story.outcomes())

    def _of_study(self, draw: Callable[..., Figure], *given: object, needs: int = 1) -> Figure:
        if (found := len(self._story.complete)) < needs:
            raise ValueError(f"needs {needs} complete trial{'s' * (needs > 1)}, found {found}")
        return draw(self._study, drawing.LABELS[self._story.spec.metric], *given)

    def _draw_history(self) -> Figure:
        figure = self._of_study(study_pictures.draw_history)
        drawing.focus(figure.axes[0], self._story.values(), self._story.spec.metric.direction)
        return figure

    def _draw_importances(self) -> Figure:
        return self._of_study(study_pictures.draw_importances, needs=2)

    def _draw_contours(self) -> Figure:
        names = list(self.importances or self._story.spec.space.domains)[:MOST_CONTOURS]
        if len(names) < 2:
            raise ValueError("only one parameter was searched")
        return self._of_study(study_pictures.draw_contours, names, needs=2)
