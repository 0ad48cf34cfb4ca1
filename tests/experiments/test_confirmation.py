"""Confirmation of a sweep: its best configurations trained again with fresh seeds."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

import pytest

from experiments import SweepResult, launch, parse_spec, resume_sweep, run_sweep
from experiments.confirmation import confirm_sweep, fresh_seeds, related_seeds
from experiments.ranking import configurations
from experiments.registry.versions import read_versions
from experiments.tracking.queries import find_run
from experiments.tracking.store import Store
from mnist_core.errors import DataError, SpecError
from search.sweep import EndReason
from search.trial import TrialState
from tests.helpers.sweep_texts import MIXED
from tests.helpers.sweeps import Run, TrainedOnce, Watcher, in_process

# Sweeps beside the mixed one: of its best point alone, for one epoch.
SHORT = ["training.epochs=1", "points=[{ hidden_layers = 1, hidden_size = 64, learning_rate = 0.01 }]"]


def tried(result: SweepResult) -> Counter[tuple[str, str]]:
    return Counter((one.params["hidden_size"], one.params["seed"]) for one in result.runs if one.state.is_finished)


def planned(name: str, whole_npz: Path) -> list[object]:
    """The seeds of a confirmation of a sweep's best configuration, which ends before it trains."""
    done = confirm_sweep(name, 1, 2, in_process(whole_npz, timeout=1e-9))
    return [point["seed"] for point in done.spec.points]


@pytest.fixture
def confirmed(mixed_store: Store, whole_npz: Path) -> SweepResult:
    """The mixed sweep, its best two tried again with two seeds each."""
    return confirm_sweep("mixed", top=2, seeds=2, options=in_process(whole_npz))


def test_the_best_configurations_are_trained_again_each_with_unused_seeds(
    confirmed: SweepResult, mixed_sweep: SweepResult
) -> None:
    assert tried(confirmed) == Counter((size, seed) for size in ("64", "24") for seed in ("1", "2"))
    assert confirmed.sweep.name == "mixed-confirmation"
    assert confirmed.sweep.tags["confirms"] == mixed_sweep.sweep.run_id
    assert confirmed.sweep.tags["dataset_digest"] == mixed_sweep.sweep.tags["dataset_digest"]
    # All else is as it was.
    for name in mixed_sweep.runs[0].params.keys() - {"hidden_size", "seed"}:
        assert {one.params[name] for one in confirmed.runs} == {mixed_sweep.runs[0].params[name]}


def test_all_configurations_are_tried_with_one_seed_before_the_next_seed(confirmed: SweepResult) -> None:
    assert [one.params["seed"] for one in confirmed.runs] == ["1", "1", "2", "2"]


def test_configurations_are_ranked_by_their_means_and_the_best_mean_is_promoted(
    confirmed: SweepResult, command: Run, mixed_store: Store
) -> None:
    first, second = configurations(confirmed.runs)
    assert first.mean("val_accuracy") >= second.mean("val_accuracy")
    assert {len(first.runs), len(second.runs)} == {2}
    _, out, _ = command("best", "mixed-confirmation")
    low, high = first.interval("val_accuracy") or (0, 0)
    assert f"{first.mean('val_accuracy'):.4f}  {low:.4f} to {high:.4f}" in out
    code, out, _ = command("promote", "mixed-confirmation", "--yes", "--no-explain", "--floor", "0")
    assert code == 0
    assert "the best mean val_accuracy" in out
    assert read_versions(mixed_store, "mnist-classifier")[0].run_id == first.run.run_id


def test_a_confirmation_that_was_interrupted_is_resumed_like_any_sweep(mixed_store: Store, whole_npz: Path) -> None:
    watcher = Watcher()
    stopped = confirm_sweep("mixed", 1, 2, in_process(whole_npz, watcher, stop=lambda: len(watcher.ended) == 1))
    assert stopped.ending is EndReason.INTERRUPTED
    done = resume_sweep("mixed-confirmation", in_process(whole_npz))
    assert tried(done) == {("64", "1"): 1, ("64", "2"): 1}
    assert {one.run_id for one in stopped.runs if one.state is TrialState.COMPLETE} < {one.run_id for one in done.runs}


def test_a_second_confirmation_uses_other_seeds(mixed_store: Store, whole_npz: Path) -> None:
    first = confirm_sweep("mixed", 1, 2, in_process(whole_npz))
    assert [one.params["seed"] for one in first.runs] == ["1", "2"]
    assert planned("mixed", whole_npz) == [3, 4]
    # One that confirms a confirmation too.
    assert planned("mixed-confirmation", whole_npz) == [5, 6]


def test_a_confirmation_of_a_confirmation_uses_no_seed_of_the_first_sweep(mixed_store: Store, whole_npz: Path) -> None:
    run_sweep(parse_spec(MIXED, ["name=first", "seed=1", *SHORT]), in_process(whole_npz))
    done = confirm_sweep("first", 1, 2, in_process(whole_npz))
    assert [one.params["seed"] for one in done.runs] == ["2", "3"]
    assert planned("first-confirmation", whole_npz) == [4, 5]


def test_planned_seeds_of_an_interrupted_confirmation_are_not_used_by_another(
    mixed_store: Store, whole_npz: Path
) -> None:
    stopped = confirm_sweep("mixed", 1, 3, in_process(whole_npz, timeout=1e-9))
    assert stopped.runs == []
    mixed_store.client.update_run(stopped.sweep.run_id, status="RUNNING")  # as one that is under way
    assert planned("mixed", whole_npz) == [4, 5]


def test_a_confirmation_of_another_sweep_reserves_no_seeds(mixed_store: Store, whole_npz: Path) -> None:
    confirm_sweep("mixed", 1, 2, in_process(whole_npz, timeout=1e-9))
    other = run_sweep(parse_spec(MIXED, ["name=other", *SHORT]), in_process(whole_npz))
    assert related_seeds(mixed_store, other.sweep) == {0}


def test_the_command_shows_means_and_what_to_promote(
    command: Run, mixed_store: Store, whole_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = functools.partial(launch.LaunchOptions, executor=lambda context, workers: TrainedOnce(context))
    monkeypatch.setattr(launch, "LaunchOptions", options)
    words = ["--top", "1", "--seeds", "2", "--workers", "1", "--data", str(whole_npz)]
    code, out, _ = command("confirm", "mixed", *words)
    assert code == 0
    assert "mean val accuracy" in out
    best = configurations([find_run(mixed_store, f"mixed-confirmation/{number}") for number in (0, 1)])[0].run
    assert f"best run: {best.name}, id {best.run_id}" in out
    assert "mnist-search promote mixed-confirmation" in out


def test_a_sweep_with_a_numbered_name_is_confirmed_under_that_name(mixed_store: Store, whole_npz: Path) -> None:
    assert run_sweep(parse_spec(MIXED, SHORT), in_process(whole_npz)).sweep.name == "mixed-2"
    assert confirm_sweep("mixed-2", 1, 2, in_process(whole_npz, timeout=1e-9)).sweep.name == "mixed-2-confirmation"


@pytest.mark.parametrize(
    ("top", "seeds", "message"),
    [(0, 2, "top: expected 1 or more, received 0"), (1, 1, "seeds: expected 2 or more, received 1")],
)
def test_fewer_than_one_configuration_or_two_seeds_are_refused(top: int, seeds: int, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        confirm_sweep("mixed", top, seeds)


def test_a_confirmation_on_other_data_is_refused(mixed_store: Store, other_npz: Path) -> None:
    with pytest.raises(DataError, match="not the data of this sweep"):
        confirm_sweep("mixed", 1, 2, in_process(other_npz))


@pytest.mark.parametrize(
    ("used", "fresh"), [([], [1, 2, 3]), ([0], [1, 2, 3]), ([1, 2], [3, 4, 5]), ([2, 9, 2], [1, 3, 4])]
)
def test_fresh_seeds_are_the_first_unused_ones(used: list[int], fresh: list[int]) -> None:
    assert fresh_seeds(set(used), 3) == fresh
