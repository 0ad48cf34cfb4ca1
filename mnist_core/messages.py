"""Messages for the user: the function that receives them, and its default."""

from __future__ import annotations

import sys
from collections.abc import Callable

OnMessage = Callable[[str], None]
"""Receives each line that the user should read."""


def print_to_stderr(line: str) -> None:
    """Print a message; the default of ``on_message``."""
    print(line, file=sys.stderr, flush=True)
