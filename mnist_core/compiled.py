"""The hot path: a whole epoch, and a whole evaluation, as one compiled TensorFlow function each.

``model.fit`` returns to Python for every batch. For the small models of this project that costs more than
the arithmetic, so the loop over batches is traced into the graph around the ordinary Keras model, loss and
optimizer. What it gains is measured by ``benchmarks/epoch.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from mnist_core.data import LabelledImages, Split
from mnist_core.errors import ParameterError

EVALUATION_BATCH = 2000


@dataclass(frozen=True)
class Means:
    """Mean loss and accuracy over a set of images, and whether the loss and all weights are finite."""

    loss: float
    accuracy: float
    finite: bool


@dataclass(frozen=True, eq=False)
class ResidentImages:
    """Labelled images as tensors, where the model computes.

    Args:
        images: shape ``(n, height, width)``, uint8.
        labels: shape ``(n,)``, int32.
    """

    images: tf.Tensor
    labels: tf.Tensor

    @classmethod
    def load(cls, data: LabelledImages) -> ResidentImages:
        """Copy the images; the arrays are not held on to."""
        return cls(tf.identity(data.images), tf.constant(data.labels.astype(np.int32)))

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return int(self.images.shape[1]), int(self.images.shape[2])


@dataclass(frozen=True, eq=False)
class ResidentSplit:
    """A split that is loaded once for all the models that train on it."""

    train: ResidentImages
    validation: ResidentImages

    @classmethod
    def load(cls, data: Split) -> ResidentSplit:
        """Copy both parts; the arrays are not held on to."""
        return cls(ResidentImages.load(data.train), ResidentImages.load(data.validation))


def _correct(probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    hits = tf.equal(tf.argmax(probabilities, axis=-1, output_type=labels.dtype), labels)
    return tf.reduce_sum(tf.cast(hits, tf.float32))


class CompiledEpoch:
    """One pass of gradient steps over the training images.

    Args:
        model: any compiled Keras model that maps pixels ``(n, height, width)`` to scores ``(n, classes)``.
        data: the training images; they stay uint8 and are gathered batch by batch.
        batch_size: images per gradient step.

    Raises:
        ParameterError: the model is not compiled.
    """

    def __init__(self, model: keras.Model, data: ResidentImages, batch_size: int) -> None:
        if not model.compiled:
            raise ParameterError("model: expected a compiled Keras model, received one that is not: call its compile()")
        if not model.built:
            model(data.images[:1])  # a subclassed model has no weights to train before it has seen an input
        self._count = len(data)
        images, labels = data.images, data.labels
        variables = model.trainable_variables
        # The optimizer's own variables have to exist before tracing, which may not create any.
        model.optimizer.build(variables)

        @tf.function(autograph=True, input_signature=[tf.TensorSpec([None], tf.int32)])
        def run(order: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            loss_sum, correct = tf.constant(0.0), tf.constant(0.0)
            count = tf.shape(order)[0]
            for start in tf.range(0, count, batch_size):
                chosen = order[start : start + batch_size]
                x, y = tf.gather(images, chosen), tf.gather(labels, chosen)
                with tf.GradientTape() as tape:
                    scores = model(x, training=True)
                    loss = model.compute_loss(x=x, y=y, y_pred=scores, training=True)
                model.optimizer.apply(tape.gradient(loss, variables), variables)
                loss_sum += loss * tf.cast(tf.shape(chosen)[0], tf.float32)
                correct += _correct(scores, y)
            return loss_sum / tf.cast(count, tf.float32), correct / tf.cast(count, tf.float32)

        # Traced once and here: called as it is, TensorFlow would warn of a new function for each new model.
        self._run = run.get_concrete_function()

    def __call__(self, rng: np.random.Generator) -> tuple[float, float]:
        """Train on every image once, in an order drawn from ``rng``; mean loss and accuracy as seen."""
        order = rng.permutation(self._count).astype(np.int32)
        loss, accuracy = self._run(tf.constant(order))
        return float(loss), float(accuracy)


class CompiledEvaluation:
    """Loss and accuracy of the model's present weights over a fixed set of images, dropout off."""

    def __init__(self, model: keras.Model, data: ResidentImages) -> None:
        images, labels = data.images, data.labels
        count = len(data)

        @tf.function(autograph=True)
        def run() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            loss_sum, correct = tf.constant(0.0), tf.constant(0.0)
            for start in tf.range(0, count, EVALUATION_BATCH):
                x, y = images[start : start + EVALUATION_BATCH], labels[start : start + EVALUATION_BATCH]
                scores = model(x, training=False)
                loss = model.compute_loss(x=x, y=y, y_pred=scores, training=False)
                loss_sum += loss * tf.cast(tf.shape(y)[0], tf.float32)
                correct += _correct(scores, y)
            finite = [tf.reduce_all(tf.math.is_finite(w)) for w in model.weights if w.dtype.startswith("float")]
            return loss_sum / count, correct / count, tf.reduce_all([tf.math.is_finite(loss_sum), *finite])

        self._run = run.get_concrete_function()

    def __call__(self) -> Means:
        """Evaluate the weights as they are now."""
        loss, accuracy, finite = self._run()
        return Means(float(loss), float(accuracy), bool(finite))
