"""Batch normalisation by TensorFlow's fused kernel while a training step is traced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from mnist_core.training.layer_calls import Call, leaf_layers, replaced_calls

# cuDNN's kernel replaces a smaller epsilon by its own minimum.
MIN_EPSILON = 1.001e-5


@contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Use TensorFlow's fused kernel for batch normalisation in functions that are traced in this block.

    Keras computes moments, scale and offset one after the other, each with its own pass over memory: more than a third
    of the step of a convolutional network. The kernel needs one pass. Layers that it cannot replace (masks, renorm,
    moments over several devices, another axis than the last, lower precision) are unchanged, and so is the model after
    the block.

    Args:
        model: built; its layers may be models.
    """
    with replaced_calls((layer, _fused_call(layer)) for layer in leaf_layers(model) if _fusible(layer)):
        yield


def _fusible(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.trainable
        and layer.scale
        and layer.center
        and not (layer.renorm or layer.synchronized)
        and layer.compute_dtype == "float32"
        and layer.axis in (-1, layer.input_spec.ndim - 1)
        and layer.epsilon >= MIN_EPSILON
    )


def _fused_call(layer: keras.layers.Layer) -> Call:
    def call(inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if not training or mask is not None:
            return type(layer).call(layer, inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(inputs, (-1, 1, 1, channels)) if len(inputs.shape) != 4 else inputs,
            scale=layer.gamma.value,
            offset=layer.beta.value,
            mean=[],
            variance=[],
            epsilon=layer.epsilon,
        )
        variance *= (count - 1) / count  # the kernel returns the unbiased variance; Keras uses the biased one
        for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + batch * (1 - layer.momentum))
        return tf.reshape(output, tf.shape(inputs)) if len(inputs.shape) != 4 else output

    return call
