"""Settings of TensorFlow for a process: import without log lines, cores, GPU memory, determinism, seeds."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.machinery import ModuleSpec


@contextmanager
def without_stderr() -> Iterator[None]:
    """Drop what is written to stderr within the block, also by compiled code: its file descriptor is redirected."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        stderr = os.dup(2)
    except OSError:  # closed; opened now, or another file would get its number
        stderr = os.dup(devnull)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        if devnull != 2:
            os.close(devnull)


@contextmanager
def tensorflow_import() -> Iterator[None]:
    """Import TensorFlow in this block, without the lines that its compiled core prints whatever its log level.

    Keras is set to the TensorFlow backend, whatever the user's own setting for other projects.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with without_stderr():
        yield


class _NotInstalled:
    """Finder that reports libraries as not installed, in the thread that made it.

    Args:
        names: of their top-level packages.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names, self._thread = frozenset(names), threading.get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is left out of this import", name=name)
        return None


@contextmanager
def imports_without(libraries: Iterable[str]) -> Iterator[None]:
    """Make imports of libraries fail in this block, as if they were not installed; in this thread only.

    They can be imported after the block. Those that are imported already stay.

    Args:
        libraries: names of their top-level packages.
    """
    finder = _NotInstalled(name for name in libraries if name not in sys.modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def configure(threads: int) -> None:
    """Limit the cores of TensorFlow, let GPU memory grow as needed, and make results deterministic.

    Call it before anything is computed in this process. Another call with the same number changes nothing.

    Args:
        threads: number of cores that this process may use, 1 or more.

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
    # Keras collects garbage before each model: a third of a second over all objects of TensorFlow, which stay anyway.
    gc.freeze()


def device_name() -> str:
    """Return the name of the GPU that this process computes on, or ``CPU``."""
    with tensorflow_import():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")) if gpus else "CPU"


def reset(seed: int, keep_kernels: bool = False) -> None:
    """Release the earlier models, and seed initial weights and dropout of the next ones.

    Settings of Keras stay as they are.

    Args:
        seed: of all random numbers.
        keep_kernels: True keeps what TensorFlow has prepared for its operations and functions. Its own random
            operations then go on where they were; those of Keras do not.
    """
    import keras

    policy = keras.config.dtype_policy()
    with _kept_kernels() if keep_kernels else nullcontext():
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(policy)  # the only setting that is cleared


@contextmanager
def _kept_kernels() -> Iterator[None]:
    """Have TensorFlow keep its kernels in this block, which Keras and new seeds would clear.

    Without its kernel a compiled function is optimised again at its next call. Measured with TensorFlow 2.21: 0.15 of
    0.22 CPU seconds of a short training of 128 units, 0.3 of 0.5 of a small convolutional network.
    """
    from tensorflow.python import pywrap_tfe

    clear = getattr(pywrap_tfe, "TFE_ContextClearCaches", None)
    if clear is None:  # it is private, so a later version may lack it
        yield
        return
    pywrap_tfe.TFE_ContextClearCaches = lambda context: None
    try:
        yield
    finally:
        pywrap_tfe.TFE_ContextClearCaches = clear


@contextmanager
def kept_keras_settings() -> Iterator[None]:
    """Restore Keras's settings of precision, epsilon and image format after the block."""
    from keras import config

    settings = (
        (config.set_floatx, config.floatx()),
        (config.set_dtype_policy, config.dtype_policy()),
        (config.set_epsilon, config.epsilon()),
        (config.set_image_data_format, config.image_data_format()),
    )
    try:
        yield
    finally:
        for restore, value in settings:
            restore(value)
