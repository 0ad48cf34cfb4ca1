"""Section "Timeline of the trials": the start and end of each attempt, by worker."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from experiments.formatting import pluralize
from experiments.reporting.plot_style import STATE_COLOURS, WIDTH
from experiments.reporting.sections.section import Section, Table
from experiments.reporting.timeline import SweepTimeline, TrialTimeline, workers_of
from mnist_core.plotting import BLACK, PlotSpec, new_figure, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Bars beyond which white edges between them would hide the narrow ones.
MAX_SEPARATED = 100


def timeline_section(timeline: SweepTimeline) -> Section:
    """The section, its plot not drawn yet."""
    plot = PlotSpec("timeline", "Timeline of the trials", partial(draw_timeline, timeline))
    return Section(plot, timeline_caption(timeline), timeline_table(timeline))


def timeline_caption(timeline: SweepTimeline) -> str:
    """The number of attempts and workers, the wall time, and the content of a bar."""
    attempts, times = len(timeline.trials), len(timeline.pauses)
    often = "once" if times == 1 else f"{times} times"
    pauses = f", left and resumed {often} (pauses are cut out)" if times else ""
    return (
        f"{attempts} attempt{'s' * (attempts != 1)} on {pluralize(workers_of(timeline), 'worker')} in "
        f"{timeline.seconds:,.0f} seconds{pauses}. Lanes are inferred from start and end times; a bar includes the "
        "start of the worker and the recording."
    )


def timeline_table(timeline: SweepTimeline) -> Table:
    """Start and end of each attempt."""
    rows = [
        (trial.run.name, trial.run.state.value, f"{trial.began:.1f}", f"{trial.ended:.1f}") for trial in timeline.trials
    ]
    return Table("Seconds into the sweep", ("run", "state", "start", "end"), rows)


def lanes(trials: Sequence[TrialTimeline]) -> list[int]:
    """A lane for each trial: the lowest that is free when it starts, so that no two overlap.

    The worker that ran a trial is not recorded. Workers are alike, so any assignment that fits shows the same gaps.
    """
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    found = [0] * len(trials)
    for index in sorted(range(len(trials)), key=lambda each: trials[each].began):
        while busy and busy[0][0] <= trials[index].began:
            heapq.heappush(free, heapq.heappop(busy)[1])
        found[index] = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (trials[index].ended, found[index]))
    return found


def draw_timeline(timeline: SweepTimeline) -> Figure:
    """A bar for each trial in the lane of a worker; a dashed line for each pause.

    Raises:
        ValueError: there are no trials.
    """
    if not timeline.trials:
        raise ValueError("there are no trials")
    rows = lanes(timeline.trials)
    unit, scale = ("minutes", 60.0) if timeline.seconds > 300 else ("seconds", 1.0)
    figure = new_figure(WIDTH, 1.7 + 0.45 * (max(rows) + 1))
    axes = figure.subplots()
    _draw_bars(axes, timeline.trials, rows, scale)
    for pause in timeline.pauses:
        axes.axvline(pause / scale, color=BLACK, linestyle="--", linewidth=1)
    axes.set(xlabel=f"{unit} of the sweep" + (" (dashed: left, and resumed later)" if timeline.pauses else ""))
    axes.set(ylabel="worker", xlim=(0, None))
    whole_numbers(axes.yaxis)
    axes.set_title("Timeline of the trials", loc="left")
    axes.legend(ncols=len(STATE_COLOURS), loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _draw_bars(axes: Axes, trials: Sequence[TrialTimeline], rows: Sequence[int], scale: float) -> None:
    for state, colour in STATE_COLOURS.items():
        bars = [(trial, row) for trial, row in zip(trials, rows, strict=True) if trial.run.state is state]
        if bars:
            axes.barh(
                [row + 1 for _, row in bars],
                [trial.seconds / scale for trial, _ in bars],
                left=[trial.began / scale for trial, _ in bars],
                height=0.8,
                color=colour,
                edgecolor="white",
                linewidth=0.5 if len(trials) <= MAX_SEPARATED else 0.0,
                label=f"{state.value}: {len(bars)}",
            )
