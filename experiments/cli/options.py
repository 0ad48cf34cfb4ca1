"""Options and exit codes that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.selection import SelectionRule

NOTHING_FOUND = 1
USER_ERROR = 2

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Folder of IDX files, gzipped or not, or an .npz with the keys of Keras. Without it: the data of the "
        "sweep or run, $MNIST_DATA, the cache, a download, the embedded sample.",
        show_default=False,
    ),
]
SweepArgument = Annotated[
    str, typer.Argument(metavar="SWEEP", help="Name of a recorded sweep, or the start of its run id.")
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Start of a run id, or SWEEP/trial-007.", show_default=False)
]
TopRunsOption = Annotated[int, typer.Option(help="Number of runs, best first.", min=2)]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", "--max-workers", help="Trials at a time; 0 for one for each core, as far as memory allows."
    ),
]
ExecutorOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where trials run: local, ray, in-process, an entry point, or package.module:Class. Without it: as the "
        "sweep says, else local.",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Head of a Ray cluster, or auto for the one of this machine. Without it Ray is started here.",
        show_default=False,
    ),
]
CpusOption = Annotated[
    float | None,
    typer.Option(metavar="N", help="Cores that Ray reserves for each trial; 1 by default.", show_default=False),
]
GpusOption = Annotated[
    float | None,
    typer.Option(
        metavar="N", help="GPUs, or share of one, that Ray reserves for each trial; 0 by default.", show_default=False
    ),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Start no trial after this time of this call (90s, 10m, 2h); running ones are finished.",
        show_default=False,
    ),
]
StopTimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="End the sweep, and its running trials after the epoch that they are in, once its trials have run for so "
        "long, in all calls: 90s, 10m, 2h.",
        show_default=False,
    ),
]
StopEpochsOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="End it once so many epochs are trained, in all calls.", show_default=False),
]
StopTargetOption = Annotated[
    float | None,
    typer.Option(metavar="VALUE", help="End it once a trial has reached this objective.", show_default=False),
]
StopPlateauOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="End it once so many trials in a row brought nothing better.", show_default=False),
]
ReportOption = Annotated[
    bool, typer.Option("--report/--no-report", help="Plot the results when the sweep ends without interruption.")
]
RuleOption = Annotated[
    SelectionRule,
    typer.Option(
        help="best: the best objective. one-se: the fewest weights within one standard error of the best accuracy. "
        "smallest: the fewest weights within its 95% interval."
    ),
]
NameOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the registered model.")]
