"""The computations of the plots of a network, on small trained networks."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mnist_core.data.images import LabelledImages, Split
from mnist_core.errors import ModelError
from mnist_core.interpretation.activations import class_means, one_image_per_class, order_by_class
from mnist_core.interpretation.calibration import calibration_curve
from mnist_core.interpretation.embedding import embed
from mnist_core.interpretation.first_layer import first_layer, outgoing_strengths
from mnist_core.interpretation.network import Network
from mnist_core.interpretation.saliency import integrated_gradients
from mnist_core.models.saved_model import predict
from tests.helpers.networks import small_cnn, small_mlp, trained


@pytest.fixture(scope="module")
def images(small_split: Split) -> LabelledImages:
    return small_split.validation


@pytest.fixture(scope="module")
def mlp(small_split: Split) -> Network:
    return Network.of(trained(small_mlp(), small_split))


@pytest.fixture(scope="module")
def cnn(small_split: Split) -> Network:
    return Network.of(trained(small_cnn(), small_split))


@pytest.fixture(scope="module", params=["mlp", "cnn"])
def network(request: pytest.FixtureRequest) -> Network:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Network)
    return found


def test_integrated_gradients_are_complete(network: Network, images: LabelledImages) -> None:
    digits = predict(network.model, images.images[:12]).argmax(axis=1)
    found = integrated_gradients(network.model, images.images[:12], digits)
    # The error of the midpoint rule with 64 steps on a piecewise linear network, and of float32.
    np.testing.assert_allclose(found.pixels.sum(axis=(1, 2)), found.total, atol=0.02)
    assert np.abs(found.total).mean() > 0.3


def test_more_steps_reduce_the_error_of_integrated_gradients(mlp: Network, images: LabelledImages) -> None:
    def gap(steps: int) -> float:
        found = integrated_gradients(mlp.model, images.images[:12], images.labels[:12], steps)
        return float(np.abs(found.pixels.sum(axis=(1, 2)) - found.total).mean())

    assert gap(2) > 2 * gap(16) > 4 * gap(256)


def test_background_pixels_have_no_attribution(network: Network, images: LabelledImages) -> None:
    found = integrated_gradients(network.model, images.images[:4], images.labels[:4])
    assert np.all(found.pixels[images.images[:4] == 0] == 0)


def test_the_attribution_of_an_image_does_not_depend_on_the_batch(mlp: Network, images: LabelledImages) -> None:
    together = integrated_gradients(mlp.model, images.images[:40], images.labels[:40])
    alone = integrated_gradients(mlp.model, images.images[39:40], images.labels[39:40])
    np.testing.assert_allclose(together.pixels[39], alone.pixels[0], atol=1e-5)


def test_tiles_are_the_incoming_weights_ordered_by_strongest_output(mlp: Network) -> None:
    found = first_layer(mlp)
    incoming = np.asarray(mlp.model.get_layer("hidden_1").kernel)
    outgoing = np.asarray(mlp.model.get_layer("hidden_2").kernel)
    assert not found.is_convolution
    assert sorted(found.units) == list(range(12))
    assert np.all(np.diff(found.strengths) <= 0)
    for tile, unit, strength in zip(found.tiles, found.units, found.strengths, strict=True):
        np.testing.assert_array_equal(tile.ravel(), incoming[:, unit])
        assert strength == pytest.approx(np.linalg.norm(outgoing[unit]))


def test_tiles_of_a_convolution_are_its_filters(cnn: Network) -> None:
    found = first_layer(cnn)
    kernel, following = (np.asarray(cnn.model.get_layer(name).kernel) for name in ("first", "second"))
    assert found.is_convolution
    for tile, unit, strength in zip(found.tiles, found.units, found.strengths, strict=True):
        np.testing.assert_allclose(tile, kernel[:, :, 0, unit])
        assert strength == pytest.approx(np.linalg.norm(following[:, :, unit]))


def test_the_strength_of_a_flattened_filter_includes_all_its_positions() -> None:
    filters, positions = 4, 9
    kernel = np.zeros((positions * filters, 5), dtype=np.float32)
    # The weight of filter 2 at the sixth position.
    kernel[5 * filters + 2, 3] = -3.0
    kernel[7 * filters + 2, 0] = 4.0
    np.testing.assert_allclose(outgoing_strengths(kernel, filters), [0, 0, 5, 0])
    with pytest.raises(ModelError, match="expected inputs from 7 units, received a kernel of 36 inputs"):
        outgoing_strengths(kernel, 7)


def test_a_linear_classifier_has_a_tile_for_each_digit_in_order(small_split: Split) -> None:
    found = first_layer(Network.of(trained(small_mlp(hidden_layers=0), small_split)))
    assert list(found.units) == list(range(10))


def test_a_first_layer_behind_pooling_has_no_tiles() -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((28, 28)), layers.AveragePooling1D(4), layers.Flatten(), layers.Dense(10, activation="softmax")]
    )
    with pytest.raises(ModelError, match="one weight for each of 28 × 28 pixels, received 196 inputs"):
        first_layer(Network.of(model))


def test_activations_are_taken_after_normalisation_and_activation(cnn: Network, images: LabelledImages) -> None:
    assert [block.name for block in cnn.hidden] == ["first", "second", "third"]
    activations = cnn.activations(images.images[:3])
    assert [block.shape for block in activations] == [(3, 12, 12, 6), (3, 10, 10, 4), (3, 16)]
    assert all(block.min() == 0 for block in activations)


def test_unit_activations_of_a_filter_are_the_mean_over_its_positions(cnn: Network, images: LabelledImages) -> None:
    first, _, third = cnn.unit_activations(images.images[:3])
    maps = cnn.activations(images.images[:3])
    np.testing.assert_allclose(first, maps[0].mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(third, maps[2])


def test_features_determine_the_output(network: Network, images: LabelledImages) -> None:
    scores = network.features(images.images) @ np.asarray(network.last.kernel) + np.asarray(network.last.bias)
    assert np.array_equal(scores.argmax(axis=1), predict(network.model, images.images).argmax(axis=1))


def test_a_model_without_a_graph_of_layers_is_refused() -> None:
    class Opaque(keras.Model):
        pass

    with pytest.raises(ModelError, match="expected a Sequential or functional model with Dense or Conv2D layers"):
        Network.of(Opaque())


def test_class_means_are_means_by_class(mlp: Network, images: LabelledImages) -> None:
    activations = mlp.unit_activations(images.images)[0]
    means = class_means(activations, images.labels)
    assert means.shape == (10, 12)
    for digit in range(10):
        of_digit = [unit for unit, label in zip(activations, images.labels, strict=True) if label == digit]
        np.testing.assert_allclose(means[digit], np.mean(of_digit, axis=0), rtol=1e-4, atol=1e-6)


def test_a_digit_without_images_has_no_mean_and_no_units() -> None:
    means = class_means(np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32), np.array([7, 3], dtype=np.uint8))
    assert np.isnan(means).all(axis=1).sum() == 8
    assert list(order_by_class(means)) == [1, 0]


def test_units_are_ordered_by_digit_then_by_selectivity() -> None:
    means = np.zeros((10, 5), dtype=np.float32)
    means[8, 0] = 1.0
    means[2, 1], means[4, 1] = 1.0, 0.9
    means[2, 2] = 0.1
    means[0, 4] = 3.0
    assert list(order_by_class(means)) == [4, 2, 1, 0, 3]


def test_the_image_of_a_digit_is_a_correctly_predicted_one_if_there_is_any() -> None:
    labels = np.array([1, 1, 0, 0], dtype=np.uint8)
    probabilities = np.eye(10, dtype=np.float32)[[3, 1, 5, 6]]
    assert list(one_image_per_class(labels, probabilities)) == [2, 1]


def test_the_calibration_curve_counts_every_image_once(mlp: Network, images: LabelledImages) -> None:
    probabilities = predict(mlp.model, images.images)
    found = calibration_curve(probabilities, images.labels)
    assert found.counts.sum() == len(images)
    correct = (probabilities.argmax(axis=1) == images.labels).mean()
    assert np.average(found.accuracy, weights=found.counts) == pytest.approx(correct)


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy() -> None:
    probabilities = np.full((10, 10), 0.025 / 9, dtype=np.float32)
    probabilities[:, 0] = 0.975
    labels = np.array([0] * 8 + [1] * 2, dtype=np.uint8)
    assert calibration_curve(probabilities, labels).error == pytest.approx(0.175)


def test_an_embedding_is_deterministic_and_its_components_are_ordered(mlp: Network, images: LabelledImages) -> None:
    features = mlp.features(images.images[:80])
    one, two = embed(features), embed(features)
    np.testing.assert_array_equal(one.tsne, two.tsne)
    assert one.pca.shape == one.tsne.shape == (80, 2)
    assert 1 >= one.explained[0] >= one.explained[1] > 0
    assert one.pca[:, 0].std() >= one.pca[:, 1].std()
