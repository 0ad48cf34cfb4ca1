"""How TensorFlow uses this machine; to be called once in a process, before anything is computed."""

from __future__ import annotations

import os


def configure(threads: int) -> None:
    """Give TensorFlow its share of the cores, grow GPU memory as needed, and make results repeatable.

    Args:
        threads: cores that this process may compute with, 1 or more.

    Raises:
        RuntimeError: TensorFlow has already computed something in this process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_op_determinism()


def start_afresh(seed: int) -> None:
    """Forget earlier models, and seed initial weights and dropout of the ones to come."""
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
