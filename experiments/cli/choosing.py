"""``best``, ``evaluate``, ``reproduce``: which run to take, and whether it is what it seems."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.cli.options import NOTHING_FOUND, DataOption, RuleOption, RunArgument, SweepArgument, find_source
from experiments.selection import SelectionRule
from experiments.tracking.records import Tag


def best(
    name: SweepArgument,
    rule: RuleOption = SelectionRule.BEST,
    top: Annotated[int, typer.Option(help="How many to list, best first.", min=1)] = 5,
    max_parameters: Annotated[
        int | None, typer.Option(help="Only models of at most so many weights.", min=1, show_default=False)
    ] = None,
) -> None:
    """Show which run of a sweep would be chosen, why, and what it ties with."""
    from experiments.candidates import choose_run
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import configurations_table
    from experiments.selection import front
    from experiments.tracking.queries import find_sweep, read_recorded_spec
    from experiments.tracking.store import open_store, tracking_uri

    store, console = open_store(tracking_uri()), make_console()
    sweep = find_sweep(store, name)
    choice, spec = choose_run(store, sweep, rule, max_parameters), read_recorded_spec(store, sweep)
    listed = list(choice.ranked[:top])
    if spec.is_multi_objective:
        listed = front(choice.ranked, spec.objectives)
        console.print(f"Pareto front of {', '.join(map(str, spec.objectives))}", style="bold")
    if choice.chosen not in listed:
        listed.append(choice.chosen)
    print_table(console, configurations_table(listed, list(spec.space.domains), choice))
    run = choice.chosen.run
    console.print(f"\n{rule.value}: {run.name}, id {run.run_id}", style="green")
    console.print(choice.reason, soft_wrap=True)


def evaluate(
    target: RunArgument,
    data: DataOption = None,
    again: Annotated[bool, typer.Option("--again", help="Also where it is recorded already.")] = False,
) -> None:
    """Let a run's model see the test set, once, and record what it is worth."""
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import evaluation_tables
    from experiments.evaluation import TestSet, count_evaluated, evaluate_run, read_evaluation
    from experiments.formatting import local_time, pluralize
    from experiments.tracking.queries import find_run
    from experiments.tracking.store import open_store, tracking_uri

    store, console = open_store(tracking_uri()), make_console()
    run = find_run(store, target)
    test = TestSet.load(find_source(data, run, console))
    if data is None:
        # What is found by itself may be the sample; what the user names is what the user wants.
        test.check_belongs_to(run)
    elif test.training_digest != run.tags[Tag.DATASET_DIGEST]:
        console.print(f"{test.location}: other data than the run was trained on", style="yellow", soft_wrap=True)
    record = None if again else read_evaluation(store, run, test.data.digest)
    if record:
        console.print(f"evaluated already, on {local_time(record.evaluated)}; --again does it anew")
    else:
        record = evaluate_run(store, run, test)
    console.print(f"{run.title} on the {len(test.data):,} test images of {record.dataset}\n", style="bold")
    for table in evaluation_tables(record):
        print_table(console, table)
        console.print()
    confused = ", ".join(map(str, record.metrics.confused(5)))
    console.print(f"commonest mistakes  {confused or 'none'}")
    console.print(f"one image takes     {record.median_ms:.2f} ms (median), {record.p99_ms:.2f} ms (99 of 100)")
    weights = int(run.metrics.get("weights", 0))
    console.print(f"model file          {record.model_bytes / 1e6:.2f} MB, {weights:,} weights")
    console.print("intervals           accuracy: Wilson; others: bootstrap over images")
    if others := count_evaluated(store, run, record.digest):
        seen = pluralize(others, "other run")
        note = f"{seen} of this sweep saw this test set too: to choose among them by it is to tune on it"
        console.print(note, style="yellow")


def reproduce(target: RunArgument, data: DataOption = None) -> None:
    """Train a run again from what was recorded, and show both results side by side."""
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import reproduction_table
    from experiments.formatting import format_number
    from experiments.reproduction import reproduce_run as train_again
    from experiments.tracking.queries import find_run
    from experiments.tracking.store import open_store, tracking_uri

    store, console = open_store(tracking_uri()), make_console()
    run = find_run(store, target)
    source = find_source(data, run, console)
    done = train_again(
        store,
        run,
        source,
        lambda epoch, metrics: console.print(f"epoch {epoch:>3}  val_accuracy {format_number(metrics.val_accuracy)}"),
    )
    console.print()
    print_table(console, reproduction_table(done))
    console.print()
    for one in done.differences:
        console.print(f"{one.name}: recorded with {one.recorded}, now {one.now}", style="yellow")
    if done.largest_difference is not None:
        console.print(f"largest difference of a weight: {done.largest_difference:.3g}")
    if not done.is_identical:
        console.print("not the same", style="yellow")
        raise typer.Exit(NOTHING_FOUND)
    console.print("the same to the last bit", style="green")
