"""Commands on the runs of a sweep: ``runs``, ``best``, ``evaluate``, ``explain``, ``reproduce``."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.api import runs as api
from experiments.api.sweeps import list_runs
from experiments.cli.options import NOTHING_FOUND, DataOption, RuleOption, RunArgument, SweepArgument
from experiments.selection import SelectionRule


def runs(
    name: SweepArgument,
    limit: Annotated[int, typer.Option(help="Number of runs to list, best first.", min=1)] = 50,
    everything: Annotated[bool, typer.Option("--all", help="List all runs.")] = False,
) -> None:
    """List the runs of a sweep, best first."""
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import rich_table
    from experiments.result_tables import runs_table

    console, found = make_console(), list_runs(name, limit=None if everything else limit)
    print_table(console, rich_table(runs_table(found.ranked, found.others, found.searched)))
    if found.total > len(found):
        console.print(f"\n{len(found):,} of {found.total:,} runs, best first; all: --all")


def best(
    name: SweepArgument,
    rule: RuleOption = SelectionRule.BEST,
    top: Annotated[int, typer.Option(help="Number of configurations to list, best first.", min=1)] = 5,
    max_parameters: Annotated[
        int | None, typer.Option(help="Only models of at most so many weights.", min=1, show_default=False)
    ] = None,
) -> None:
    """Show the run of a sweep that a rule selects, the reason, and the runs that tie with it."""
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import rich_table

    console, selected = make_console(), api.best(name, rule=rule, max_model_size=max_parameters, top=top)
    if selected.objectives:
        console.print(f"Pareto front of {', '.join(map(str, selected.objectives))}", style="bold")
    print_table(console, rich_table(selected.table(top)))
    console.print(f"\n{rule.value}: {selected.run.name}, id {selected.run.run_id}", style="green")
    console.print(selected.reason, soft_wrap=True)


def evaluate(
    target: RunArgument,
    data: DataOption = None,
    again: Annotated[bool, typer.Option("--again", help="Evaluate although an evaluation is recorded.")] = False,
) -> None:
    """Evaluate a run on the test set, once, and record its metrics."""
    from experiments.cli.console import make_console, message_printer, print_table
    from experiments.cli.tables import rich_table
    from experiments.result_tables import evaluation_tables

    console = make_console()
    evaluation = api.evaluate(target, data=data, again=again, on_message=message_printer(console, "yellow"))
    console.print(
        f"{evaluation.run.title} on the {len(evaluation.labels):,} test images of {evaluation.dataset}\n", style="bold"
    )
    for table in evaluation_tables(evaluation):
        print_table(console, rich_table(table))
        console.print()
    confused = ", ".join(map(str, evaluation.metrics.confused(5)))
    console.print(f"commonest mistakes  {confused or 'none'}")
    console.print(f"time per image      {evaluation.median_ms:.2f} ms (median), {evaluation.p99_ms:.2f} ms (99 of 100)")
    weights = int(evaluation.run.metrics.get("weights", 0))
    console.print(f"model file          {evaluation.model_bytes / 1e6:.2f} MB, {weights:,} weights")
    console.print("intervals           accuracy: Wilson; others: bootstrap over images")


def explain(target: RunArgument, data: DataOption = None) -> None:
    """Plot what a run's network learned, from its validation images; the plots are logged to the run in MLflow."""
    from experiments.cli.console import make_console, message_printer, print_plots
    from experiments.explanation import FOLDER

    console = make_console()
    explanation = api.explain(target, data=data, on_message=message_printer(console))
    print_plots(console, explanation.plots, FOLDER)
    run = explanation.run
    console.print(f"\nrun {run.title}, id {run.run_id}: see its artifacts (mnist-search ui)", soft_wrap=True)


def reproduce(target: RunArgument, data: DataOption = None) -> None:
    """Train a run again from its record, and compare both results."""
    from experiments.cli.console import make_console, message_printer, print_table
    from experiments.cli.tables import rich_table
    from experiments.reproduction import reproduction_table

    console = make_console()
    done = api.reproduce(target, data=data, on_message=message_printer(console))
    console.print()
    print_table(console, rich_table(reproduction_table(done)))
    console.print()
    for one in done.differences:
        console.print(f"{one.name}: recorded with {one.recorded}, now {one.now}", style="yellow")
    if done.largest_difference is not None:
        console.print(f"largest difference of a weight: {done.largest_difference:.3g}")
    if not done.is_identical:
        console.print("not the same", style="yellow")
        raise typer.Exit(NOTHING_FOUND)
    console.print("the same to the last bit", style="green")
