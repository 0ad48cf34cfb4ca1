"""The promotion of runs: the new champion, and the records of it."""

from __future__ import annotations

import io
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.registry.champion_history import ChangeKind
from experiments.registry.promotion import PromotionPolicy
from experiments.registry.versions import champion, read_changes, read_versions
from experiments.tracking import queries
from experiments.tracking.queries import find_run
from experiments.tracking.records import RunRecord, SweepRecord, VersionRecord
from experiments.tracking.store import Store
from mnist_core.errors import ParameterError
from tests.helpers.stores import aliases_of, evaluations_of, registry_of
from tests.helpers.sweeps import Run

BEST, SECOND, WORST = "mixed/trial-000", "mixed/trial-001", "mixed/trial-002"
# The default floor is for models that were trained on all of MNIST.
LOW = ("--yes", "--no-explain", "--floor", "0.5")
HIGH = ("--yes", "--no-explain", "--floor", "0.99")


def only_version(store: Store) -> VersionRecord:
    (version,) = read_versions(store, "mnist-classifier")
    return version


def test_the_best_of_a_sweep_becomes_champion(command: Run, evaluated_store: Store) -> None:
    code, out, err = command("promote", "mixed", *LOW)
    assert (code, err) == (0, "")
    version, run = only_version(evaluated_store), find_run(evaluated_store, BEST)
    assert aliases_of(evaluated_store) == {"champion": 1}
    assert version.run_id == run.run_id
    assert out.startswith(f"candidate   {BEST}, id {run.run_id}\nchosen      of sweep mixed, by rule best: the best")
    assert "mnist-classifier version 1 is champion\n" in out


def test_every_check_is_printed_with_its_detail_and_recorded_with_user_time_and_reason(
    command: Run, evaluated_store: Store
) -> None:
    _, out, _ = command("promote", "mixed", *LOW)
    tags, run = only_version(evaluated_store).tags, find_run(evaluated_store, BEST)
    for name in ("finite", "accuracy", "champion", "former"):
        outcome, _, detail = tags[f"check.{name}"].partition(": ")
        assert outcome == "passed"
        assert any(line.split() == ["passed", name, *detail.split()] for line in out.splitlines())
    assert (tags["run"], tags["sweep"], tags["gate"]) == (BEST, "mixed", "passed")
    assert (tags["model_id"], tags["model_sha256"]) == (run.model_id, run.tags["model_sha256"])
    assert tags["parameters"] == "hidden_layers=1 hidden_size=64 learning_rate=0.01"
    assert tags["test_accuracy"] == f"{run.metrics['test_accuracy']:.4f}"
    assert tags["test_digest"] == run.tags["test_digest"]
    assert tags["reason"].startswith("of sweep mixed, by rule best")
    assert tags["by"]
    (change,) = read_changes(evaluated_store, "mnist-classifier")
    assert (change.version, change.kind, change.by) == (1, ChangeKind.PROMOTED, tags["by"])
    assert tags["at"] <= change.at


def test_the_card_is_the_description_of_the_version_and_an_artifact_of_the_run(
    command: Run, evaluated_store: Store
) -> None:
    command("promote", "mixed", *LOW)
    version = evaluated_store.client.get_model_version_by_alias("mnist-classifier", "champion")
    card = evaluated_store.client.download_artifacts(version.run_id, "model_card.md")
    with open(card, encoding="utf-8") as file:  # noqa: PTH123  # MLflow gives a text
        assert file.read() == version.description
    assert version.description.startswith(f"# {BEST}\n")
    assert "whole (given): 800 images for training, 200 for validation" in version.description


def test_the_next_champion_makes_the_one_before_it_previous(command: Run, evaluated_store: Store) -> None:
    command("promote", SECOND, *LOW)
    code, out, _ = command("promote", BEST, *LOW)
    assert code == 0
    assert aliases_of(evaluated_store) == {"champion": 2, "previous": 1}
    assert "version 2 is champion; version 1 is previous" in out
    assert [change.version for change in read_changes(evaluated_store, "mnist-classifier")] == [1, 2]
    compared = read_versions(evaluated_store, "mnist-classifier")[0].tags["check.champion"]
    assert compared.startswith(f"passed: no worse than {SECOND}: accuracy ")
    assert "of 250 images" in compared


def test_a_model_below_the_floor_is_refused_and_stays_as_challenger(command: Run, evaluated_store: Store) -> None:
    code, out, _ = command("promote", BEST, *HIGH)
    assert code == 1
    assert aliases_of(evaluated_store) == {"challenger": 1}
    assert champion(evaluated_store) is None
    assert out.splitlines()[-1] == "refused: mnist-classifier version 1 is registered as challenger"
    (line,) = (line for line in out.splitlines() if line.startswith("FAILED"))
    assert line.split()[1] == "accuracy"
    assert line.endswith("at least 0.99 required")
    tags = only_version(evaluated_store).tags
    assert tags["gate"] == "refused"
    assert tags["check.accuracy"].startswith("failed: 0.8")


def test_a_worse_run_is_refused_and_the_champion_stays(command: Run, evaluated_store: Store) -> None:
    command("promote", BEST, *LOW)
    code, out, _ = command("promote", WORST, "--yes", "--no-explain", "--floor", "0")
    assert code == 1
    assert aliases_of(evaluated_store) == {"champion": 1, "challenger": 2}
    assert f"not shown to be no worse than {BEST}" in out
    assert out.splitlines()[-1].endswith("version 2 is registered as challenger; version 1 stays champion")
    assert [change.version for change in read_changes(evaluated_store, "mnist-classifier")] == [1]


def test_force_overrides_the_gate_and_its_reason_is_recorded(command: Run, evaluated_store: Store) -> None:
    command("promote", BEST, *LOW)
    code, out, _ = command("promote", WORST, "--yes", "--no-explain", "--force", "for a demonstration")
    assert code == 0
    assert aliases_of(evaluated_store) == {"champion": 2, "previous": 1}
    assert "version 2 is champion by force" in out
    newest, _ = read_versions(evaluated_store, "mnist-classifier")
    assert (newest.tags["gate"], newest.tags["reason"]) == ("forced", "named by the user")
    assert newest.tags["forced_because"] == "for a demonstration"
    assert newest.tags["check.accuracy"].startswith("failed: ")
    change = read_changes(evaluated_store, "mnist-classifier")[-1]
    assert (change.kind, change.reason) == (ChangeKind.FORCED, "for a demonstration")


def test_force_is_recorded_only_where_a_check_failed(command: Run, evaluated_store: Store) -> None:
    command("promote", BEST, *LOW, "--force", "to be sure")
    assert only_version(evaluated_store).tags["gate"] == "passed"
    assert read_changes(evaluated_store, "mnist-classifier")[0].kind is ChangeKind.PROMOTED


def test_a_challenger_that_is_promoted_later_stays_the_same_version(command: Run, evaluated_store: Store) -> None:
    command("promote", BEST, *HIGH)
    assert command("promote", BEST, *LOW)[0] == 0
    assert only_version(evaluated_store).aliases == ("champion",)
    assert only_version(evaluated_store).tags["gate"] == "passed"
    assert aliases_of(evaluated_store) == {"champion": 1}


def test_promoting_the_champion_again_changes_nothing(command: Run, evaluated_store: Store) -> None:
    command("promote", BEST, *LOW)
    before = registry_of(evaluated_store)
    code, out, _ = command("promote", "mixed", *LOW)
    assert code == 0
    assert "version 1 is this run, and the champion already" in out
    assert registry_of(evaluated_store) == before


def test_a_run_that_is_promoted_several_times_is_evaluated_once(command: Run, mixed_store: Store) -> None:
    assert command("promote", BEST, *HIGH)[0] == 1
    assert evaluations_of(mixed_store, BEST) == 1
    assert command("promote", BEST, *LOW)[0] == 0
    assert command("promote", BEST, *LOW, "--as", "another")[0] == 0
    assert evaluations_of(mixed_store, BEST) == 1


def test_each_registered_model_has_its_own_champion(command: Run, evaluated_store: Store) -> None:
    command("promote", BEST, *LOW)
    before = registry_of(evaluated_store)
    assert command("promote", WORST, "--yes", "--no-explain", "--floor", "0", "--as", "demo")[0] == 0
    assert aliases_of(evaluated_store, "demo") == {"champion": 1}
    assert registry_of(evaluated_store) == before


def test_without_a_name_the_newest_finished_sweep_is_used(command: Run, evaluated_store: Store) -> None:
    assert command("promote", *LOW)[0] == 0
    assert only_version(evaluated_store).tags["sweep"] == "mixed"


def test_the_rule_selects_the_run_of_a_sweep(command: Run, evaluated_store: Store) -> None:
    _, out, _ = command("promote", "mixed", *LOW, "--rule", "smallest")
    assert out.startswith(f"candidate   {SECOND}")
    assert (
        "by rule smallest: 19,090 weights, against 50,890 of trial-000" in only_version(evaluated_store).tags["reason"]
    )


class Terminal(io.StringIO):
    """Standard input of a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code", "versions"), [("y\n", 0, 1), ("n\n", 1, 0)])
def test_in_a_terminal_the_user_is_asked_to_confirm(
    command: Run, evaluated_store: Store, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, versions: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    found, out, _ = command("promote", BEST, "--floor", "0.5", "--no-explain")
    assert "make it the champion of mnist-classifier if it passes?" in out
    assert (found, len(read_versions(evaluated_store, "mnist-classifier"))) == (code, versions)


def test_a_candidate_is_compared_with_the_best_former_champion_too(command: Run, evaluated_store: Store) -> None:
    command("promote", BEST, *LOW)
    command("promote", WORST, "--yes", "--no-explain", "--force", "for a demonstration")
    code, out, _ = command("promote", SECOND, *LOW, "--margin", "0")
    assert code == 1
    (champion_line, former_line) = (
        line for line in out.splitlines() if line.split()[1:2] in (["champion"], ["former"])
    )
    assert champion_line.startswith("passed")
    assert former_line.startswith(f"FAILED  former    not shown to be no worse than {BEST}: accuracy ")
    assert "-0.0000 allowed" in former_line or "+0.0000 allowed" in former_line


def test_a_former_champion_without_an_evaluation_on_these_images_is_named_and_skipped(
    command: Run, evaluated_store: Store, other_test_npz: Path
) -> None:
    assert command("promote", WORST, *LOW, "--floor", "0")[0] == 0
    assert command("promote", SECOND, *LOW)[0] == 0
    command("evaluate", SECOND, "--data", str(other_test_npz))
    code, out, _ = command("promote", BEST, *LOW, "--data", str(other_test_npz))
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.split()[1:2] == ["former"])
    assert line.rstrip().endswith("no former champion to compare with; not evaluated on these images: version 1")


def test_a_run_without_a_finite_loss_is_refused(command: Run, evaluated_store: Store) -> None:
    evaluated_store.client.log_metric(find_run(evaluated_store, BEST).run_id, "best_val_loss", math.inf)
    code, out, _ = command("promote", BEST, *LOW)
    assert code == 1
    assert "FAILED  finite    not finite: best_val_loss" in out


@pytest.mark.parametrize("margin", [-0.1, 1.5, "0.01"])
def test_a_margin_that_is_no_share_is_refused(margin: float) -> None:
    with pytest.raises(ParameterError, match="--margin: expected a share in"):
        PromotionPolicy(margin=margin)


@pytest.mark.parametrize("force", ["", " ", True])
def test_force_without_a_reason_is_refused(force: str) -> None:
    with pytest.raises(ParameterError, match="--force: expected a reason, received"):
        PromotionPolicy(force=force)


def test_the_model_card_counts_a_trial_that_was_tried_again_once(
    command: Run, evaluated_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_runs = queries.read_runs

    def with_a_retry(store: Store, sweep: SweepRecord) -> list[RunRecord]:
        runs = read_runs(store, sweep)
        return [*runs, replace(runs[-1], attempt=2)]

    monkeypatch.setattr(queries, "read_runs", with_a_retry)
    command("promote", BEST, *LOW)
    version = evaluated_store.client.get_model_version_by_alias("mnist-classifier", "champion")
    assert ", 4 trials of at most 3 epochs" in version.description
