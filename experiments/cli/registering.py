"""``promote``, ``rollback``, ``registry``: who is the champion, and how it comes to be one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.options import NOTHING_FOUND, DataOption, NameOption, RuleOption, find_source
from experiments.selection import SelectionRule
from experiments.tracking.records import FLOOR, REGISTERED_MODEL
from mnist_core.errors import MnistSearchError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.registry.promotion import Promotion
    from experiments.tracking.records import RunRecord
    from experiments.tracking.store import Store
    from mnist_core.data.sources import DataSource


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
    floor: Annotated[float, typer.Option(help="Least test accuracy.", min=0, max=1)] = FLOOR,
    force: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Promote what the gate refuses; the reason is recorded.", show_default=False
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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: DataOption = None,
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Draw what a new champion has learned.")
    ] = True,
) -> None:
    """Evaluate a run on the test set, register it, and make it champion if it passes the gate."""
    from experiments.candidates import find_candidate
    from experiments.cli.console import make_console
    from experiments.evaluation import TestSet
    from experiments.registry.gate import Verdict
    from experiments.registry.promotion import PromotionPolicy
    from experiments.registry.promotion import promote as promote_run
    from experiments.tracking.store import open_store, tracking_uri

    store, console = open_store(tracking_uri()), make_console()
    terms = PromotionPolicy(name, floor, force, margin)
    chosen = find_candidate(store, target, rule)
    console.print(f"candidate   {chosen.run.title}, id {chosen.run.run_id}", style="bold")
    console.print(f"chosen      {chosen.reason}", soft_wrap=True)
    if not yes:
        _ask(f"Evaluate it on the test set, and make it the champion of {name} if it passes?")
    source = find_source(data, chosen.run, console)
    promotion = promote_run(store, chosen, TestSet.load(source), terms)
    _print_promotion(console, promotion)
    if promotion.verdict is Verdict.REFUSED:
        raise typer.Exit(NOTHING_FOUND)
    if explain and not promotion.already_champion:
        _explain(store, chosen.run, source, console)


def _explain(store: Store, run: RunRecord, source: DataSource, console: Console) -> None:
    """Draw what the new champion learned. What goes wrong here is no fault of the promotion."""
    from experiments.explanation import FOLDER, explain_run

    try:
        explained = explain_run(store, run, source)
    except MnistSearchError as error:
        console.print(f"no pictures: {error}; draw them by: mnist-search explain {run.run_id}", soft_wrap=True)
        return
    console.print(f"pictures:   {len(explained.drawn)} in {FOLDER}/ of the run")
    for picture in explained.missing:
        console.print(f"not drawn:  {picture.title} ({picture.problem})", style="yellow", soft_wrap=True)


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise SpecError("promote: expected --yes where nobody can be asked")
    if not typer.confirm(question):
        raise typer.Exit(NOTHING_FOUND)


def _print_promotion(console: Console, promotion: Promotion) -> None:
    from experiments.cli.console import print_table
    from experiments.cli.tables import checks_table
    from experiments.registry.gate import Verdict

    version, before = promotion.version, promotion.before
    console.print()
    print_table(console, checks_table(promotion.checks))
    console.print()
    if promotion.already_champion:
        console.print(f"{version.title} is this run, and the champion already")
        return
    if promotion.verdict is Verdict.REFUSED:
        stays = f"; version {before.version} stays champion" if before else ""
        console.print(f"refused: {version.title} is registered as challenger{stays}", style="red")
        return
    by_force = " by force" if promotion.verdict is Verdict.FORCED else ""
    after = f"; version {before.version} is previous" if before else ""
    console.print(f"{version.title} is champion{by_force}{after}", style="green")
    console.print("back:       mnist-search rollback\nversions:   mnist-search registry")


def rollback(
    name: NameOption = REGISTERED_MODEL,
    reason: Annotated[str, typer.Option(help="Recorded in the history.", show_default=False)] = "",
) -> None:
    """Make the previous champion champion again."""
    from experiments.cli.console import make_console
    from experiments.registry.versions import rollback_champion
    from experiments.tracking.store import open_store, tracking_uri

    now, before = rollback_champion(open_store(tracking_uri()), name, reason)
    make_console().print(f"{now.title} is champion again; version {before.version} stepped down", style="green")


def registry(name: NameOption = REGISTERED_MODEL) -> None:
    """List the versions of the registered model, and the history of its champion."""
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import versions_table
    from experiments.registry.versions import read_changes, read_pending, read_versions
    from experiments.tracking.store import open_store, tracking_uri
    from mnist_core.errors import NotFoundError

    store, console = open_store(tracking_uri()), make_console()
    versions = read_versions(store, name)
    if not versions:
        raise NotFoundError(
            f"{name}: no versions in {store.shown} yet; promote a run first (mnist-search promote SWEEP)"
        )
    print_table(console, versions_table(versions))
    console.print("\nchampions", style="bold")
    for change in read_changes(store, name):
        when, reason = change.at[:19].replace("T", " "), f": {change.reason}" if change.reason else ""
        console.print(f"  {when} UTC  version {change.version} {change.kind.value} by {change.by}{reason}")
    if pending := read_pending(store, name):
        text = f"interrupted: version {pending.version} {pending.kind.value}; the next promote or rollback completes it"
        console.print(text, style="yellow", soft_wrap=True)
