"""The mistakes themselves, and which digits are confused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_core.classification import confident_mistakes, confused_pairs
from mnist_core.data.images import CLASSES, LabelledImages
from mnist_core.interpretation.image_grid import WIDTH, image_grid
from mnist_core.interpretation.network import Array
from mnist_core.plotting import new_figure, whole_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 5
MAX_PAIRS = 12


def draw_mistakes(data: LabelledImages, probabilities: Array, part: str = "validation") -> Figure:
    """The 25 most confident mistakes with label, prediction and its probability.

    Args:
        data: the images and their labels.
        probabilities: shape ``(n, 10)``, in the images' order.
        part: of the data set, which the images are.

    Raises:
        ValueError: there are none.
    """
    chosen = confident_mistakes(probabilities, data.labels)
    if not len(chosen):
        raise ValueError(f"none of {len(data):,} images was mistaken")
    captions = [
        f"{data.labels[image]} taken for {probabilities[image].argmax()}\n{_percent(probabilities[image].max())} sure"
        for image in chosen
    ]
    wrong = int((probabilities.argmax(axis=1) != data.labels).sum())
    title = f"The {len(chosen)} most confident of {wrong:,} mistakes on {len(data):,} {part} images"
    return image_grid(data.images[chosen], captions, COLUMNS, title)


def _percent(probability: float) -> str:
    """Rounded down: only certainty is 100%."""
    return f"{int(probability * 1000) / 10:.1f}%"


def draw_confused_pairs(data: LabelledImages, probabilities: Array) -> Figure:
    """How often one digit was taken for another, the most frequent pairs.

    Raises:
        ValueError: there are none.
    """
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(data.labels, probabilities.argmax(axis=1), labels=range(CLASSES))
    pairs = confused_pairs(confusion.tolist())
    if not pairs:
        raise ValueError(f"none of {len(data):,} images was mistaken")
    shown = pairs[:MAX_PAIRS]
    figure = new_figure(WIDTH, 0.32 * len(shown) + 1.3)
    axes = figure.subplots()
    bars = axes.barh([f"{pair.label} taken for {pair.predicted}" for pair in shown], [pair.count for pair in shown])
    axes.bar_label(bars, [f"{pair.count}   {pair.share:.1%} of the {pair.label}s" for pair in shown], padding=4)
    axes.set(xlabel="validation images", xlim=(0, 1.3 * shown[0].count), title="The most confused pairs of digits")
    axes.invert_yaxis()
    whole_numbers(axes.xaxis)
    return figure
