"""Accuracy on the test set redrawn: other sizes, places, strokes and colours than MNIST's, through preprocessing.

Each test digit is redrawn at four times the size with sharp edges, on a canvas of 280 × 280: shifted, scaled by 0.4 to
1.5, with thinner and thicker strokes, dark on light and light on dark. A model trained on MNIST alone predicts
them: the one given, else a network of 256 units that is trained first. Nothing is chosen by the result.

    MNIST_DATA=FOLDER python benchmarks/preprocessing.py [MODEL.keras]
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import SEED, machine, whole_mnist
from PIL import Image
from scipy import ndimage

from mnist_core import runtime
from mnist_core.arrays import Bytes
from serving.preprocessing import to_mnist_image

with runtime.tensorflow_import():
    import keras

    from mnist_core.data.images import LabelledImages, split
    from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
    from mnist_core.models.factory import build_model
    from mnist_core.models.saved_model import load_model, predict
    from mnist_core.training.trainer import train

ZOOM, CANVAS = 4, 280
WANTED = 1.5


@dataclass(frozen=True)
class Drawing:
    """A way to redraw digits; ``pen`` is added to each side of a stroke, in pixels at four times the size."""

    scale: tuple[float, float] = (0.4, 1.5)
    pen: tuple[float, ...] = (0,)
    inverted: tuple[bool, ...] = (False,)


CASES = {
    "as large as in MNIST": Drawing(scale=(1, 1)),
    "scaled by 0.4": Drawing(scale=(0.4, 0.4)),
    "scaled by 1.5": Drawing(scale=(1.5, 1.5)),
    "dark on light": Drawing(inverted=(True,)),
    "pen thinner by 2": Drawing(pen=(-1,)),
    "pen thinner by 4": Drawing(pen=(-2,)),
    "pen thicker by 2": Drawing(pen=(1,)),
    "pen thicker by 4": Drawing(pen=(2,)),
    "pen thicker by 6": Drawing(pen=(3,)),
    "all at random": Drawing(pen=(-2, -1, 0, 1, 2, 3), inverted=(False, True)),
}


def disk(radius: float) -> np.ndarray:
    reach = int(np.ceil(radius))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    return np.hypot(y, x) <= radius


def redraw(digit: Bytes, how: Drawing, rng: np.random.Generator) -> Bytes:
    side = ZOOM * len(digit)
    grey = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    stroke = np.clip(3 * (grey - 0.5) + 0.5, 0, 1)  # sharp edges, as of a pen
    pen = rng.choice(how.pen)
    if pen:
        change = ndimage.grey_dilation if pen > 0 else ndimage.grey_erosion
        stroke = change(stroke, footprint=disk(abs(pen)))
    side = round(side * rng.uniform(*how.scale))
    scaled = np.asarray(Image.fromarray(stroke).resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
    top, left = rng.integers(0, CANVAS - side + 1, 2)
    canvas = np.zeros((CANVAS, CANVAS), np.float32)
    canvas[top : top + side, left : left + side] = scaled
    picture = np.rint(255 * canvas).astype(np.uint8)
    return 255 - picture if rng.choice(how.inverted) else picture


def preprocessed(pictures: list[Bytes]) -> Bytes:
    empty = np.zeros((28, 28), np.uint8)
    return np.stack([empty if found is None else found for found in map(to_mnist_image, pictures)])


def trained(training: LabelledImages) -> keras.Model:
    runtime.reset(SEED)
    model = build_model(Hyperparameters(hidden_size=256, dropout=0.2))
    train(model, split(training, 6000, SEED), TrainingConfig(epochs=12), SEED)
    return model


def main() -> None:
    source = whole_mnist()
    model = load_model(Path(sys.argv[1])) if sys.argv[1:] else trained(source.load_training())
    test = source.load_test()

    def accuracy(images: Bytes) -> float:
        return 100 * float((predict(model, images).argmax(axis=1) == test.labels).mean())

    clean = accuracy(test.images)
    print(f"{machine()}\naccuracy on {len(test):,} test images, in percent")
    print(f"  {'as they are':<22} {clean:6.2f}")
    print(f"  {'as they are, sent':<22} {accuracy(preprocessed(list(test.images))):6.2f}")
    for name, how in CASES.items():
        rng = np.random.default_rng(SEED)
        drawn = [redraw(digit, how, rng) for digit in test.images]
        started = time.perf_counter()
        images = preprocessed(drawn)
        each = 1e3 * (time.perf_counter() - started) / len(drawn)
        found = accuracy(images)
        print(f"  {name:<22} {found:6.2f}   {found - clean:+.2f}   {each:.2f} ms each", flush=True)
    print(f"the last line is {clean - found:.2f} points below the clean accuracy (at most {WANTED} wanted)")


if __name__ == "__main__":
    main()
