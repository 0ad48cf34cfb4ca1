"""A picture, or the reason why there is none: what cannot be drawn never takes the rest with it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnist_core.plotting import png, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PlotSpec:
    """A picture that is still to be drawn.

    Args:
        name: of its file, without ending.
        title: what it shows, in a line.
        draw: draws it; called within the project's style.
    """

    name: str
    title: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class RenderedPlot:
    """What came of a sketch.

    Args:
        name: of its file, without ending.
        title: what it shows, in a line.
        png: content of the file; empty where it could not be drawn.
        problem: why it could not; empty where it was.
    """

    name: str
    title: str
    png: bytes = b""
    problem: str = ""

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.name}.png"


def render_plot(sketch: PlotSpec) -> RenderedPlot:
    """Draw a picture. Whatever goes wrong becomes its ``problem``, in one line."""
    quiet = logging.getLogger("matplotlib")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with style(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return RenderedPlot(sketch.name, sketch.title, png=png(sketch.draw()))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return RenderedPlot(sketch.name, sketch.title, problem=reason)
    finally:
        quiet.setLevel(level)
