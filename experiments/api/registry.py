"""Calls that decide on the champion, and export its versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.api import runs
from experiments.api.common import enum_member, find_source, writing_to
from experiments.selection import SelectionRule
from experiments.tracking.records import FLOOR, REGISTERED_MODEL, Alias
from mnist_core.errors import MnistSearchError, NotFoundError, SpecError
from mnist_core.messages import OnMessage, print_to_stderr
from mnist_core.models.export_formats import ExportFormat

if TYPE_CHECKING:
    from experiments.api.common import RunTarget, SweepTarget
    from experiments.api.results import Rollback, VersionList
    from experiments.candidates import Candidate
    from experiments.explanation import RunExplanation
    from experiments.registry.promotion import Promotion
    from experiments.registry.version_export import ExportedModel
    from experiments.tracking.records import VersionRecord


def choose_candidate(
    target: SweepTarget | RunTarget | None = None,
    *,
    rule: SelectionRule | str = SelectionRule.BEST,
    tracking_uri: str | None = None,
) -> Candidate:
    """The run that :func:`promote` would promote, and the reason.

    Args:
        target: a sweep, of which the rule selects a run; a run; None for the newest sweep that has ended.
        rule: ``best``, ``one-se`` or ``smallest``.
        tracking_uri: the MLflow store.

    Raises:
        NotFoundError: there is neither, or no run of the sweep is selectable.
    """
    from experiments.api.results import SweepSelection
    from experiments.api.targets import open_store_of, run_name, sweep_name
    from experiments.candidates import Candidate, find_candidate
    from experiments.tracking.records import SweepRecord

    if isinstance(target, Candidate):
        return target
    if isinstance(target, SweepSelection):
        return Candidate(target.run, target.full_reason)
    is_sweep = isinstance(getattr(target, "sweep", target), SweepRecord)
    name = target if target is None else sweep_name(target) if is_sweep else run_name(target)
    return find_candidate(open_store_of(tracking_uri, target), name, enum_member(SelectionRule, rule, "rule"))


def promote(
    target: SweepTarget | RunTarget | None = None,
    *,
    name: str = REGISTERED_MODEL,
    rule: SelectionRule | str = SelectionRule.BEST,
    floor: float = FLOOR,
    margin: float | None = None,
    force: str | None = None,
    explain: bool = True,
    data: str | Path | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage = print_to_stderr,
) -> Promotion:
    """Evaluate a run on the test set, register it, and make it champion if it passes the gate.

    Args:
        target: a sweep, of which the rule selects a run; a run; None for the newest sweep that has ended.
        name: of the registered model.
        rule: ``best``, ``one-se`` or ``smallest``.
        floor: minimum test accuracy, in [0, 1].
        margin: how much less accurate than the champion, and than the best former one, the run may be, in [0, 1].
        force: reason to promote a run that the gate refuses; it is recorded.
        explain: plot what a new champion learned, as :func:`explain_champion` does.
        data: where the data lies now; it has to be the same.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        NotFoundError: there is neither sweep nor run.
        ModelError: the run's model is missing or not the one that was logged; nothing was changed.
        DataError: the test set is not that of the run, or the champion was not evaluated on it.
        StoreError: the store cannot be written.
    """
    from experiments.api.targets import open_store_of
    from experiments.evaluation import TestSet
    from experiments.registry.promotion import PromotionPolicy, promote_run
    from experiments.registry.serving_file import no_serving_file_message

    policy = PromotionPolicy(name, floor, force, margin)
    store = open_store_of(tracking_uri, target)
    candidate = choose_candidate(target, rule=rule, tracking_uri=store.uri)
    test = TestSet.load(find_source(data, candidate.run.tags, on_message))
    promotion = promote_run(store, candidate, test, policy)
    if message := no_serving_file_message(promotion.version):
        on_message(message)
    if explain:
        explain_champion(promotion, data=data, tracking_uri=store.uri, on_message=on_message)
    return promotion


def explain_champion(
    promotion: Promotion,
    *,
    data: str | Path | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage = print_to_stderr,
) -> RunExplanation | None:
    """Explain the run of a promotion if that made a new champion.

    An error is reported by ``on_message`` and not raised: it does not concern the promotion.

    Returns:
        The explanation; None where there is no new champion, or where it failed.
    """
    from experiments.registry.gate import Verdict

    if promotion.verdict is Verdict.REFUSED or promotion.already_champion:
        return None
    run_id = promotion.version.run_id
    try:
        return runs.explain(run_id, data=data, tracking_uri=tracking_uri, on_message=on_message)
    except MnistSearchError as error:
        on_message(f"no plots: {error}; to plot them: mnist-search explain {run_id}")
        return None


def rollback(*, name: str = REGISTERED_MODEL, reason: str = "", tracking_uri: str | None = None) -> Rollback:
    """Make the previous champion champion again.

    Args:
        name: of the registered model.
        reason: recorded in the history.
        tracking_uri: the MLflow store.

    Raises:
        NotFoundError: no champion, or none before it.
        ModelError: the previous model is missing or not the one that was logged; the champion stays.
    """
    from experiments.api.results import Rollback
    from experiments.api.targets import open_store_of
    from experiments.registry.versions import rollback_champion

    return Rollback(*rollback_champion(open_store_of(tracking_uri), name, reason))


def list_versions(*, name: str = REGISTERED_MODEL, tracking_uri: str | None = None) -> VersionList:
    """The versions of a registered model, newest first, and the history of its champion.

    Raises:
        NotFoundError: it has no versions yet.
    """
    from experiments.api.results import VersionList
    from experiments.api.targets import open_store_of
    from experiments.registry.versions import read_changes, read_pending, read_versions

    store = open_store_of(tracking_uri)
    versions = read_versions(store, name)
    if not versions:
        raise NotFoundError(
            f"{name}: no versions in {store.shown} yet; promote a run first (mnist-search promote SWEEP)"
        )
    return VersionList(versions, read_changes(store, name), read_pending(store, name))


def export(
    version: str | int | VersionRecord | Promotion = Alias.CHAMPION.value,
    *,
    format: ExportFormat | str = ExportFormat.LITERT,
    int8: bool = False,
    output: str | Path = "exports",
    name: str = REGISTERED_MODEL,
    data: str | Path | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage = print_to_stderr,
) -> ExportedModel:
    """Write a version as a file for phones and other runtimes, and check it against the Keras model.

    Args:
        version: a number, an alias such as ``champion``, or a version.
        format: one of :class:`mnist_core.models.export_formats.ExportFormat`, such as ``litert`` or ``onnx``.
        int8: LiteRT with 8-bit integers, a quarter of the size.
        output: folder to write to; it is made if it is missing.
        name: of the registered model; that of the version where a version is passed.
        data: where the data of its run lies now.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        NotFoundError: no such version.
        MissingLibraryError: the format needs a library that is not installed.
        ModelError: the version's file is missing or altered, or the export predicts otherwise.
        SpecError: the folder cannot be written, there is no such format, or the value stands for no version.
    """
    from experiments.api.targets import open_store_of
    from experiments.registry.version_export import export_version, find_version
    from experiments.tracking.queries import find_run
    from experiments.tracking.records import VersionRecord

    store, folder, wanted = open_store_of(tracking_uri), Path(output), enum_member(ExportFormat, format, "format")
    found = version if isinstance(version, VersionRecord) else getattr(version, "version", None)
    if found is None:
        if not isinstance(version, str | int):
            raise SpecError(
                f"version: expected a number, an alias, a version or a promotion, received {type(version).__name__}"
            )
        found = find_version(store, name, str(version))
    source = find_source(data, find_run(store, found.run_id).tags, on_message)
    with writing_to("--output", folder):
        folder.mkdir(parents=True, exist_ok=True)
        return export_version(store, found, wanted, int8, folder, source)
