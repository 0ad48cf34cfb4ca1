"""Data that a function of the user's returns."""

from __future__ import annotations

import numpy as np

from mnist_core.data.images import LabelledImages
from mnist_core.errors import DataError, ParameterError
from mnist_core.models.custom import load_function


def load_arrays(name: str, part: str) -> LabelledImages:
    """One part of the data that a function of the user's returns.

    Args:
        name: of a function without arguments, to ``x_train, y_train, x_test, y_test`` or the same in pairs, as
            Keras's own ``load_data`` has it: images uint8 ``(n, height, width)``, labels 0 to 9.
        part: ``"train"`` or ``"test"``.

    Raises:
        DataError: it cannot be imported or called, or returns something else.
    """
    try:
        returned = load_function(name)()
    except ParameterError as error:
        raise DataError(f"data: {error}") from error
    except Exception as error:  # whatever a user's function raises
        raise DataError(f"data: function {name}: it raised {type(error).__name__}: {error}") from error
    try:
        flat = [*returned[0], *returned[1]] if len(returned) == 2 else list(returned)
        x_train, y_train, x_test, y_test = (np.asarray(array) for array in flat)
    except (TypeError, ValueError, LookupError) as error:
        kind = f"{len(returned)} values" if isinstance(returned, tuple) else type(returned).__name__
        raise DataError(f"data: function {name}: expected x_train, y_train, x_test, y_test, returned {kind}") from error
    images, labels = (x_train, y_train) if part == "train" else (x_test, y_test)
    if np.issubdtype(labels.dtype, np.integer) and labels.size and labels.min() >= 0 and labels.max() < 256:
        labels = labels.astype(np.uint8)
    try:
        return LabelledImages(images, labels)
    except DataError as error:
        raise DataError(f"data: function {name}: {part} {error}") from error
