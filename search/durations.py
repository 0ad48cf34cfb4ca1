"""Durations as texts, on the command line and in sweep files."""

from __future__ import annotations

import math
import re

from mnist_core.errors import SpecError

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_duration(value: object, key: str) -> float:
    """Return the seconds of ``90``, ``"90"``, ``"90s"``, ``"10m"`` or ``"2h"``.

    Args:
        value: a text, or a number of seconds.
        key: where it comes from, for the error.

    Raises:
        SpecError: it is of no such form, or not above 0.
    """
    seconds = math.nan
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", value.strip())):
        seconds = float(match[1]) * UNITS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool) and value <= 1e12:
        seconds = float(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise SpecError(f"{key}: expected a time such as 90s, 10m or 2h, received {value!r}")
    return seconds
