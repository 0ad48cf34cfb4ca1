"""Cross-entropy with label smoothing."""

from __future__ import annotations

import keras


class SmoothedCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy with a share of each label spread evenly over all classes (Szegedy et al. 2016).

    Keras has label smoothing for one-hot labels only. This loss is for training and is not saved: see
    :func:`~mnist_core.models.saved_model.portable`.

    Args:
        label_smoothing: the share, in [0, 1).
        name: of the loss.
        reduction: of the losses of the images, as in Keras.
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
        one_hot = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), classes, dtype=probabilities.dtype)
        return keras.losses.categorical_crossentropy(one_hot, probabilities, label_smoothing=self.label_smoothing)
