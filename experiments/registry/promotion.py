"""Promotion of a run: evaluate it, check it against the champion, register it, and set its alias."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Real
from pathlib import Path

from experiments.candidates import Candidate
from experiments.evaluation import EvaluationRecord, TestSet, count_evaluated, evaluate_model_file, read_evaluation
from experiments.formatting import Displayed, TextTable, format_number, format_params, short_text
from experiments.registry import gate, versions
from experiments.registry.champion_history import ChampionChange, ChangeKind, champion_stack, utc_now
from experiments.registry.gate import Check, EvaluatedRun, FormerChampions, Verdict
from experiments.registry.model_card import CardContent, model_card
from experiments.registry.serving_file import has_serving_file, make_serving_file
from experiments.result_tables import checks_table
from experiments.tracking import provenance, queries
from experiments.tracking.artifacts import fetch_model
from experiments.tracking.records import FLOOR, REGISTERED_MODEL, Tag, VersionRecord, VersionTag
from experiments.tracking.store import Store
from mnist_core.errors import DataError, NotFoundError, ParameterError, StoreError

CARD_FILE = "model_card.md"
MAX_TRIES = 5


@dataclass(frozen=True)
class PromotionPolicy:
    """The conditions of a promotion.

    Args:
        name: of the registered model.
        floor: minimum test accuracy, in [0, 1].
        force: the user's reason to promote a run that the gate refuses; None leaves the decision to the gate.
        margin: accuracy that the run may lack against a champion, as a share, in [0, 1]; None takes the default of
            :func:`experiments.registry.gate.run_checks`.

    Raises:
        ParameterError: the floor or the margin is no share, or the reason is empty.
        SpecError: the name is not valid.
    """

    name: str = REGISTERED_MODEL
    floor: float = FLOOR
    force: str | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        versions.check_name(self.name)
        for option, share in (("--floor", self.floor), ("--margin", 0 if self.margin is None else self.margin)):
            if not (isinstance(share, Real) and 0 <= share <= 1):
                raise ParameterError(f"{option}: expected a share in [0, 1], received {share!r}")
        if self.force is not None and not (isinstance(self.force, str) and self.force.strip()):
            raise ParameterError(f"--force: expected a reason, received {self.force!r}")


@dataclass(frozen=True, repr=False)
class Promotion(Displayed):
    """The result of a promotion.

    Args:
        version: of the candidate.
        verdict: of the gate.
        checks: of the gate.
        before: the champion until then.
        evaluation: of the candidate.
    """

    version: VersionRecord
    verdict: Verdict
    checks: Sequence[Check]
    before: VersionRecord | None
    evaluation: EvaluationRecord

    @property
    def already_champion(self) -> bool:
        """True where the run was the champion before."""
        return self.before is not None and self.before.version == self.version.version

    def _title(self) -> str:
        return f"{self.version.title}: {self.verdict.value}"

    def _tables(self) -> Sequence[TextTable]:
        return (checks_table(self.checks),)


def promote_run(store: Store, candidate: Candidate, test: TestSet, policy: PromotionPolicy) -> Promotion:
    """Promote a run if it passes the gate; a refused one is registered with the alias ``challenger``.

    A run is evaluated on the same images once: a recorded evaluation is used again.

    Raises:
        ModelError: the run's model is missing or not the one that was logged; nothing was changed.
        DataError: the test set is not that of the run, or the champion was not evaluated on it.
        StoreError: the store cannot be written.
    """
    run = candidate.run
    test.check_belongs_to(run)
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        path = fetch_model(store, run, Path(folder))
        # Fails early where the comparison below would fail, before the test set is used.
        _evaluated_champion(store, versions.champion(store, policy.name), test)
        evaluation = read_evaluation(store, run, test.data.digest) or evaluate_model_file(store, run, path, test)
        # Before the registry is locked: it takes seconds.
        known = versions.find_version_of_model(store, policy.name, run.model_id or "")
        made = known is not None and has_serving_file(store, known)
        serving_file = {} if made else make_serving_file(store, run, path, test.data.images)
    evaluated = EvaluatedRun(run, evaluation)
    read_former = _former_reader(store, policy.name, test)
    with store.exclusively():
        for _ in range(MAX_TRIES):
            versions.settle(store, policy.name)
            current = versions.champion(store, policy.name)
            champion, former = _evaluated_champion(store, current, test), read_former(current)
            checks = gate.run_checks(evaluated, champion, former, policy.floor, policy.margin)
            verdict = gate.verdict(checks, policy.force)
            if current is not None and current.run_id == run.run_id:
                versions.set_version_tags(store, current, serving_file)  # a champion of an earlier release has none
                current = versions.read_version(store, policy.name, current.version)
                return Promotion(current, verdict, checks, current, evaluation)
            version = _register(store, candidate, evaluated, checks, policy, serving_file)
            # A server's registry cannot be locked: if another process changed the champion meanwhile, compare again.
            if _version_of(versions.champion(store, policy.name)) == _version_of(current):
                _set_alias(store, version, verdict, policy)
                version = versions.read_version(store, policy.name, version.version)
                return Promotion(version, verdict, checks, current, evaluation)
    raise StoreError(f"{policy.name}: its champion changed {MAX_TRIES} times during the promotion; try again")


def _version_of(record: VersionRecord | None) -> int | None:
    return record.version if record else None


def _evaluated_champion(store: Store, current: VersionRecord | None, test: TestSet) -> EvaluatedRun | None:
    """The champion with its evaluation on these images.

    Raises:
        NotFoundError: its run was deleted.
        DataError: it was not evaluated on these images.
    """
    if current is None:
        return None
    try:
        run = queries.find_run(store, current.run_id)
    except NotFoundError as error:
        raise NotFoundError(
            f"champion {current.title}: its run {current.run_id} was deleted, so no run can be compared with it. "
            "Promote under another name (--as NAME), or delete its alias"
        ) from error
    evaluation = read_evaluation(store, run, test.data.digest)
    if evaluation is None:
        known = f"{current.tags.get(VersionTag.TEST_DATASET)} {current.tags.get(VersionTag.TEST_DIGEST)}"
        raise DataError(
            f"champion {current.title} was evaluated on another test set ({known}) than this one ({test.name} "
            f"{test.data.digest}). Evaluate it on this one too: mnist-search evaluate {run.run_id} --data "
            f"{test.location}; or promote under another name: --as NAME"
        )
    return EvaluatedRun(run, evaluation)


def _former_reader(store: Store, name: str, test: TestSet) -> Callable[[VersionRecord | None], FormerChampions]:
    """A function that reads the champions before a given one with their evaluations; each run is read once."""

    @cache
    def read(run_id: str) -> EvaluatedRun | None:
        try:
            run = queries.find_run(store, run_id)
        except NotFoundError:
            return None
        evaluation = read_evaluation(store, run, test.data.digest)
        return EvaluatedRun(run, evaluation) if evaluation else None

    def former(current: VersionRecord | None) -> FormerChampions:
        known = {version.version: version for version in versions.read_versions(store, name)}
        changes = versions.read_changes(store, name)
        # Deleted versions, and versions of deleted runs, are listed as skipped.
        numbers = [number for number in dict.fromkeys(champion_stack(changes)) if number != _version_of(current)]
        found = {number: read(known[number].run_id) if number in known else None for number in numbers}
        return FormerChampions(
            [one for one in found.values() if one],
            [f"version {number}" for number, one in found.items() if one is None],
        )

    return former


def _register(
    store: Store,
    candidate: Candidate,
    evaluated: EvaluatedRun,
    checks: Sequence[Check],
    policy: PromotionPolicy,
    further: Mapping[str, str],
) -> VersionRecord:
    """Register a version with its model card and its tags, and these further tags."""
    run, evaluation = evaluated.run, evaluated.evaluation
    sweep = queries.find_sweep(store, run.tags["mlflow.parentRunId"])
    spec, verdict = queries.read_recorded_spec(store, sweep), gate.verdict(checks, policy.force)
    # A trial that failed and was tried again has several runs.
    trials = len({one.number for one in queries.read_runs(store, sweep) if one.state.is_finished})
    others = count_evaluated(store, run, evaluation.digest)
    card = model_card(CardContent(run, sweep, spec, trials, evaluation, checks, others))
    searched = {name: short_text(run.params[name]) for name in spec.space.domains if name in run.params}
    tags: dict[str, str] = {
        VersionTag.RUN: run.title,
        VersionTag.SWEEP: sweep.name,
        VersionTag.SWEEP_RUN_ID: sweep.run_id,
        VersionTag.MODEL_ID: run.model_id or "",
        VersionTag.MODEL_SHA256: run.tags[Tag.MODEL_SHA256],
        VersionTag.PARAMETERS: format_params(searched),
        VersionTag.VAL_ACCURACY: format_number(run.value("val_accuracy")),
        VersionTag.TEST_ACCURACY: f"{evaluation.metrics.accuracy.value:.4f}",
        VersionTag.TEST_DATASET: evaluation.dataset,
        VersionTag.TEST_DIGEST: evaluation.digest,
        VersionTag.GATE: verdict.value,
        VersionTag.REASON: candidate.reason,
        VersionTag.FORCED_BECAUSE: (policy.force or "") if verdict is Verdict.FORCED else "",
        VersionTag.BY: provenance.user(),
        VersionTag.AT: utc_now(),
        **{f"{VersionTag.CHECK}.{check.name}": _format_outcome(check) for check in checks},
        **further,
    }
    with store.errors(f"recording the model card of {run.title}"):
        store.client.log_text(run.run_id, card, CARD_FILE)
    return versions.register(store, policy.name, run.run_id, run.model_id or "", tags, card)


def _format_outcome(check: Check) -> str:
    return f"{'passed' if check.passed else 'failed'}: {check.detail}"


def _set_alias(store: Store, version: VersionRecord, verdict: Verdict, policy: PromotionPolicy) -> None:
    if verdict is Verdict.REFUSED:
        versions.set_challenger(store, version)
        return
    change = ChampionChange.now(version.version, ChangeKind.PROMOTED)
    if verdict is Verdict.FORCED:
        change = ChampionChange.now(version.version, ChangeKind.FORCED, policy.force or "")
    versions.set_champion(store, version, change)
