"""The style of all plots, and rendering to PNG: readable at the MLflow UI's size, safe for colour-blind readers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito (2008): distinguishable with all common kinds of colour vision.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#000000"
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK)
# One hue from light to dark for amounts; two hues around white for signed values.
AMOUNTS, SIGNED = "Blues", "RdBu_r"
# For lines and dots, which must be visible on white at any value.
SCORES = "cividis_r"
DPI = 110

_STYLE: dict[Any, Any] = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.interpolation": "nearest",
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Use the project's style in this block, and nowhere else in the process."""
    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=CYCLE)}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure without a window, in inches. Call it within :func:`style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def png(figure: Figure) -> bytes:
    """The content of a PNG file of the figure."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def whole_numbers(axis: Axis) -> None:
    """Put ticks at integers only, for epochs and counts."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def plain_logarithmic(axis: Axis) -> None:
    """Label a logarithmic axis of any length with a few plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1.0,) if high >= 50 * low else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class PlotSpec:
    """A plot that is still to be drawn.

    Args:
        name: of its file, without the suffix.
        title: its content in one line.
        draw: function that draws it, called within the project's style.
    """

    name: str
    title: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class RenderedPlot:
    """A plot that was drawn, or the reason why it could not be.

    Args:
        name: of its file, without the suffix.
        title: its content in one line.
        png: content of the file; empty if it could not be drawn.
        problem: the reason; empty if it was drawn.
    """

    name: str
    title: str
    png: bytes = b""
    problem: str = ""

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.name}.png"


def render_plot(spec: PlotSpec) -> RenderedPlot:
    """Draw a plot. Any error becomes its ``problem``, in one line."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with style(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return RenderedPlot(spec.name, spec.title, png=png(spec.draw()))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return RenderedPlot(spec.name, spec.title, problem=reason)
    finally:
        logger.setLevel(level)
