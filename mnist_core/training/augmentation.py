"""Augmentation of training images: one random affine map for each image, drawn anew each time."""

from __future__ import annotations

import math

import tensorflow as tf

from mnist_core.hyperparameters import Augmentation

DRAWS = 6


def augment(images: tf.Tensor, strengths: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Shift, rotate, zoom and shear each image about its centre; pixels from outside are background.

    Args:
        images: shape ``(n, height, width)``, uint8.
        strengths: maximum of each change.
        seed: shape ``(2,)``, int32; the same seed changes the same images in the same way.

    Returns:
        Shape ``(n, height, width)``, float32, 0 to 255: interpolated, not rounded.
    """
    maps = affine_maps(tf.shape(images)[0], strengths, seed)
    height, width = images.shape[1], images.shape[2]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32)[..., None],
        transforms=_from_the_corner(maps, height, width),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return moved[..., 0]


def affine_maps(count: tf.Tensor, strengths: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Random maps from output to input positions ``(x, y)``, in pixels from the centre, x to the right, y down.

    Returns:
        Shape ``(count, 2, 3)``, float32: a matrix, and a shift in the last column.
    """
    drawn = tf.random.stateless_uniform((count, DRAWS), seed, -1.0, 1.0)
    rotation, shear, zoom_x, zoom_y, shift_x, shift_y = tf.unstack(drawn, axis=1)
    angle = rotation * math.radians(strengths.rotation)
    slope = tf.tan(shear * math.radians(strengths.shear))
    # An image that grows takes its pixels from nearer the centre.
    scale_x, scale_y = 1 / (1 + zoom_x * strengths.zoom), 1 / (1 + zoom_y * strengths.zoom)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    rows = [
        [cosine * scale_x, (cosine * slope - sine) * scale_y, shift_x * strengths.shift],
        [sine * scale_x, (sine * slope + cosine) * scale_y, shift_y * strengths.shift],
    ]
    return tf.stack([tf.stack(row, axis=1) for row in rows], axis=1)


def _from_the_corner(maps: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The same maps as TensorFlow expects them: from the upper left corner, eight numbers each, shape ``(n, 8)``."""
    centre = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    matrices, shifts = maps[:, :, :2], maps[:, :, 2]
    offsets = shifts + centre - tf.linalg.matvec(matrices, centre)
    flat = tf.concat([matrices, offsets[:, :, None]], axis=2)
    return tf.pad(tf.reshape(flat, (-1, 6)), [[0, 0], [0, 2]])
