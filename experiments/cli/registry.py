"""Commands on the registered model: ``promote``, ``rollback``, ``registry``, ``export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.api import registry as api
from experiments.cli.options import NOTHING_FOUND, DataOption, NameOption, RuleOption
from experiments.selection import SelectionRule
from experiments.tracking.records import FLOOR, REGISTERED_MODEL, Alias
from mnist_core.errors import SpecError
from mnist_core.models.export_formats import ExportFormat

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.registry.promotion import Promotion


def promote(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="SWEEP_OR_RUN",
            help="A sweep, or a run; without it the newest sweep that has ended.",
            show_default=False,
        ),
    ] = None,
    name: NameOption = REGISTERED_MODEL,
    rule: RuleOption = SelectionRule.BEST,
    floor: Annotated[float, typer.Option(help="Minimum test accuracy.", min=0, max=1)] = FLOOR,
    force: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Promote a run that the gate refuses; the reason is recorded.", show_default=False
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="How much less accurate than the champion, and than the best former one, it may be: 0.003 is 0.3 "
            "points. Without it 0.003, or more where the test images are too few for two equal models to pass.",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    data: DataOption = None,
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Plot what the network of a new champion learned.")
    ] = True,
) -> None:
    """Evaluate a run on the test set, register it, and make it champion if it passes the gate."""
    from experiments.cli.console import make_console, message_printer
    from experiments.registry.gate import Verdict
    from experiments.registry.promotion import PromotionPolicy

    PromotionPolicy(name, floor, force, margin)  # a mistake ends the command before the question
    console = make_console()
    candidate = api.choose_candidate(target, rule=rule)
    console.print(f"candidate   {candidate.run.title}, id {candidate.run.run_id}", style="bold")
    console.print(f"chosen      {candidate.reason}", soft_wrap=True)
    if not yes:
        _ask(f"Evaluate it on the test set, and make it the champion of {name} if it passes?")
    say = message_printer(console)
    promotion = api.promote(
        candidate, name=name, floor=floor, margin=margin, force=force, explain=False, data=data, on_message=say
    )
    _print_promotion(console, promotion)
    if promotion.verdict is Verdict.REFUSED:
        raise typer.Exit(NOTHING_FOUND)
    # The promotion is printed first: plotting takes its time, and may be interrupted.
    explanation = api.explain_champion(promotion, data=data, on_message=say) if explain else None
    if explanation is not None:
        from experiments.explanation import FOLDER

        console.print(f"plots:      {len(explanation.drawn)} in {FOLDER}/ of the run")
        for plot in explanation.missing:
            console.print(f"not drawn:  {plot.title} ({plot.problem})", style="yellow", soft_wrap=True)


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise SpecError("promote: expected --yes where nobody can be asked")
    if not typer.confirm(question):
        raise typer.Exit(NOTHING_FOUND)


def _print_promotion(console: Console, promotion: Promotion) -> None:
    from experiments.cli.console import print_table
    from experiments.cli.tables import rich_table
    from experiments.registry.gate import Verdict
    from experiments.result_tables import checks_table

    version, before = promotion.version, promotion.before
    console.print()
    print_table(console, rich_table(checks_table(promotion.checks)))
    console.print()
    if promotion.already_champion:
        console.print(f"{version.title} is this run, and the champion already")
        return
    if promotion.verdict is Verdict.REFUSED:
        kept = f"; version {before.version} stays champion" if before else ""
        console.print(f"refused: {version.title} is registered as challenger{kept}", style="red")
        return
    by_force = " by force" if promotion.verdict is Verdict.FORCED else ""
    after = f"; version {before.version} is previous" if before else ""
    console.print(f"{version.title} is champion{by_force}{after}", style="green")
    console.print("undo:       mnist-search rollback\nversions:   mnist-search registry")


def rollback(
    name: NameOption = REGISTERED_MODEL,
    reason: Annotated[str, typer.Option(help="Recorded in the history.", show_default=False)] = "",
) -> None:
    """Make the previous champion champion again."""
    from experiments.cli.console import make_console

    done = api.rollback(name=name, reason=reason)
    text = f"{done.champion.title} is champion again, instead of version {done.replaced.version}"
    make_console().print(text, style="green")


def registry(name: NameOption = REGISTERED_MODEL) -> None:
    """List the versions of the registered model, and the history of its champion."""
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import rich_table
    from experiments.result_tables import versions_table

    console, versions = make_console(), api.list_versions(name=name)
    print_table(console, rich_table(versions_table(versions)))
    console.print("\nchampions", style="bold")
    for change in versions.changes:
        when, reason = change.at[:19].replace("T", " "), f": {change.reason}" if change.reason else ""
        console.print(f"  {when} UTC  version {change.version} {change.kind.value} by {change.by}{reason}")
    if pending := versions.pending:
        text = f"interrupted: version {pending.version} {pending.kind.value}; the next promote or rollback completes it"
        console.print(text, style="yellow", soft_wrap=True)


def export(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="Number of a version, or an alias such as champion.")
    ] = Alias.CHAMPION.value,
    wanted: Annotated[
        ExportFormat,
        typer.Option("--format", help="litert (TensorFlow Lite) for phones; litert and onnx need an extra."),
    ] = ExportFormat.LITERT,
    int8: Annotated[bool, typer.Option("--int8", help="LiteRT with 8-bit integers: a quarter of the size.")] = False,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write to.")] = Path("exports"),
    name: NameOption = REGISTERED_MODEL,
    data: DataOption = None,
) -> None:
    """Write a version as a file for phones and other runtimes, and check it against the Keras model."""
    from experiments.cli.console import make_console, message_printer

    console = make_console()
    done = api.export(
        version, format=wanted, int8=int8, output=output, name=name, data=data, on_message=message_printer(console)
    )
    agreement = done.agreement
    console.print(f"{done.path}  {done.size:,} bytes, of {done.version.title}", style="green")
    console.print(f"same prediction     {agreement.share:.2%} of {agreement.images:,} test images")
    console.print(f"largest difference  {agreement.largest_difference:.2g} of a probability")
