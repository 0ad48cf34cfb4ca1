"""How TensorFlow uses this machine."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def tensorflow_import() -> Iterator[None]:
    """Import TensorFlow in this block, without the lines that it prints whatever its log level.

    They come from its compiled core, so the file descriptor itself is turned away. Keras is told to compute with
    TensorFlow, whatever the user's own setting for other projects.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def configure(threads: int) -> None:
    """Give TensorFlow its share of the cores, grow GPU memory as needed, and make results repeatable.

    To be called before anything is computed in this process; a repetition with as many threads changes nothing.

    Args:
        threads: cores that this process may compute with, 1 or more.

    Raises:
        RuntimeError: TensorFlow has already computed something in this process, with other settings.
    """
    with tensorflow_import():
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.experimental.enable_op_determinism()
    # Keras collects garbage before each model, a third of a second over all that TensorFlow has just made and keeps.
    gc.freeze()


def reset(seed: int) -> None:
    """Forget earlier models, and seed initial weights and dropout of the ones to come."""
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
