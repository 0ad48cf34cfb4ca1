"""A whole epoch, and a whole evaluation, as one compiled TensorFlow function each.

``model.fit`` returns to Python for every batch. For the small models of this project that costs more than
the arithmetic, so the loop over batches is traced into the graph around the ordinary Keras model, loss and
optimizer. ``benchmarks/epoch.py`` measures the gain.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from mnist_core.arrays import Floats
from mnist_core.data.images import LabelledImages, Split
from mnist_core.errors import ParameterError
from mnist_core.hyperparameters import Augmentation
from mnist_core.models.supported import check_supported
from mnist_core.training.augmentation import augment
from mnist_core.training.dropout import dropout_by_product, dropout_factors, dropout_layers
from mnist_core.training.function_cache import FunctionCache, Traced
from mnist_core.training.fused_adam import fused_adam
from mnist_core.training.fused_batch_norm import fused_batch_norm
from mnist_core.training.fused_crossentropy import fused_crossentropy
from mnist_core.training.weight_average import WeightAverage

EVALUATION_BATCH = 2000
NO_AUGMENTATION = Augmentation()
NO_RATES = np.zeros(0, np.float32)


@dataclass(frozen=True)
class EvaluationMeans:
    """Means over a set of images, and a check for finite values.

    Args:
        loss: the training loss, with penalties and smoothed labels, in nats.
        accuracy: in [0, 1].
        crossentropy: without penalties and smoothing, in nats.
        finite: true if the losses and all weights are finite.
    """

    loss: float
    accuracy: float
    crossentropy: float
    finite: bool


@dataclass(frozen=True, eq=False)
class ResidentImages:
    """Labelled images as tensors on the device of the model.

    Args:
        images: shape ``(n, height, width)``, uint8.
        labels: shape ``(n,)``, int32.
        functions: those traced on these images, for models of the same structure.
    """

    images: tf.Tensor
    labels: tf.Tensor
    functions: FunctionCache = field(default_factory=FunctionCache, repr=False)

    @classmethod
    def load(cls, data: LabelledImages) -> ResidentImages:
        """Copy the images; no reference to the arrays remains."""
        return cls(tf.identity(data.images), tf.constant(data.labels.astype(np.int32)))

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return int(self.images.shape[1]), int(self.images.shape[2])


@dataclass(frozen=True, eq=False)
class ResidentSplit:
    """A split on the device of the models, loaded once for all of them."""

    train: ResidentImages
    validation: ResidentImages

    @classmethod
    def load(cls, data: Split) -> ResidentSplit:
        """Copy both parts; no reference to the arrays remains."""
        return cls(ResidentImages.load(data.train), ResidentImages.load(data.validation))


def _correct(probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    hits = tf.equal(tf.argmax(probabilities, axis=-1, output_type=labels.dtype), labels)
    return tf.reduce_sum(tf.cast(hits, tf.float32))


def _crossentropy(probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Sum of the cross-entropies of the images in nats, each probability clipped as in Keras."""
    truth = tf.gather(tf.cast(probabilities, tf.float32), labels, batch_dims=1)
    epsilon = keras.config.epsilon()
    return -tf.reduce_sum(tf.math.log(tf.clip_by_value(truth, epsilon, 1 - epsilon)))


def prepare(model: keras.Model, data: ResidentImages) -> None:
    """Check that a model can be trained here, and create all its variables. Safe to call twice.

    Tracing may not create variables, neither of the model nor of its optimizer.

    Raises:
        ParameterError: :func:`~mnist_core.models.supported.check_supported` refuses the model.
    """
    try:
        check_supported(model, data.shape)
    except ParameterError as error:
        raise ParameterError(f"model {model.name}: {error}") from error
    if not model.optimizer.built:  # a LossScaleOptimizer would create its variables twice
        model.optimizer.build(model.trainable_variables)


class CompiledEpoch:
    """One pass of gradient steps over the training images.

    Args:
        model: compiled, from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
            :func:`~mnist_core.models.supported.check_supported` lists the supported models.
        data: the training images; they stay uint8 and are gathered batch by batch.
        batch_size: images per gradient step.
        augmentation: random changes of the images.
        average: updated with the weights after each step.
        scheduled: true if each call passes the learning rates of its steps.
        structure: equal for models, optimizers and losses that differ only in learning rate, in rates of dropout
            above 0 and in the values of their variables, so that they share a traced function; None shares none.

    Raises:
        ParameterError: the model is not supported.
    """

    def __init__(
        self,
        model: keras.Model,
        data: ResidentImages,
        batch_size: int,
        augmentation: Augmentation = NO_AUGMENTATION,
        average: WeightAverage | None = None,
        scheduled: bool = False,
        structure: Hashable | None = None,
    ) -> None:
        prepare(model, data)
        self._count, self._augments = len(data), bool(augmentation)
        images, labels = data.images, data.labels
        variables = model.trainable_variables
        dropouts = dropout_layers(model)
        self._factors = tf.constant(dropout_factors(dropouts))

        # These conditions are evaluated while tracing, so disabled features add nothing to the graph.
        def batch(chosen: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x, y = tf.gather(images, chosen), tf.gather(labels, chosen)
            return (augment(x, augmentation, seed) if augmentation else x), y

        def step(x: tf.Tensor, y: tf.Tensor, factors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape, dropout_by_product(dropouts, factors):
                scores = model(x, training=True)
                loss = model.compute_loss(x=x, y=y, y_pred=scores, training=True)
                scaled = model.optimizer.scale_loss(loss)  # multiplies with the factor, if any, that `apply` divides by
            model.optimizer.apply(tape.gradient(scaled, variables), variables)
            if average:
                average.update()
            return loss, _correct(scores, y)

        signature = [
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([len(dropouts), 2], tf.float32),
        ]

        @tf.function(autograph=True, input_signature=signature)
        def run(order: tf.Tensor, rates: tf.Tensor, seed: tf.Tensor, factors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            loss_sum, correct = tf.constant(0.0), tf.constant(0.0)
            count = tf.shape(order)[0]
            for start in tf.range(0, count, batch_size):
                chosen = order[start : start + batch_size]
                x, y = batch(chosen, tf.stack([seed, start]))
                if scheduled:
                    model.optimizer.learning_rate.assign(rates[start // batch_size])
                loss, hits = step(x, y, factors)
                loss_sum += tf.cast(loss, tf.float32) * tf.cast(tf.shape(chosen)[0], tf.float32)
                correct += hits
            return loss_sum / tf.cast(count, tf.float32), correct / tf.cast(count, tf.float32)

        # Traced here: a call of the function itself would make TensorFlow warn of retracing for each new model.
        def trace() -> Traced:
            with fused_batch_norm(model), fused_adam(model.optimizer), fused_crossentropy():
                return run.get_concrete_function()

        momentum = average.momentum if average else None
        settings = batch_size, augmentation, momentum, scheduled
        key = None if structure is None else (CompiledEpoch, structure, settings)
        state = [*model.variables, *model.optimizer.variables, *(average.variables if average else ())]
        self._run = data.functions.bind(key, state, (images, labels), trace)

    def __call__(self, rng: np.random.Generator, rates: Floats = NO_RATES) -> tuple[float, float]:
        """Train on every image once, and return mean loss and accuracy during the epoch.

        Args:
            rng: determines the order and the random changes of the images.
            rates: learning rate of each step, if the epoch is ``scheduled``; else empty.
        """
        order = rng.permutation(self._count).astype(np.int32)
        seed = rng.integers(2**31) if self._augments else 0
        loss, accuracy = self._run(tf.constant(order), tf.constant(rates), tf.constant(seed, tf.int32), self._factors)
        return float(loss), float(accuracy)


class CompiledEvaluation:
    """Loss, accuracy and cross-entropy of the model's current weights on a fixed set of images, without dropout.

    Args:
        model: prepared by :func:`prepare`.
        data: the images.
        structure: that of :class:`CompiledEpoch`.
    """

    def __init__(self, model: keras.Model, data: ResidentImages, structure: Hashable | None = None) -> None:
        images, labels = data.images, data.labels
        count = len(data)

        @tf.function(autograph=True)
        def run() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
            loss_sum, correct, crossentropy = tf.constant(0.0), tf.constant(0.0), tf.constant(0.0)
            for start in tf.range(0, count, EVALUATION_BATCH):
                x, y = images[start : start + EVALUATION_BATCH], labels[start : start + EVALUATION_BATCH]
                scores = model(x, training=False)
                loss = model.compute_loss(x=x, y=y, y_pred=scores, training=False)
                loss_sum += tf.cast(loss, tf.float32) * tf.cast(tf.shape(y)[0], tf.float32)
                correct += _correct(scores, y)
                crossentropy += _crossentropy(scores, y)
            finite = [tf.reduce_all(tf.math.is_finite(w)) for w in model.weights if "float" in w.dtype]
            finite += [tf.math.is_finite(loss_sum), tf.math.is_finite(crossentropy)]
            return loss_sum / count, correct / count, crossentropy / count, tf.reduce_all(finite)

        def trace() -> Traced:
            with fused_crossentropy():
                return run.get_concrete_function()

        key = None if structure is None else (CompiledEvaluation, structure)
        self._run = data.functions.bind(key, model.variables, (images, labels), trace)

    def __call__(self) -> EvaluationMeans:
        """Evaluate the current weights."""
        loss, accuracy, crossentropy, finite = self._run()
        return EvaluationMeans(float(loss), float(accuracy), float(crossentropy), bool(finite))
