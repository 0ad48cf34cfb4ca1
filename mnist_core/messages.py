"""Messages for the user: the function that receives them, and its default."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

OnMessage = Callable[[str], None]
"""Receives each line that the user should read."""


def print_to_stderr(line: str) -> None:
    """Print a message; the default of ``on_message``."""
    print(line, file=sys.stderr, flush=True)


_STYLES = re.compile(r"\x1b\[[0-9;]*m")
_KERAS_PREAMBLE = "Exception encountered when calling "


def main_line(text: str) -> str:
    """Return the line of an error that says most, without styles for terminals; empty where it has no text.

    It is the first, or the last where the first ends in a colon. Keras writes a line before the error of a layer, which
    it styles.
    """
    lines = [line.strip() for line in _STYLES.sub("", text).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith(_KERAS_PREAMBLE):
        return lines[1]
    return (lines[-1] if lines[0].endswith(":") else lines[0]) if lines else ""
