"""Values as text: numbers, parameters, times, plurals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


def format_params(values: Mapping[str, object]) -> str:
    """``hidden_size=128 dropout=0.25``: parameters with their values in four significant digits."""
    return " ".join(f"{name}={format_value(value)}" for name, value in values.items())


def format_value(value: object) -> str:
    """A value as text; a float in at most four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short_text(text: str) -> str:
    """A recorded value in at most four significant digits; words and integers unchanged."""
    try:
        return format_value(float(text)) if "." in text or "e" in text else text
    except ValueError:
        return text


def format_number(value: float | None, form: str = ".4f") -> str:
    """A number in the given format; empty for None."""
    return "" if value is None else format(value, form)


def pluralize(number: int, noun: str) -> str:
    """``1 run``, ``3 runs``, ``no runs``."""
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"


def local_time(moment: datetime) -> str:
    """``2026-01-31 18:05``, in the time zone of this machine."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
