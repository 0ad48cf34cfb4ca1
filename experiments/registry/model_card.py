"""The model card: what a version is, what it can do and what not, on one page (after Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.evaluation import EvaluationRecord
from experiments.formatting import format_number, pluralize, short_text
from experiments.registry.gate import Check
from experiments.tracking.datasets import validation_images
from experiments.tracking.records import RunRecord, SweepRecord, Tag
from search.domains import Choices, Domain
from search.spec import SweepSpec

# What MLflow's databases hold of a version's description.
MAX_CARD_LENGTH = 5000
# Of a parameter, that are listed.
MAX_VALUES = 12


@dataclass(frozen=True)
class Subject:
    """All that a card tells of.

    Args:
        run: that trained the model.
        sweep: that the run belongs to.
        spec: what that sweep searched.
        trials: how many of its trials have ended.
        evaluation: on the test set.
        checks: of the gate.
        others: how many other runs of the sweep have seen the test set.
    """

    run: RunRecord
    sweep: SweepRecord
    spec: SweepSpec
    trials: int
    evaluation: EvaluationRecord
    checks: Sequence[Check]
    others: int = 0


def model_card(subject: Subject) -> str:
    """The card, in Markdown; at most ``LONGEST_CARD`` characters."""
    parts = (_head, _data, _search, _figures, _weak_points, _limits, _again)
    text = "\n\n".join(part(subject) for part in parts) + "\n"
    return text if len(text) <= MAX_CARD_LENGTH else f"{text[: MAX_CARD_LENGTH - 2]}…\n"


def _head(subject: Subject) -> str:
    run, evaluation = subject.run, subject.evaluation
    parameters = ", ".join(f"{name} {short_text(value)}" for name, value in run.params.items())
    return (
        f"# {run.title}\n\n"
        f"A Keras model that tells handwritten digits apart: {int(run.metrics.get('weights', 0)):,} weights, "
        f"{evaluation.model_bytes / 1e6:.2f} MB, {evaluation.median_ms:.2f} ms for one image (median, one compiled "
        "call, on the machine of the evaluation). "
        "It takes raw pixels, 0–255, and gives ten probabilities.\n\n"
        f"Parameters: {parameters}."
    )


def _data(subject: Subject) -> str:
    tags, evaluation = subject.run.tags, subject.evaluation
    held_out = validation_images(tags)
    trained = int(tags[Tag.DATASET_SIZE]) - held_out
    return (
        "## Data\n\n"
        f"{tags[Tag.DATASET]} ({tags[Tag.DATASET_ORIGIN]}): {trained:,} images to train, {held_out:,} to choose by "
        f"(stratified, seed {tags[Tag.SPLIT_SEED]}), {len(evaluation.labels):,} of the test set, which this run saw "
        f"once and {pluralize(subject.others, 'other run')} of its sweep.\n\n"
        f"Training digest `{tags[Tag.DATASET_DIGEST]}`, test digest `{evaluation.digest}`."
    )


def _search(subject: Subject) -> str:
    spec = subject.spec
    space = "\n".join(f"- {name}: {_words(domain)}" for name, domain in spec.space.domains.items())
    return (
        "## Search\n\n"
        f"Sweep {subject.sweep.name}: {spec.engine.value} ({spec.sampler}, pruner {spec.pruner}), {subject.trials} "
        f"trials of at most {spec.training.epochs} epochs, by {spec.objective}:\n\n{space}"
    )


def _words(domain: Domain) -> str:
    if isinstance(domain, Choices):
        more = f" and {len(domain.values) - MAX_VALUES} more" if len(domain.values) > MAX_VALUES else ""
        return ", ".join(short_text(str(value)) for value in domain.values[:MAX_VALUES]) + more
    return f"{domain.low:g} to {domain.high:g}" + (" (log)" if domain.log else "")


def _figures(subject: Subject) -> str:
    run = subject.run
    rows = [
        f"| {name.replace('_', ' ')} | {one.value:.4f} | {one.low:.4f}–{one.high:.4f} |"
        for name, one in subject.evaluation.metrics.headline().items()
    ]
    return (
        "## Figures\n\n"
        f"Validation, at epoch {run.best_epoch}: accuracy {format_number(run.value('val_accuracy'))}, loss "
        f"{format_number(run.value('val_loss'))}; the trials were chosen by it, so it flatters.\n\n"
        "| test set | | 95% interval |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n\n"
        "Interval of the accuracy: Wilson; others: bootstrap over images. Log loss in nats; calibration error over "
        "15 bins."
    )


def _weak_points(subject: Subject) -> str:
    figures = subject.evaluation.metrics
    weakest = sorted(figures.classes, key=lambda one: one.f1)[:3]
    classes = ", ".join(f"{one.label} (recall {one.recall:.3f}, precision {one.precision:.3f})" for one in weakest)
    pairs = ", ".join(map(str, figures.confused(4)))
    return (
        f"## Weak points\n\n{figures.errors:,} of {figures.images:,} test images are not recognised. Weakest digits: "
        f"{classes}. Commonest mistakes: {pairs or 'none'}."
    )


def _limits(subject: Subject) -> str:
    checks = "; ".join(f"{check.name}: {'passed' if check.passed else 'FAILED'}" for check in subject.checks)
    return (
        "## Limits\n\n"
        "Digits drawn as in the data: centred, one to an image, light on dark. It answers with a digit whatever it is "
        "shown, and was not tried on other pens, scanners or scripts. Intervals speak of new images of the same kind, "
        f"not of new trainings.\n\nGate: {checks}."
    )


def _again(subject: Subject) -> str:
    versions = {key: value for key, value in subject.sweep.tags.items() if key.startswith("version.")}
    commit = subject.sweep.tags.get("mlflow.source.git.commit", "")
    stack = ", ".join(f"{key.removeprefix('version.')} {value}" for key, value in versions.items())
    return (
        f"## Again\n\n`mnist-search reproduce {subject.run.run_id}` trains it anew and shows both results. {stack}"
        + (f"; commit {commit[:12]}" if commit else "")
        + "."
    )
