"""What a report shows, in which order and in which words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

from experiments.display import in_words
from experiments.records import RunRecord
from experiments.report import drawing, tables
from experiments.report.figures import pareto_front, time_spent, weights_of
from experiments.report.story import SweepStory, workers_of
from experiments.report.tables import Table
from mnist_core.gallery.attempt import Sketch
from search.trial import TrialState

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
        self._objective = story.spec.objective
        self._label = drawing.LABELS[story.spec.metric]

    def __iter__(self) -> Iterator[Chapter]:
        story = self._story
        yield self._chapter("history", "Optimization history", self._history, self._best(), tables.history_table(story))
        yield self._chapter("importances", "What matters", self._importances, *self._what_matters())
        yield self._chapter("parallel_coordinates", "All parameters at once", self._parallel, self._good_points())
        yield self._chapter("slices", "Each parameter alone", self._slices, self._good_points())
        yield self._chapter("contours", "Pairs of parameters", self._contours, self._good_points())
        yield self._chapter(
            "curves", "Epoch by epoch", lambda: drawing.draw_curves(story), self._stopped(), tables.curves_table(story)
        )
        yield self._chapter(
            "tradeoffs",
            "What accuracy costs",
            lambda: drawing.draw_tradeoffs(story),
            self._cheap(),
            tables.fronts_table(story),
        )
        yield self._chapter(
            "timeline",
            "When each trial ran",
            lambda: drawing.draw_timeline(story),
            self._ran(),
            tables.timeline_table(story),
        )
        yield self._chapter(
            "time",
            "Where the time went",
            lambda: drawing.draw_time_spent(story),
            self._spent(),
            tables.time_table(story),
        )

    @cached_property
    def importances(self) -> dict[str, float]:
        """Shares of the parameters, most first; none where they cannot be told."""
        from search.study import importances

        try:
            return importances(self._study)
        except ValueError:
            return {}

    @cached_property
    def _study(self) -> optuna.Study:
        from search.study import to_study

        return to_study(self._story.spec, self._story.outcomes())

    def _chapter(
        self, name: str, title: str, draw: Callable[[], Figure], words: str, table: Table | None = None
    ) -> Chapter:
        return Chapter(Sketch(name, title, draw), words, table)

    def _history(self) -> Figure:
        from search.study_pictures import draw_history

        self._need_complete(1)
        figure = draw_history(self._study, self._label)
        values = [value for value in map(self._value, self._story.ranked) if value is not None]
        drawing.focus(figure.axes[0], values, self._story.spec.metric.direction)
        return figure

    def _importances(self) -> Figure:
        from search.study_pictures import draw_importances

        self._need_complete(2)
        return draw_importances(self._study, self._label)

    def _parallel(self) -> Figure:
        from search.study_pictures import draw_parallel_coordinates

        self._need_complete(1)
        return draw_parallel_coordinates(self._study, self._label)

    def _slices(self) -> Figure:
        from search.study_pictures import draw_slices

        self._need_complete(1)
        return draw_slices(self._study, self._label)

    def _contours(self) -> Figure:
        from search.study_pictures import draw_contours

        self._need_complete(2)
        names = list(self.importances or self._story.spec.space.domains)[:MOST_CONTOURS]
        if len(names) < 2:
            raise ValueError("only one parameter was searched")
        return draw_contours(self._study, self._label, names)

    def _need_complete(self, count: int) -> None:
        if (found := len(self._story.complete)) < count:
            raise ValueError(f"needs {count} complete trial{'s' * (count > 1)}, found {found}")

    def _best(self) -> str:
        if not self._story.ranked:
            return "No trial completed."
        values = [value for value in map(self._value, self._story.ranked) if value is not None]
        best = self._story.ranked[0]
        return (
            f"Each dot is a complete trial, the line the best value so far. The best of {len(values)}, "
            f"{self._value(best):.4f}, is {best.name}; half of them reached {median(values):.4f} or better."
        )

    def _what_matters(self) -> tuple[str, Table | None]:
        if not self.importances:
            return "The shares of the parameters cannot be told from so few different values.", None
        parts = ", ".join(f"{name} {share:.0%}" for name, share in self.importances.items())
        words = f"How much of the difference between good and other trials goes with each parameter: {parts}."
        return words, tables.importances_table(self.importances)

    def _good_points(self) -> str:
        if not self._story.ranked:
            return "No trial completed."
        points = {trial.run.run_id: trial.point for trial in self._story.trials}
        best = self._story.ranked[0]
        return f"The best trial, {best.name}, has {in_words(points[best.run_id])}."

    def _stopped(self) -> str:
        story = self._story
        pruned, complete = (len(story.of_state(state)) for state in (TrialState.PRUNED, TrialState.COMPLETE))
        return f"{complete} trials ran to their end and {pruned} were pruned, each at the cross that ends its line."

    def _cheap(self) -> str:
        front = pareto_front(self._story.ranked, weights_of)
        if not front:
            return "No trial completed."
        smallest, best = front[0], front[-1]
        return (
            "On the Pareto front is what no smaller, or no quicker, model beats. The smallest model, "
            f"{weights_of(smallest):,.0f} weights, reached {smallest.value('val_accuracy'):.4f}; the most accurate has "
            f"{weights_of(best):,.0f} and reached {best.value('val_accuracy'):.4f}."
        )

    def _ran(self) -> str:
        story, workers = self._story, workers_of(self._story)
        left = f", left and resumed {len(story.pauses)} times (pauses are cut out)" if story.pauses else ""
        return (
            f"{len(story.trials)} attempts on {workers} worker{'s' * (workers > 1)} in {story.seconds:,.0f} seconds"
            f"{left}. Lanes are inferred from begin and end; a bar holds the worker's start and the recording too."
        )

    def _spent(self) -> str:
        spent = time_spent(self._story)
        share = spent.training / spent.total if spent.total else 0.0
        return (
            f"Of {spent.total:,.0f} seconds of workers, {share:.0%} went into training. Tracking is the driver's time, "
            "during which workers may train or wait."
        )

    def _value(self, run: RunRecord) -> float | None:
        return run.value(self._objective)
