"""The model card of a version: model, data, search, metrics and limits on one page (after Mitchell et al. 2019)."""

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

# Characters of a version's description that MLflow's databases hold.
MAX_CARD_LENGTH = 5000
# Listed values of one parameter.
MAX_VALUES = 12


@dataclass(frozen=True)
class CardContent:
    """The content of a model card.

    Args:
        run: that trained the model.
        sweep: that the run belongs to.
        spec: of that sweep.
        trials: number of its finished trials.
        evaluation: on the test set.
        checks: of the gate.
        others: number of other runs of the sweep that were evaluated on the test set.
    """

    run: RunRecord
    sweep: SweepRecord
    spec: SweepSpec
    trials: int
    evaluation: EvaluationRecord
    checks: Sequence[Check]
    others: int = 0


def model_card(content: CardContent) -> str:
    """The card, in Markdown; at most ``MAX_CARD_LENGTH`` characters."""
    parts = (_head, _data, _search, _metrics, _weak_points, _limits, _reproduction)
    text = "\n\n".join(part(content) for part in parts) + "\n"
    return text if len(text) <= MAX_CARD_LENGTH else f"{text[: MAX_CARD_LENGTH - 2]}…\n"


def _head(content: CardContent) -> str:
    run, evaluation = content.run, content.evaluation
    parameters = ", ".join(f"{name} {short_text(value)}" for name, value in run.params.items())
    return (
        f"# {run.title}\n\n"
        f"A Keras model that recognises handwritten digits: {int(run.metrics.get('weights', 0)):,} weights, "
        f"{evaluation.model_bytes / 1e6:.2f} MB, {evaluation.median_ms:.2f} ms for one image (median, one compiled "
        "call, on the machine of the evaluation). "
        "Input: raw pixels, 0–255. Output: ten probabilities.\n\n"
        f"Parameters: {parameters}."
    )


def _data(content: CardContent) -> str:
    tags, evaluation = content.run.tags, content.evaluation
    held_out = validation_images(tags)
    trained = int(tags[Tag.DATASET_SIZE]) - held_out
    return (
        "## Data\n\n"
        f"{tags[Tag.DATASET]} ({tags[Tag.DATASET_ORIGIN]}): {trained:,} images for training, {held_out:,} for "
        f"validation (stratified, seed {tags[Tag.SPLIT_SEED]}), {len(evaluation.labels):,} for the test. Evaluated on "
        f"the test set: this run and {pluralize(content.others, 'other run')} of its sweep.\n\n"
        f"Training digest `{tags[Tag.DATASET_DIGEST]}`, test digest `{evaluation.digest}`."
    )


def _search(content: CardContent) -> str:
    spec = content.spec
    space = "\n".join(f"- {name}: {_format_domain(domain)}" for name, domain in spec.space.domains.items())
    return (
        "## Search\n\n"
        f"Sweep {content.sweep.name}: {spec.engine.value} ({spec.sampler}, pruner {spec.pruner}), {content.trials} "
        f"trials of at most {spec.training.epochs} epochs, by {spec.objective}:\n\n{space}"
    )


def _format_domain(domain: Domain) -> str:
    if isinstance(domain, Choices):
        more = f" and {len(domain.values) - MAX_VALUES} more" if len(domain.values) > MAX_VALUES else ""
        return ", ".join(short_text(str(value)) for value in domain.values[:MAX_VALUES]) + more
    return f"{domain.low:g} to {domain.high:g}" + (" (log)" if domain.log else "")


def _metrics(content: CardContent) -> str:
    run = content.run
    rows = [
        f"| {name.replace('_', ' ')} | {one.value:.4f} | {one.low:.4f}–{one.high:.4f} |"
        for name, one in content.evaluation.metrics.headline().items()
    ]
    return (
        "## Metrics\n\n"
        f"Validation, at epoch {run.best_epoch}: accuracy {format_number(run.value('val_accuracy'))}, loss "
        f"{format_number(run.value('val_loss'))}; the run was selected by it, so it is biased upwards.\n\n"
        "| test set | | 95% interval |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n\n"
        "Interval of the accuracy: Wilson; others: bootstrap over images. Log loss in nats; calibration error over "
        "15 bins."
    )


def _weak_points(content: CardContent) -> str:
    figures = content.evaluation.metrics
    weakest = sorted(figures.classes, key=lambda one: one.f1)[:3]
    classes = ", ".join(f"{one.label} (recall {one.recall:.3f}, precision {one.precision:.3f})" for one in weakest)
    pairs = ", ".join(map(str, figures.confused(4)))
    return (
        f"## Weak points\n\n{figures.errors:,} of {figures.images:,} test images are misclassified. Weakest digits: "
        f"{classes}. Most frequent mistakes: {pairs or 'none'}."
    )


def _limits(content: CardContent) -> str:
    checks = "; ".join(f"{check.name}: {'passed' if check.passed else 'FAILED'}" for check in content.checks)
    return (
        "## Limits\n\n"
        "Input must look like the data: one centred digit per image, light on dark. The model predicts a digit for any "
        "image, and was not tested with other pens, scanners or scripts. The intervals hold for new images of the same "
        f"kind, not for new trainings.\n\nGate: {checks}."
    )


def _reproduction(content: CardContent) -> str:
    versions = {key: value for key, value in content.sweep.tags.items() if key.startswith("version.")}
    commit = content.sweep.tags.get("mlflow.source.git.commit", "")
    stack = ", ".join(f"{key.removeprefix('version.')} {value}" for key, value in versions.items())
    return (
        f"## Reproduction\n\n`mnist-search reproduce {content.run.run_id}` repeats the training and compares the "
        f"results. Libraries: {stack}" + (f"; commit {commit[:12]}" if commit else "") + "."
    )
