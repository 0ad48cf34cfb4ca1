"""Imports of a process that trains and does nothing else."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from mnist_core.runtime import imports_without, tensorflow_import

# TensorFlow and Keras import these for plots, data frames and wrappers, and do without where they are not installed.
# Measured with TensorFlow 2.21 and Keras 3.15: 1.4 of 3.3 CPU seconds, and 100 of 300 MB.
UNUSED_IN_TRAINING = ("matplotlib", "pandas", "scipy", "sklearn")


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Collect no garbage in this block: an import makes little, and searching for it takes a fifth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def import_for_training() -> None:
    """Import TensorFlow, Keras and what a trial needs, for a process that trains and does nothing else.

    Keras then works without ``UNUSED_IN_TRAINING``, for the rest of the process: it draws no plots, takes no data
    frames and has no wrappers for scikit-learn. Other modules can import these libraries as usual.
    """
    with tensorflow_import(), imports_without(UNUSED_IN_TRAINING), _garbage_kept():
        import mnist_core.models.factory
        import mnist_core.models.saved_model
        import mnist_core.training.trainer  # noqa: F401
