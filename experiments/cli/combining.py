"""``ensemble``: the best few runs of a sweep as one classifier."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.cli.options import DataOption, SweepArgument


def ensemble(
    name: SweepArgument,
    top: Annotated[int, typer.Option(help="How many of its runs, best first.", min=2)] = 5,
    register: Annotated[
        bool, typer.Option("--register", help="Keep it as one model, in a run that can be evaluated and promoted.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Average the probabilities of the best runs of a sweep, and see what that is worth on the validation images."""
    from experiments.cli.console import make_console, message_printer, print_table
    from experiments.cli.tables import ensemble_table
    from experiments.ensembling import combine, record_ensemble
    from experiments.tracking.datasets import locate
    from experiments.tracking.queries import find_sweep
    from experiments.tracking.store import open_store, tracking_uri

    store, console = open_store(tracking_uri()), make_console()
    sweep = find_sweep(store, name)
    source = locate(data, message_printer(console), sweep.tags)
    combined = combine(store, sweep, top, source)
    print_table(console, ensemble_table(combined))
    test = combined.against_best
    console.print(
        f"\nof {len(combined.labels):,} images {test.first_only} recognised by the mean alone, {test.second_only} by "
        f"the best alone (McNemar p = {test.p_value:.2g})"
    )
    if register:
        run = record_ensemble(store, combined, source)
        console.print(f"kept as {run.title}, id {run.run_id}", style="green")
        console.print(f"promote:     mnist-search promote {run.run_id[:8]}")
    else:
        console.print(f"keep it:     mnist-search ensemble {sweep.name} --top {top} --register")
