"""What several commands share: options, exit codes, how a time is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from mnist_core.errors import SpecError

NOTHING_FOUND = 1
USER_ERROR = 2

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Folder of IDX files, gzipped or not, or an .npz with Keras's keys. Without it: $MNIST_DATA, the cache, "
        "a download, and at last an embedded sample.",
        show_default=False,
    ),
]
SweepArgument = Annotated[
    str, typer.Argument(metavar="SWEEP", help="Name of a sweep in the store, or the start of its run id.")
]


def parse_duration(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``10m`` or ``2h``.

    Raises:
        SpecError: it is of no such form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match or not float(match[1]):
        raise SpecError(f"--timeout: expected a time such as 90s, 10m or 2h, received {text!r}")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
