"""Augmentation: the size of random changes, their seed, and the labels."""

from __future__ import annotations

import math

import keras
import numpy as np
import numpy.typing as npt
import pytest
import scipy.ndimage
import tensorflow as tf

from mnist_core.data.images import LabelledImages
from mnist_core.hyperparameters import Augmentation
from mnist_core.training.augmentation import affine_maps, augment
from mnist_core.training.compiled_epoch import CompiledEpoch, ResidentImages

EVERYTHING = Augmentation(shift=3, rotation=20, zoom=0.2, shear=15)
MANY = 500


def seeded(number: int) -> tf.Tensor:
    return tf.constant([number, 0], tf.int32)


def maps_of(strengths: Augmentation) -> npt.NDArray[np.float32]:
    return np.asarray(affine_maps(tf.constant(MANY), strengths, seeded(1)))


@pytest.fixture(scope="module")
def digits(sample: LabelledImages) -> npt.NDArray[np.uint8]:
    """Forty raw digits."""
    return sample.images[::100]


def test_pixels_keep_their_shape_and_their_range(digits: npt.NDArray[np.uint8]) -> None:
    moved = np.asarray(augment(tf.constant(digits), EVERYTHING, seeded(1)))
    assert moved.shape == digits.shape
    assert moved.dtype == np.float32
    assert moved.min() >= 0
    assert moved.max() <= 255
    # About the same ink at other places.
    assert moved.mean() == pytest.approx(digits.mean(), rel=0.1)
    assert not np.array_equal(moved, digits)


def test_the_same_seed_gives_the_same_images_and_another_seed_others(digits: npt.NDArray[np.uint8]) -> None:
    images = tf.constant(digits)
    once, again, other = (np.asarray(augment(images, EVERYTHING, seeded(number))) for number in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_equal_images_of_a_batch_are_changed_independently(digits: npt.NDArray[np.uint8]) -> None:
    moved = np.asarray(augment(tf.constant(np.stack([digits[0]] * 8)), EVERYTHING, seeded(1)))
    assert len({image.tobytes() for image in moved}) == 8


def test_without_any_strength_nothing_changes(digits: npt.NDArray[np.uint8]) -> None:
    assert not Augmentation()
    np.testing.assert_array_equal(augment(tf.constant(digits), Augmentation(), seeded(1)), digits)


def test_every_image_equals_the_affine_transform_of_scipy(digits: npt.NDArray[np.uint8]) -> None:
    images = digits[:, :, 2:26]  # not square, so that a confusion of width and height is noticed
    moved = np.asarray(augment(tf.constant(images), EVERYTHING, seeded(3)))
    maps = np.asarray(affine_maps(tf.constant(len(images)), EVERYTHING, seeded(3)), np.float64)
    middle = (np.array(images.shape[1:]) - 1) / 2
    for image, map, found in zip(images, maps, moved, strict=True):
        matrix, shift = map[::-1, 1::-1], map[::-1, 2]  # SciPy counts rows before columns
        offset = middle - matrix @ middle + shift
        expected = scipy.ndimage.affine_transform(
            image.astype(float), matrix, offset, order=1, mode="grid-constant", prefilter=False
        )
        # float32 coordinates, times a step of at most 255 between neighbours.
        np.testing.assert_allclose(found, expected, atol=0.05)


# Effects of single strengths


def test_a_shift_moves_by_no_more_than_its_pixels_to_every_side() -> None:
    maps = maps_of(Augmentation(shift=2.0))
    np.testing.assert_array_equal(maps[:, :, :2], np.broadcast_to(np.eye(2), (MANY, 2, 2)))
    shifts = maps[:, :, 2]
    assert np.abs(shifts).max() <= 2
    assert (shifts.min(axis=0) < -1.8).all()
    assert (shifts.max(axis=0) > 1.8).all()


def test_a_rotation_turns_by_no_more_than_its_degrees_to_either_side() -> None:
    matrices = maps_of(Augmentation(rotation=30))[:, :, :2]
    products = matrices @ matrices.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(2), (MANY, 2, 2)), atol=1e-6)
    degrees = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert -30.001 <= degrees.min() < -28
    assert 28 < degrees.max() <= 30.001


def test_a_zoom_scales_height_and_width_independently() -> None:
    matrices = maps_of(Augmentation(zoom=0.25))[:, :, :2]
    assert (matrices[:, 0, 1] == 0).all()
    assert (matrices[:, 1, 0] == 0).all()
    factors = 1 / np.diagonal(matrices, axis1=1, axis2=2)
    assert 0.7499 <= factors.min() < 0.77
    assert 1.23 < factors.max() <= 1.2501
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.2


def test_a_shear_leans_by_no_more_than_its_degrees() -> None:
    matrices = maps_of(Augmentation(shear=45))[:, :, :2]
    np.testing.assert_array_equal(matrices[:, :, 0], np.broadcast_to([1, 0], (MANY, 2)))
    np.testing.assert_array_equal(matrices[:, 1, 1], np.ones(MANY))
    assert 0.9 < np.abs(matrices[:, 0, 1]).max() <= math.tan(math.radians(45)) + 1e-6


# In the compiled epoch


class Scales(keras.layers.Layer):
    """A classifier by the ink of an image: a square of 6 × 6 pixels at brightness 20 is class 0, at 40 class 1 …"""

    def build(self, shape: tuple[int, ...]) -> None:
        self.unused = self.add_weight(shape=(), initializer="zeros")

    def call(self, pixels: tf.Tensor) -> tf.Tensor:
        weight = tf.reduce_sum(pixels, axis=(1, 2)) / (36 * 20) - 1
        return tf.nn.softmax(-tf.square(weight[:, None] - tf.range(10.0)) + self.unused)


class Remembers(keras.layers.Layer):
    """A layer that stores the pixels of the last two batches of four."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.unused = self.add_weight(shape=(), initializer="zeros")
        self.seen = self.add_weight(shape=(2, 4, 28, 28), initializer="zeros", trainable=False)

    def call(self, pixels: tf.Tensor) -> tf.Tensor:
        if pixels.shape[0] != 2:  # the two images that a model is checked with
            self.seen.assign(tf.stack([self.seen[1], pixels]))
        return tf.nn.softmax(tf.reduce_mean(pixels, axis=2)[:, :10] + self.unused)


def test_an_image_is_changed_anew_each_time() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[8:20, 12:15] = 255
    data = ResidentImages.load(LabelledImages(np.stack([image] * 8), np.zeros(8, np.uint8)))
    remembers = Remembers()
    pixels = keras.Input((28, 28), batch_size=4)
    model = keras.Model(pixels, remembers(pixels))
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy())

    def last_epoch(epochs: int, seed: int = 0, shift: float = 3.0) -> set[bytes]:
        epoch, rng = CompiledEpoch(model, data, 4, Augmentation(shift=shift)), np.random.default_rng(seed)
        for _ in range(epochs):
            epoch(rng)
        return {moved.tobytes() for moved in remembers.seen.numpy().reshape(8, 28, 28)}

    still = last_epoch(epochs=1, shift=0.0)
    assert still == {image.astype(np.float32).tobytes()}
    # Eight images of two batches, all changed, all different.
    first = last_epoch(epochs=1)
    assert len(first - still) == 8
    assert last_epoch(epochs=1) == first
    assert last_epoch(epochs=2).isdisjoint(first)
    assert last_epoch(epochs=1, seed=1).isdisjoint(first)


def test_every_augmented_image_keeps_its_label() -> None:
    labels = np.random.default_rng(0).integers(0, 10, 300).astype(np.uint8)
    images = np.zeros((300, 28, 28), np.uint8)
    images[:, 11:17, 11:17] = (20 * (labels + 1))[:, None, None]
    pixels = keras.Input((28, 28))
    model = keras.Model(pixels, Scales()(pixels))
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy())
    data = ResidentImages.load(LabelledImages(images, labels))
    # The last batch is smaller. Neither shift nor rotation changes the ink.
    epoch = CompiledEpoch(model, data, 64, Augmentation(shift=4, rotation=45))
    assert epoch(np.random.default_rng(0))[1] == 1.0
