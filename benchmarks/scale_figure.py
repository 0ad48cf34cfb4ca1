"""The picture of the measurements: a plot for each part that was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from common import Measurement

from mnist_core.plotting import BLUE, GREEN, ORANGE, RED, new_figure, plain_logarithmic, png, style

COLOURS = {"random": BLUE, "tpe": ORANGE, "grid": GREEN}
MARKS = {"1 workers": "o", "10 workers": "s", "100 workers": "^", "1,000 workers": "D"}


def draw(measured: Sequence[Measurement]) -> bytes:
    """A PNG file with a plot for each part that has points."""
    plots: list[tuple[Callable[[Any, list[Measurement]], None], list[Measurement]]] = []
    for is_of_plot, plot in ((_is_of_searcher, _loop), (_is_of_store, _stores), (_is_read, _reading)):
        if points := [one for one in measured if is_of_plot(one)]:
            plots.append((plot, points))
    with style():
        figure = new_figure(4.6 * max(1, len(plots)), 3.6)
        for place, (plot, points) in enumerate(plots, start=1):
            plot(figure.add_subplot(1, len(plots), place), points)
        return png(figure)


def _is_of_searcher(one: Measurement) -> bool:
    return one.part == "loop" and one.series.partition(",")[0] in COLOURS


def _is_of_store(one: Measurement) -> bool:
    return one.part == "recording" and bool(one.series)


def _is_read(one: Measurement) -> bool:
    return one.part == "reading" and bool(one.series)


def _loop(axes: Any, points: list[Measurement]) -> None:
    curves: dict[str, list[Measurement]] = defaultdict(list)
    for one in points:
        curves[one.series].append(one)
    for series, ones in curves.items():
        searcher, _, workers = series.partition(", ")
        axes.plot(
            [one.x for one in ones],
            [one.value for one in ones],
            color=COLOURS[searcher],
            marker=MARKS.get(workers, "x"),
            label=f"{searcher}, {workers.replace('1 workers', '1 worker')}",
            markersize=4,
            linewidth=1,
        )
    axes.set(xscale="log", yscale="log", xlabel="trials of the sweep", ylabel="CPU of the driver, ms a trial")
    for axis in (axes.xaxis, axes.yaxis):
        plain_logarithmic(axis)
    axes.set_title("The loop, nothing recorded")
    axes.legend(fontsize=6, ncols=2)


def _stores(axes: Any, points: list[Measurement]) -> None:
    names = list(dict.fromkeys(one.name.partition(":")[0] for one in points))
    for place, (series, colour) in enumerate((("recorder", BLUE), ("bare client", ORANGE))):
        values = [one.value for one in points if one.series == series]
        bars = axes.bar([x + 0.4 * place - 0.2 for x in range(len(names))], values, 0.38, color=colour, label=series)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(range(len(names)), [name.replace(" on ", "\non ") for name in names])
    axes.set(ylabel="trials recorded a second")
    axes.set_title("Recording, with models")
    axes.legend(fontsize=8)


def _reading(axes: Any, points: list[Measurement]) -> None:
    walls = [one for one in points if one.series == "wall time"]
    cpus = [one for one in points if one.series == "CPU time"]
    places = range(len(walls))
    axes.barh([place - 0.2 for place in places], [one.value for one in walls], 0.38, color=BLUE, label="wall time")
    axes.barh([place + 0.2 for place in places], [one.value for one in cpus], 0.38, color=ORANGE, label="CPU time")
    for place, one in zip(places, walls, strict=True):
        if one.aim is not None:
            axes.plot([one.aim, one.aim], [place - 0.4, place + 0.4], color=RED, label="aim" if not place else None)
    axes.set_yticks(places, [one.name.partition(",")[0] for one in walls])
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="seconds")
    plain_logarithmic(axes.xaxis)
    axes.set_title(f"Reading {walls[0].name.rpartition(', ')[2]}")
    axes.legend(fontsize=8)
