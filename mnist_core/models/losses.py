"""The loss of a classifier, with labels that are less than certain."""

from __future__ import annotations

import keras


class SmoothedCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy against labels of which a share is spread evenly over all classes (Szegedy et al. 2016).

    Keras has label smoothing for one-hot labels only. This is a loss to train by, not one to be saved: see
    :func:`~mnist_core.models.saved_model.portable`.

    Args:
        label_smoothing: that share, in [0, 1).
        name: of the loss.
        reduction: how the images' losses become one.
    """

    def __init__(
        self,
        label_smoothing: float,
        name: str = "smoothed_crossentropy",
        reduction: str = "sum_over_batch_size",
        **options: object,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **options)
        self.label_smoothing = label_smoothing

    def call(self, labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
        """The loss of each image, in nats.

        Args:
            labels: shape ``(n,)`` or ``(n, 1)``, any integer dtype.
            probabilities: shape ``(n, classes)``.
        """
        classes = probabilities.shape[-1]
        certain = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), classes, dtype=probabilities.dtype)
        return keras.losses.categorical_crossentropy(certain, probabilities, label_smoothing=self.label_smoothing)
