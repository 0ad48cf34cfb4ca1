"""Refused promotions: one clear line, exit code 2, and no change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import parse_spec, run_sweep
from experiments.registry.promotion import PromotionPolicy
from experiments.tracking.artifacts import sha256_of
from experiments.tracking.queries import find_run
from experiments.tracking.store import Store
from mnist_core.errors import ParameterError
from tests.helpers.stores import aliases_of, copy_store, evaluations_of, model_file, registry_of
from tests.helpers.sweep_texts import MIXED
from tests.helpers.sweeps import Run, in_process

ABLE, ABLE_TOO, POOR, FAILED = (f"mixed/trial-{number:03d}" for number in range(4))
LOW = ("--yes", "--no-explain", "--floor", "0.5")
Refused = Callable[..., str]


@pytest.fixture
def evaluated_store(promoted: Callable[..., Path], tmp_path: Path) -> Store:
    """A copy of the store of ``evaluated_sweep`` in which version 1, of the second run, is champion."""
    return copy_store(promoted(ABLE_TOO), tmp_path / "mlruns")


@pytest.fixture
def refused(command: Run, evaluated_store: Store) -> Refused:
    """Run a command that has to be refused while version 1 is the champion; its one line of output."""

    def run(*words: str) -> str:
        before = registry_of(evaluated_store)
        code, _, err = command(*words)
        assert code == 2
        (line,) = err.splitlines()
        assert line.startswith("mnist-search: ")
        assert registry_of(evaluated_store) == before
        assert aliases_of(evaluated_store) == {"champion": 1}
        return line

    return run


def assert_says(line: str, *words: str | None) -> None:
    assert [word for word in words if word is None or word not in line] == []


@pytest.fixture
def file(evaluated_store: Store) -> Path:
    """Path of the model file of the able run."""
    return model_file(evaluated_store, find_run(evaluated_store, ABLE))


def test_a_model_that_was_altered_is_named_with_both_digests(
    refused: Refused, evaluated_store: Store, file: Path
) -> None:
    file.write_bytes(file.read_bytes() + b"\0")
    run = find_run(evaluated_store, ABLE)
    line = refused("promote", ABLE, *LOW)
    assert_says(line, run.model_id, ABLE, run.tags["model_sha256"], sha256_of(file), "altered", "will not be loaded")


def test_a_model_file_that_was_replaced_by_another_is_named_with_both_digests(
    refused: Refused, evaluated_store: Store, file: Path
) -> None:
    shutil.copy(model_file(evaluated_store, find_run(evaluated_store, POOR)), file)
    run, other = find_run(evaluated_store, ABLE), find_run(evaluated_store, POOR)
    line = refused("promote", ABLE, *LOW, "--force", "whatever it is")
    assert_says(line, run.model_id, ABLE, run.tags["model_sha256"], other.tags["model_sha256"])


def test_a_deleted_model_file_is_named_with_its_id_and_digest(
    refused: Refused, evaluated_store: Store, file: Path
) -> None:
    file.unlink()
    run = find_run(evaluated_store, ABLE)
    assert_says(refused("promote", ABLE, *LOW), run.model_id, ABLE, run.tags["model_sha256"], "missing")


def test_a_deleted_logged_model_is_named_with_its_id_and_digest(refused: Refused, evaluated_store: Store) -> None:
    run = find_run(evaluated_store, ABLE)
    assert run.model_id is not None
    evaluated_store.client.delete_logged_model(run.model_id)
    assert_says(refused("promote", ABLE, *LOW), run.model_id, ABLE, run.tags["model_sha256"], "was deleted")
    # The sweep has another that may win.
    assert "promote" not in refused("evaluate", ABLE, "--again")


def test_a_run_without_a_model_cannot_be_promoted_even_by_force(refused: Refused) -> None:
    line = refused("promote", FAILED, *LOW, "--force", "please")
    assert_says(line, FAILED, "expected a model that is READY, found none", "the run is failed")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["promote", "mixde"], ["no sweep 'mixde'", "did you mean 'mixed'?"]),
        (["promote", "mixed/trial-099"], ["no run 'trial-099' in sweep 'mixed'"]),
        (["promote", "0123456789abcdef"], ["0123456789abcdef"]),
        (["best", "mixde"], ["no sweep 'mixde'", "did you mean 'mixed'?"]),
        (["evaluate", "mixed/99"], ["no run '99' in sweep 'mixed'"]),
        (["evaluate", "0123456789abcdef"], ["no run '0123456789abcdef'", "SWEEP/trial-007"]),
        (["evaluate", "abc"], ["no run 'abc'", "6 or more digits"]),
        (["evaluate", FAILED], [FAILED, "expected a model that is READY"]),
        (["reproduce", "mixed/99"], ["no run '99' in sweep 'mixed'"]),
        (["reproduce", FAILED], [FAILED, "failed, with no result to reproduce"]),
        (["confirm", "mixde"], ["no sweep 'mixde'", "did you mean 'mixed'?"]),
        (["promote", ABLE, "--as", "a b"], ["--as: expected letters", "'a b'"]),
        (["promote", ABLE, "--as", "../up"], ["--as: expected letters", "'../up'"]),
        (["promote", ABLE, "--as", ""], ["--as: expected letters", "''"]),
        (["promote", ABLE, "--force", " "], ["--force: expected a reason"]),
        (["promote", ABLE, "--data", "nowhere"], ["nowhere: no such file or folder"]),
        (["rollback", "--as", "nobody"], ["nobody: no champion"]),
        (["registry", "--as", "nobody"], ["nobody: no versions", "promote a run first"]),
        (["registry", "--as", "it's"], ["it's"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].islower() else "",
)
def test_a_mistaken_argument_is_one_clear_line(refused: Refused, words: list[str], parts: list[str]) -> None:
    yes = ["--yes"] if words[0] == "promote" else []
    assert_says(refused(*words, *yes), *parts)


def test_without_a_terminal_a_promotion_needs_the_option_yes(refused: Refused) -> None:
    assert_says(refused("promote", ABLE, "--floor", "0.5"), "--yes")


def test_a_sweep_without_a_complete_trial_has_no_run_to_promote(refused: Refused, whole_npz: Path) -> None:
    only_the_last = MIXED.replace("mixed", "hopeless").split("    { hidden_layers = 1,")[0]
    last = [line for line in MIXED.splitlines() if "10.0" in line]
    spec = parse_spec(only_the_last + "\n".join(last) + "\n]\n" + MIXED.partition("]\n")[2])
    assert len(run_sweep(spec, in_process(whole_npz)).runs) == 1
    for command in (["promote", "hopeless", "--yes"], ["best", "hopeless"]):
        assert_says(refused(*command), "sweep hopeless: no complete trial", "mnist-search runs hopeless")
    assert_says(refused("confirm", "hopeless"), "sweep hopeless: no trial that may win")


def test_a_run_is_not_evaluated_for_promotion_on_other_data(refused: Refused, whole_npz: Path, other_npz: Path) -> None:
    assert_says(refused("promote", ABLE, *LOW, "--data", str(other_npz)), "other.npz")


def test_a_champion_has_to_be_evaluated_on_the_same_test_set_before_another_is_promoted(
    refused: Refused, command: Run, evaluated_store: Store, other_test_npz: Path
) -> None:
    data = ["--data", str(other_test_npz)]
    current = find_run(evaluated_store, ABLE_TOO)
    line = refused("promote", ABLE, *LOW, *data)
    way_out = f"mnist-search evaluate {current.run_id} --data {other_test_npz}"
    assert_says(
        line, "mnist-classifier version 1 was evaluated on another test set", current.tags["test_digest"], way_out
    )
    assert evaluations_of(evaluated_store, ABLE) == 1  # the one of the usual test set

    assert command(*way_out.split()[1:])[0] == 0
    assert command("promote", ABLE, *LOW, *data)[0] == 0
    assert aliases_of(evaluated_store) == {"champion": 2, "previous": 1}


def test_the_default_floor_of_the_test_accuracy_is_nine_tenths() -> None:
    assert PromotionPolicy().floor == 0.9


@pytest.mark.parametrize("floor", [-0.1, 1.1, float("nan")])
def test_a_floor_outside_zero_to_one_is_refused(floor: float) -> None:
    with pytest.raises(ParameterError, match=r"--floor: expected a share in \[0, 1\]"):
        PromotionPolicy(floor=floor)


def test_commands_without_a_store_fail_with_one_line_and_create_none(command: Run) -> None:
    words = (
        ["best", "x"],
        ["confirm", "x"],
        ["evaluate", "x"],
        ["promote"],
        ["rollback"],
        ["registry"],
        ["reproduce", "x"],
    )
    for each in words:
        code, _, err = command(*each)
        assert code == 2
        assert len(err.splitlines()) == 1
        assert "no store there yet" in err
    assert not Path("mlruns").exists()
