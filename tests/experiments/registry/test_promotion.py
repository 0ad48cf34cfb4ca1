"""Who becomes champion, and what is recorded of it."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path

import pytest

from experiments.registry.champion_history import ChangeKind
from experiments.registry.promotion import PromotionPolicy
from experiments.registry.versions import champion, read_changes, read_versions
from experiments.tracking.queries import find_run
from experiments.tracking.records import VersionRecord
from experiments.tracking.store import Store
from mnist_core.errors import ParameterError
from tests.helpers.stores import aliases_of, evaluations_of, registry_of
from tests.helpers.sweeps import Run

ABLE, ABLE_TOO, POOR = "contest/trial-000", "contest/trial-001", "contest/trial-002"
# The floor is of models that were trained on all of MNIST.
LOW = ("--yes", "--no-explain", "--floor", "0.5")
HIGH = ("--yes", "--no-explain", "--floor", "0.99")


def only_version(store: Store) -> VersionRecord:
    (version,) = read_versions(store, "mnist-classifier")
    return version


def test_the_best_of_a_sweep_becomes_champion(command: Run, judged_store: Store) -> None:
    code, out, err = command("promote", "contest", *LOW)
    assert (code, err) == (0, "")
    version, run = only_version(judged_store), find_run(judged_store, ABLE)
    assert aliases_of(judged_store) == {"champion": 1}
    assert version.run_id == run.run_id
    assert out.startswith(f"candidate   {ABLE}, id {run.run_id}\nchosen      of sweep contest, by rule best: the best")
    assert "mnist-classifier version 1 is champion\n" in out


def test_every_check_is_printed_with_its_figure_and_recorded_with_who_when_and_why(
    command: Run, judged_store: Store
) -> None:
    _, out, _ = command("promote", "contest", *LOW)
    tags, run = only_version(judged_store).tags, find_run(judged_store, ABLE)
    for name in ("finite", "accuracy", "champion", "former"):
        outcome, _, seen = tags[f"check.{name}"].partition(": ")
        assert outcome == "passed"
        assert any(line.split() == ["passed", name, *seen.split()] for line in out.splitlines())
    assert (tags["run"], tags["sweep"], tags["gate"]) == (ABLE, "contest", "passed")
    assert (tags["model_id"], tags["model_sha256"]) == (run.model_id, run.tags["model_sha256"])
    assert tags["parameters"] == "hidden_layers=1 hidden_size=64 learning_rate=0.01"
    assert tags["test_accuracy"] == f"{run.metrics['test_accuracy']:.4f}"
    assert tags["test_digest"] == run.tags["test_digest"]
    assert tags["reason"].startswith("of sweep contest, by rule best")
    assert tags["by"]
    (change,) = read_changes(judged_store, "mnist-classifier")
    assert (change.version, change.act, change.by) == (1, ChangeKind.PROMOTED, tags["by"])
    assert tags["at"] <= change.at


def test_the_card_is_the_description_of_the_version_and_an_artifact_of_the_run(
    command: Run, judged_store: Store
) -> None:
    command("promote", "contest", *LOW)
    version = judged_store.client.get_model_version_by_alias("mnist-classifier", "champion")
    card = judged_store.client.download_artifacts(version.run_id, "model_card.md")
    with open(card, encoding="utf-8") as file:  # noqa: PTH123  # MLflow gives a text
        assert file.read() == version.description
    assert version.description.startswith(f"# {ABLE}\n")
    assert "whole (given): 800 images to train, 200 to choose by" in version.description


def test_the_next_champion_makes_the_one_before_it_previous(command: Run, judged_store: Store) -> None:
    command("promote", ABLE_TOO, *LOW)
    code, out, _ = command("promote", ABLE, *LOW)
    assert code == 0
    assert aliases_of(judged_store) == {"champion": 2, "previous": 1}
    assert "version 2 is champion; version 1 is previous" in out
    assert [change.version for change in read_changes(judged_store, "mnist-classifier")] == [1, 2]
    compared = read_versions(judged_store, "mnist-classifier")[0].tags["check.champion"]
    assert compared.startswith(f"passed: no worse than {ABLE_TOO}: accuracy ")
    assert "of 250 images" in compared


def test_a_model_below_the_floor_is_refused_and_stays_as_challenger(command: Run, judged_store: Store) -> None:
    code, out, _ = command("promote", ABLE, *HIGH)
    assert code == 1
    assert aliases_of(judged_store) == {"challenger": 1}
    assert champion(judged_store) is None
    assert out.splitlines()[-1] == "refused: mnist-classifier version 1 is registered as challenger"
    (line,) = (line for line in out.splitlines() if line.startswith("FAILED"))
    assert line.split()[1] == "accuracy"
    assert line.endswith("at least 0.99 asked")
    tags = only_version(judged_store).tags
    assert tags["gate"] == "refused"
    assert tags["check.accuracy"].startswith("failed: 0.8")


def test_one_that_is_worse_is_refused_and_the_champion_stays(command: Run, judged_store: Store) -> None:
    command("promote", ABLE, *LOW)
    code, out, _ = command("promote", POOR, "--yes", "--no-explain", "--floor", "0")
    assert code == 1
    assert aliases_of(judged_store) == {"champion": 1, "challenger": 2}
    assert f"not shown to be no worse than {ABLE}" in out
    assert out.splitlines()[-1].endswith("version 2 is registered as challenger; version 1 stays champion")
    assert [change.version for change in read_changes(judged_store, "mnist-classifier")] == [1]


def test_force_overrides_the_gate_and_its_reason_is_recorded(command: Run, judged_store: Store) -> None:
    command("promote", ABLE, *LOW)
    code, out, _ = command("promote", POOR, "--yes", "--no-explain", "--force", "for a demonstration")
    assert code == 0
    assert aliases_of(judged_store) == {"champion": 2, "previous": 1}
    assert "version 2 is champion by force" in out
    newest, _ = read_versions(judged_store, "mnist-classifier")
    assert (newest.tags["gate"], newest.tags["reason"]) == ("forced", "named by the user")
    assert newest.tags["forced_because"] == "for a demonstration"
    assert newest.tags["check.accuracy"].startswith("failed: ")
    change = read_changes(judged_store, "mnist-classifier")[-1]
    assert (change.act, change.reason) == (ChangeKind.FORCED, "for a demonstration")


def test_force_where_nothing_is_refused_is_an_ordinary_promotion(command: Run, judged_store: Store) -> None:
    command("promote", ABLE, *LOW, "--force", "to be sure")
    assert only_version(judged_store).tags["gate"] == "passed"
    assert read_changes(judged_store, "mnist-classifier")[0].act is ChangeKind.PROMOTED


def test_a_challenger_that_comes_again_is_the_same_version(command: Run, judged_store: Store) -> None:
    command("promote", ABLE, *HIGH)
    assert command("promote", ABLE, *LOW)[0] == 0
    assert only_version(judged_store).aliases == ("champion",)
    assert only_version(judged_store).tags["gate"] == "passed"
    assert aliases_of(judged_store) == {"champion": 1}


def test_the_champion_promoted_again_stays_what_it_is(command: Run, judged_store: Store) -> None:
    command("promote", ABLE, *LOW)
    before = registry_of(judged_store)
    code, out, _ = command("promote", "contest", *LOW)
    assert code == 0
    assert "version 1 is this run, and the champion already" in out
    assert registry_of(judged_store) == before


def test_a_run_is_evaluated_once_however_often_it_is_promoted(command: Run, contest_store: Store) -> None:
    assert command("promote", ABLE, *HIGH)[0] == 1
    assert evaluations_of(contest_store, ABLE) == 1
    assert command("promote", ABLE, *LOW)[0] == 0
    assert command("promote", ABLE, *LOW, "--as", "another")[0] == 0
    assert evaluations_of(contest_store, ABLE) == 1


def test_another_name_has_a_champion_of_its_own(command: Run, judged_store: Store) -> None:
    command("promote", ABLE, *LOW)
    before = registry_of(judged_store)
    assert command("promote", POOR, "--yes", "--no-explain", "--floor", "0", "--as", "demo")[0] == 0
    assert aliases_of(judged_store, "demo") == {"champion": 1}
    assert registry_of(judged_store) == before


def test_without_a_name_the_newest_sweep_that_has_ended_is_taken(command: Run, judged_store: Store) -> None:
    assert command("promote", *LOW)[0] == 0
    assert only_version(judged_store).tags["sweep"] == "contest"


def test_the_rule_decides_which_run_of_a_sweep_it_is(command: Run, judged_store: Store) -> None:
    _, out, _ = command("promote", "contest", *LOW, "--rule", "smallest")
    assert out.startswith(f"candidate   {ABLE_TOO}")
    assert "by rule smallest: 19,090 weights, against 50,890 of trial-000" in only_version(judged_store).tags["reason"]


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code", "versions"), [("y\n", 0, 1), ("n\n", 1, 0)])
def test_who_can_be_asked_is_asked(
    command: Run, judged_store: Store, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, versions: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    found, out, _ = command("promote", ABLE, "--floor", "0.5")
    assert "make it the champion of mnist-classifier if it passes?" in out
    assert (found, len(read_versions(judged_store, "mnist-classifier"))) == (code, versions)


def test_a_candidate_is_compared_with_the_best_former_champion_too(command: Run, judged_store: Store) -> None:
    command("promote", ABLE, *LOW)
    command("promote", POOR, "--yes", "--no-explain", "--force", "for a demonstration")
    code, out, _ = command("promote", ABLE_TOO, *LOW, "--margin", "0")
    assert code == 1
    (champion_line, former_line) = (
        line for line in out.splitlines() if line.split()[1:2] in (["champion"], ["former"])
    )
    assert champion_line.startswith("passed")
    assert former_line.startswith(f"FAILED  former    not shown to be no worse than {ABLE}: accuracy ")
    assert "-0.0000 allowed" in former_line or "+0.0000 allowed" in former_line


def test_a_former_champion_without_a_record_on_these_images_is_named_and_passed_over(
    command: Run, contest_store: Store, whole_npz: Path, other_test_npz: Path
) -> None:
    assert command("promote", POOR, *LOW, "--floor", "0", "--data", str(other_test_npz))[0] == 0
    command("evaluate", ABLE_TOO, "--data", str(other_test_npz))
    assert command("promote", ABLE_TOO, *LOW, "--data", str(other_test_npz))[0] == 0
    command("evaluate", ABLE_TOO, "--data", str(whole_npz))
    code, out, _ = command("promote", ABLE, *LOW, "--data", str(whole_npz))
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.split()[1:2] == ["former"])
    assert line.rstrip().endswith(
        "no former champion to compare with; not compared, for want of a record on these images: version 1"
    )


def test_a_run_that_is_named_and_has_no_finite_loss_is_refused(command: Run, judged_store: Store) -> None:
    judged_store.client.log_metric(find_run(judged_store, ABLE).run_id, "best_val_loss", math.inf)
    code, out, _ = command("promote", ABLE, *LOW)
    assert code == 1
    assert "FAILED  finite    not finite: best_val_loss" in out


@pytest.mark.parametrize("margin", [-0.1, 1.5])
def test_a_margin_that_is_no_share_is_refused(margin: float) -> None:
    with pytest.raises(ParameterError, match="--margin: expected a share in"):
        PromotionPolicy(margin=margin)
