"""Training images moved at random: one affine map for each, drawn anew each time."""

from __future__ import annotations

import math

import tensorflow as tf

from mnist_core.hyperparameters import Augmentation

DRAWS = 6


def augment(images: tf.Tensor, strengths: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Shift, turn, stretch and shear each image about its middle; what comes in at the edges is background.

    Args:
        images: shape ``(n, height, width)``, uint8.
        strengths: the most of each.
        seed: shape ``(2,)``, int32; the same seed moves the same images in the same way.

    Returns:
        Shape ``(n, height, width)``, float32, 0 to 255: interpolated between neighbours, and not rounded.
    """
    maps = affine_maps(tf.shape(images)[0], strengths, seed)
    height, width = images.shape[1], images.shape[2]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32)[..., None],
        transforms=_about_the_middle(maps, height, width),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return moved[..., 0]


def affine_maps(count: tf.Tensor, strengths: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Where each image takes its pixels from: maps of ``(x, y)`` in pixels from the middle, x to the right, y down.

    Returns:
        Shape ``(count, 2, 3)``, float32: a matrix, and a shift as its last column.
    """
    drawn = tf.random.stateless_uniform((count, DRAWS), seed, -1.0, 1.0)
    angle, lean, wide, high, right, down = tf.unstack(drawn, axis=1)
    turn = angle * math.radians(strengths.rotation)
    slant = tf.tan(lean * math.radians(strengths.shear))
    # A picture that grows takes its pixels from nearer the middle.
    across, along = 1 / (1 + wide * strengths.zoom), 1 / (1 + high * strengths.zoom)
    cosine, sine = tf.cos(turn), tf.sin(turn)
    rows = [
        [cosine * across, (cosine * slant - sine) * along, right * strengths.shift],
        [sine * across, (sine * slant + cosine) * along, down * strengths.shift],
    ]
    return tf.stack([tf.stack(row, axis=1) for row in rows], axis=1)


def _about_the_middle(maps: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The same maps in TensorFlow's terms: from the upper left corner, eight numbers each, shape ``(n, 8)``."""
    middle = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    matrices, shifts = maps[:, :, :2], maps[:, :, 2]
    offsets = shifts + middle - tf.linalg.matvec(matrices, middle)
    flat = tf.concat([matrices, offsets[:, :, None]], axis=2)
    return tf.pad(tf.reshape(flat, (-1, 6)), [[0, 0], [0, 2]])
