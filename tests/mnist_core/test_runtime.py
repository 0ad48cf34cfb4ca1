from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from mnist_core.runtime import configure, imports_without, reset, tensorflow_import

ROOT = Path(__file__).parents[2]


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run the code in another process, in the root folder of the project."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


LIGHT = (
    *("arrays", "argument_checks", "classification", "errors", "functions", "hyperparameters", "messages", "metrics"),
    *("plotting", "runtime", "models.custom", "models.export_formats", "models.probabilities"),
    *("data.download", "data.feedback", "data.file_formats", "data.images", "data.sources"),
    *("interpretation.calibration", "interpretation.image_grid", "interpretation.learning_curves"),
)


def test_modules_that_do_not_train_or_predict_load_no_large_library() -> None:
    done = python(
        f"import sys, {', '.join(f'mnist_core.{name}' for name in LIGHT)}\n"
        "large = {'tensorflow', 'keras', 'keras_tuner', 'mlflow', 'sklearn', 'matplotlib'}\n"
        "print(sorted(large & set(sys.modules)))"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_configure_sets_threads_and_determinism_and_prints_nothing() -> None:
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


def test_configure_refuses_other_threads_after_a_computation() -> None:
    tf.constant(1.0) + 1.0
    with pytest.raises(RuntimeError):
        configure(tf.config.threading.get_intra_op_parallelism_threads() + 1)


def test_only_output_within_the_block_is_discarded(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with tensorflow_import():
        os.write(2, b"within ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_stderr_is_restored_after_an_error_in_the_block(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), tensorflow_import():
        raise ImportError
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_tensorflow_import_leaves_no_file_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with tensorflow_import():
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_process_without_stderr_can_import_tensorflow() -> None:
    code = """
import os
from mnist_core.runtime import tensorflow_import
for _ in range(2):
    with tensorflow_import():
        os.write(2, b"within")
os.write(2, b"after")
print(os.readlink("/proc/self/fd/2"))
"""
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "/dev/null\n"


@pytest.fixture
def not_loaded(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that is installed and not imported."""
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    return "colorsys"


def test_a_library_cannot_be_imported_within_the_block_that_leaves_it_out_and_can_be_after_it(not_loaded: str) -> None:
    with imports_without([not_loaded]):
        with pytest.raises(ImportError):
            import_module(not_loaded)
        with pytest.raises(ImportError):
            import_module(f"{not_loaded}.part")
        assert import_module("wave").__name__ == "wave"
    assert import_module(not_loaded).__name__ == not_loaded


def test_a_library_is_left_out_in_one_thread_only(not_loaded: str) -> None:
    with imports_without([not_loaded]), ThreadPoolExecutor(1) as pool:
        assert pool.submit(import_module, not_loaded).result().__name__ == not_loaded


def test_a_library_that_is_imported_already_stays() -> None:
    with imports_without(["numpy"]):
        assert import_module("numpy") is np
        import_module("numpy.testing")


def test_imports_are_as_before_after_an_error_in_the_block() -> None:
    before = list(sys.meta_path)
    with pytest.raises(ZeroDivisionError), imports_without(["colorsys"]):
        1 / 0  # noqa: B018
    assert sys.meta_path == before


def test_reset_begins_the_random_numbers_of_tensorflow_anew_unless_kernels_are_kept() -> None:
    def drawn(**options: bool) -> float:
        reset(3, **options)
        return float(tf.random.uniform([], seed=1))

    first = drawn()
    assert drawn() == first
    assert drawn(keep_kernels=True) != first
    assert drawn() == first


def test_reset_seeds_initial_weights_and_dropout() -> None:
    def initial(seed: int) -> np.ndarray:
        reset(seed)
        return np.concatenate([w.ravel() for w in build_model(Hyperparameters(hidden_size=8)).get_weights()])

    def dropped() -> np.ndarray:
        return keras.ops.convert_to_numpy(keras.layers.Dropout(0.5)(np.ones((1, 64), np.float32), training=True))

    one, again, other = ((initial(seed), dropped()) for seed in (1, 1, 2))
    for kind in range(2):
        np.testing.assert_array_equal(again[kind], one[kind])
        assert not np.array_equal(other[kind], one[kind])
