from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from mnist_core.runtime import configure, reset, tensorflow_import

ROOT = Path(__file__).parents[2]


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, from the root of the project."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "module",
    ["data", "containers", "sources", "download", "hyperparameters", "metrics", "errors", "preview", "runtime"],
)
def test_what_does_not_compute_does_not_load_tensorflow(module: str) -> None:
    done = python(
        f"import sys, mnist_core.{module}\n"
        "print(sorted({'tensorflow', 'keras', 'keras_tuner', 'mlflow', 'sklearn'} & set(sys.modules)))"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_configured_process_has_its_threads_and_determinism_without_a_word() -> None:
    done = python(
        "from mnist_core.runtime import configure\n"
        "configure(2)\n"
        "import tensorflow as tf\n"
        "from tensorflow.python.framework import config\n"
        "threading = tf.config.threading\n"
        "print(threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads(),\n"
        "      config.is_op_determinism_enabled())"
    )
    assert (done.stdout, done.stderr) == ("2 1 True\n", "")


def test_a_process_that_has_computed_cannot_be_configured_any_more() -> None:
    tf.constant(1.0) + 1.0
    with pytest.raises(RuntimeError):
        configure(tf.config.threading.get_intra_op_parallelism_threads() + 1)


def test_only_what_is_printed_in_the_block_is_turned_away(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with tensorflow_import():
        os.write(2, b"within ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_errors_are_heard_again_after_a_block_that_failed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), tensorflow_import():
        raise ImportError
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_quietly_leaves_no_file_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with tensorflow_import():
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_fresh_start_seeds_initial_weights_and_dropout() -> None:
    def initial(seed: int) -> np.ndarray:
        reset(seed)
        return np.concatenate([w.ravel() for w in build_model(Hyperparameters(hidden_size=8)).get_weights()])

    def dropped() -> np.ndarray:
        return keras.ops.convert_to_numpy(keras.layers.Dropout(0.5)(np.ones((1, 64), np.float32), training=True))

    one, again, other = ((initial(seed), dropped()) for seed in (1, 1, 2))
    for kind in range(2):
        np.testing.assert_array_equal(again[kind], one[kind])
        assert not np.array_equal(other[kind], one[kind])
