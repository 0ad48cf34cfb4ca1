"""The content and the length of the model card."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from experiments.registry.gate import Check
from experiments.registry.model_card import MAX_CARD_LENGTH, CardContent, model_card
from experiments.tracking.records import SweepRecord, SweepState, Tag
from search.spec_file import parse_spec
from tests.helpers.factories import evaluated, run

SPEC = parse_spec(
    """
name = "small"
trials = 30
sampler = "tpe"
pruner = "median"
[training]
epochs = 20
[space]
learning_rate = { low = 1e-4, high = 1e-2, log = true }
dropout = { low = 0.0, high = 0.5 }
hidden_size = [32, 64]
"""
)
TRAINING, TEST = "a" * 64, "b" * 64


@pytest.fixture
def content() -> CardContent:
    labels = [index % 10 for index in range(200)]
    answers = list(labels)
    for index in (4, 14, 24, 34, 44, 54):
        answers[index] = 9
    answers[3] = 5
    metrics = {"best_epoch": 7, "best_val_accuracy": 0.9812, "best_val_loss": 0.0654, "weights": 101_770}
    tags = {
        Tag.SWEEP: "small",
        Tag.DATASET: "mnist",
        Tag.DATASET_ORIGIN: "given",
        Tag.DATASET_DIGEST: TRAINING,
        Tag.DATASET_SIZE: "60000",
        Tag.VALIDATION: "0.1",
        Tag.SPLIT_SEED: "3",
    }
    params = {"hidden_size": "64", "learning_rate": "0.00123456", "dropout": "0.25", "seed": "11"}
    sweep_tags = {
        "version.keras": "3.15.1",
        "version.tensorflow": "2.21.0",
        "mlflow.source.git.commit": "0123456789abcdef",
    }
    return CardContent(
        run=run(4, run_id="f" * 32, metrics=metrics, tags=tags, params=params),
        sweep=SweepRecord("e" * 32, "small", SweepState.FINISHED, datetime(2026, 1, 1, tzinfo=UTC), sweep_tags),
        spec=SPEC,
        trials=28,
        evaluation=evaluated(answers, labels, TEST),
        checks=[Check("accuracy", True, "enough"), Check("champion", False, "worse")],
    )


PARTS = {
    "data": ["mnist (given)", "54,000 images for training", "6,000 for validation", "200 for the test"],
    "uses of the test set": ["Evaluated on the test set: this run and no other runs of its sweep."],
    "digests": [TRAINING, TEST],
    "split": ["stratified, seed 3"],
    "space": ["learning_rate: 0.0001 to 0.01 (log)", "dropout: 0 to 0.5", "hidden_size: 32, 64"],
    "budget": ["Sweep small: optuna (tpe, pruner median)", "28 trials of at most 20 epochs, by val_accuracy"],
    "parameters": ["hidden_size 64", "learning_rate 0.001235", "dropout 0.25", "seed 11"],
    "validation": ["at epoch 7: accuracy 0.9812, loss 0.0654"],
    "test": ["| accuracy | 0.9650 | 0.9295–0.9829 |", "| macro f1 |", "| log loss |", "Wilson", "bootstrap"],
    "weak points": [
        "7 of 200 test images",
        "4 (recall 0.700",
        "4 predicted as 9 (6)",
        "3 predicted as 5 (1)",
    ],
    "calibration": ["| calibration error |", "15 bins"],
    "size and latency": ["101,770 weights", "0.12 MB", "0.25 ms for one image"],
    "limits": ["## Limits", "Gate: accuracy: passed; champion: FAILED."],
    "how to reproduce": [f"mnist-search reproduce {'f' * 32}", "keras 3.15.1, tensorflow 2.21.0", "0123456789ab"],
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS.keys())
def test_the_card_holds(content: CardContent, parts: list[str]) -> None:
    card = model_card(content)
    assert [part for part in parts if part not in card] == []


def test_the_intervals_are_those_of_the_evaluation(content: CardContent) -> None:
    card = model_card(content)
    for one in content.evaluation.metrics.headline().values():
        assert f"| {one.value:.4f} | {one.low:.4f}–{one.high:.4f} |" in card


def test_the_card_is_markdown_with_one_title(content: CardContent) -> None:
    lines = model_card(content).splitlines()
    assert lines[0] == "# small/trial-004"
    assert [line for line in lines if line.startswith("# ")] == lines[:1]
    assert sum(line.startswith("## ") for line in lines) == 6


def test_the_card_of_a_model_without_mistakes_names_none(content: CardContent) -> None:
    labels = [index % 10 for index in range(50)]
    card = model_card(replace(content, evaluation=evaluated(labels, labels)))
    assert "0 of 50 test images are misclassified" in card
    assert "Most frequent mistakes: none." in card


def test_the_card_of_a_run_without_a_git_commit_names_none(content: CardContent) -> None:
    card = model_card(replace(content, sweep=replace(content.sweep, tags={"version.keras": "3.15.1"})))
    assert card.endswith("keras 3.15.1.\n")


def test_a_long_list_of_values_is_cut_so_that_the_registry_holds_the_card(content: CardContent) -> None:
    values = ", ".join(str(number) for number in range(1, 3000))
    spec = parse_spec(f'name = "long"\ntrials = 1\n[space]\nhidden_size = [{values}]')
    card = model_card(replace(content, spec=spec))
    assert len(card) <= MAX_CARD_LENGTH
    assert "and 2987 more" in card
    assert card.rstrip().splitlines()[-3] == "## Reproduction"
    assert len(model_card(content)) < MAX_CARD_LENGTH
