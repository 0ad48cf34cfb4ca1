"""Optuna's own plots of a study, in this project's style. They open no window and leave no figure in pyplot."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import IntDistribution

from experiments.formatting import pluralize
from experiments.reporting.plot_style import LABELS, WIDTH
from experiments.reporting.timeline import SweepTimeline
from mnist_core.plotting import BLUE, ORANGE, SCORES, plain_logarithmic, whole_numbers
from search.study import importances, to_study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class StudyPlots:
    """The plots of one sweep as an Optuna study, which is built once.

    Args:
        timeline: of the sweep.
    """

    def __init__(self, timeline: SweepTimeline) -> None:
        self._timeline = timeline

    @cached_property
    def study(self) -> optuna.Study:
        """The finished trials as a study in memory."""
        return to_study(self._timeline.spec, self._timeline.outcomes())

    @cached_property
    def importances(self) -> dict[str, float]:
        """Share of each parameter, the largest first; empty where they cannot be computed."""
        try:
            return importances(self.study)
        except ValueError:
            return {}

    def draw(self, plot: Callable[..., Figure], *arguments: object, min_trials: int = 1) -> Figure:
        """Draw one of the functions below.

        Args:
            plot: takes the study, the label of the objective, and the arguments.
            arguments: of the plot.
            min_trials: complete trials that it needs.

        Raises:
            ValueError: there are fewer.
        """
        if (found := len(self._timeline.complete)) < min_trials:
            raise ValueError(f"needs {pluralize(min_trials, 'complete trial')}, found {found}")
        return plot(self.study, LABELS[self._timeline.spec.metric], *arguments)


def draw_history(study: optuna.Study, objective: str) -> Figure:
    """Value of every complete trial, and the best value so far."""
    with _without_windows():
        from optuna.visualization.matplotlib import plot_optimization_history

        axes = plot_optimization_history(study, target_name=objective)
        axes.set(title="Value by trial", xlabel="trial")
        axes.collections[0].set(color=BLUE, label="complete trial")
        for line in axes.lines:
            line.set(color=ORANGE, alpha=1, drawstyle="steps-post", label="best so far")
        axes.legend(loc="best")
        whole_numbers(axes.xaxis)
        return _sized(axes, 4.2)


def draw_parallel_coordinates(study: optuna.Study, objective: str) -> Figure:
    """Each trial as a line across the axes of its parameters; searched in log scale, drawn in log scale."""
    with _without_windows():
        from matplotlib.patheffects import withStroke
        from optuna.visualization.matplotlib import plot_parallel_coordinate

        axes = plot_parallel_coordinate(study, target_name=objective)
        axes.set_title("Each trial as a line across its parameters", y=1.03)
        best_is_high = study.direction is optuna.study.StudyDirection.MAXIMIZE
        axes.collections[0].set_cmap(SCORES if best_is_high else SCORES.removesuffix("_r"))
        axes.collections[0].set_linewidth(min(1.5, 150 / len(study.trials)))
        axes.tick_params(axis="x", rotation=0)
        figure = _sized(axes, 4.6)
        for each in figure.axes:
            for label in each.get_yticklabels(which="both"):
                label.set_path_effects([withStroke(linewidth=3, foreground="white")])
        return figure


def draw_importances(study: optuna.Study, objective: str) -> Figure:
    """Share of each parameter in the difference between good and bad trials, by PED-ANOVA."""
    with _without_windows():
        from optuna.visualization.matplotlib import plot_param_importances

        axes = plot_param_importances(study, target_name=objective)
        axes.set_title(f"Importance for {objective}", loc="left")
        axes.set(xlabel="importance (PED-ANOVA; shares of 1)", ylabel="")
        if legend := axes.get_legend():
            legend.remove()
        for bar, text in zip(axes.patches, axes.texts, strict=True):
            bar.set_color(BLUE)
            text.set_text(f" {text.get_text()}")
        return _sized(axes, 0.4 * len(axes.patches) + 1.4)


def draw_slices(study: optuna.Study, objective: str) -> Figure:
    """Value against each parameter alone, later trials darker."""
    with _without_windows():
        from matplotlib.ticker import MaxNLocator
        from optuna.visualization.matplotlib import plot_slice

        axes = plot_slice(study, target_name=objective)
        for each in np.ravel(np.asarray(axes)):
            if each.get_xscale() == "linear":
                each.xaxis.set_major_locator(MaxNLocator(3, integer=each.get_xlabel() in _integers(study)))
        return _sized(axes, 3.6, "Each parameter alone (darker: later trials)")


def draw_contours(study: optuna.Study, objective: str, parameters: Sequence[str]) -> Figure:
    """Value over each pair of parameters, interpolated between the trials, which are the dots.

    Args:
        study: with two or more complete trials.
        objective: name of the value.
        parameters: two or more of the study's.
    """
    with _without_windows():
        from optuna.visualization.matplotlib import plot_contour

        axes = plot_contour(study, params=list(parameters), target_name=objective)
        if len(parameters) == 2:
            return _sized(axes, 4.6, "Pairs of parameters (dots: trials)")
        _keep_lower_triangle(np.asarray(axes))
        return _sized(axes, 6.4, "Pairs of parameters (dots: trials)")


def _integers(study: optuna.Study) -> set[str]:
    """Names of the parameters that are integers."""
    known = (item for trial in study.trials for item in trial.distributions.items())
    return {name for name, kind in known if isinstance(kind, IntDistribution)}


def _keep_lower_triangle(axes: np.ndarray[Any, Any]) -> None:
    """Hide the empty and the repeated panels, and the space for them."""
    size = len(axes)
    for row, column in zip(*np.triu_indices(size), strict=True):
        axes[row, column].set_visible(False)
    grid = axes[0, 0].get_gridspec()
    grid.set_height_ratios([0.01, *([1] * (size - 1))])
    grid.set_width_ratios([*([1] * (size - 1)), 0.01])


@contextmanager
def _without_windows() -> Iterator[None]:
    """In this block, Optuna draws through pyplot without a window, in the style that is set around it."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib import style

    before = mpl.get_backend(auto_select=False)
    ggplot = style.library["ggplot"]
    plt.switch_backend("agg")
    style.library["ggplot"] = mpl.RcParams()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        style.library["ggplot"] = ggplot
        if before:
            plt.switch_backend(before)


def _sized(drawn: Axes | np.ndarray[Any, Any], height: float, title: str = "") -> Figure:
    """The figure of the axes, at the size of all plots, and closed in pyplot."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    figure = np.ravel(np.asarray(drawn))[0].figure
    figure.set_layout_engine("constrained")
    figure.set_size_inches(WIDTH, height)
    if title:
        figure.suptitle(title, fontweight="bold", fontsize=11)
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if axis.get_scale() == "log":
            plain_logarithmic(axis)
        elif isinstance(axis.get_major_formatter(), ScalarFormatter):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
    plt.close(figure)
    return figure  # type: ignore[no-any-return]
