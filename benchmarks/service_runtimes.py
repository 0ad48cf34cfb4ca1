"""Runtimes for the service: Keras, LiteRT, ONNX Runtime and NumPy, on one thread.

Each contender is a process of its own that loads one model and predicts; the contenders take turns, and medians over
the rounds are shown. Memory is measured twice: with the runtime alone, and after the process has also imported the
service and asked a registry in SQLite for its champion, as ``mnist-search serve`` does. NumPy is given only the network
of dense layers: it stands for how little such a network needs, not for a runtime.

    MNIST_DATA=FOLDER python benchmarks/service_runtimes.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import files
from pathlib import Path

import numpy as np

IMAGES = 10_000
BATCHES = (1, 8, 64)
PARITY_BATCH = 50
SECONDS = 0.5
ROUNDS = 3
TRAINED_ON = 12_800
ONE_THREAD = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For NumPy; the other runtimes are told by their own options."""

Predict = Callable[[np.ndarray], np.ndarray]


def load_keras(folder: Path, model: str) -> Predict:
    from mnist_core import runtime

    runtime.configure(threads=1)
    from serving.model_manager import load_predictor

    return load_predictor(folder / f"{model}.keras").probabilities


def load_litert(folder: Path, model: str) -> Predict:
    from mnist_core.models.litert import LiteRtModel

    return LiteRtModel((folder / f"{model}.tflite").read_bytes())


def load_litert_of_tensorflow(folder: Path, model: str) -> Predict:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(folder / f"{model}.tflite"), num_threads=1)
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    size = 0

    def predict(images: np.ndarray) -> np.ndarray:
        nonlocal size
        if len(images) != size:
            size = len(images)
            interpreter.resize_tensor_input(inputs["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(inputs["index"], images.astype(np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(outputs["index"])

    return predict


def load_onnx(folder: Path, model: str) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / f"{model}.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images.astype(np.float32)})[0]


def load_numpy(folder: Path, model: str) -> Predict:
    weights = list(np.load(folder / f"{model}.npz").values())

    def predict(images: np.ndarray) -> np.ndarray:
        values = images.reshape(len(images), -1).astype(np.float32) / 255
        for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            values = np.maximum(values @ kernel + bias, 0)
        values = np.exp((logits := values @ weights[-2] + weights[-1]) - logits.max(axis=1, keepdims=True))
        return values / values.sum(axis=1, keepdims=True)

    return predict


CONTENDERS: dict[str, Callable[[Path, str], Predict]] = {
    "Keras": load_keras,
    "tf.lite": load_litert_of_tensorflow,
    "LiteRT": load_litert,
    "ONNX Runtime": load_onnx,
    "NumPy": load_numpy,
}
KINDS = ("alone", "service")
PACKAGES = {
    "Keras": ("tensorflow", "keras"),
    "LiteRT": ("ai-edge-litert",),
    "ONNX Runtime": ("onnxruntime",),
    "  to write ONNX": ("onnx", "tf2onnx"),
}


def measure(contender: str, folder: Path, model: str) -> None:
    """In a process of its own: load, predict, and print what it took as JSON."""
    predict, images = CONTENDERS[contender](folder, model), np.load(folder / "images.npy")
    predict(images[:1])
    used = resource.getrusage(resource.RUSAGE_SELF)
    found: dict[str, float] = {"start_cpu_s": used.ru_utime + used.ru_stime}
    for batch in BATCHES:
        found[f"ms_{batch}"] = 1e3 * median_seconds(predict, [images[:batch]])
    # Half of these calls are of 8 images, each after one of 7.
    found["ms_8_after_7"] = 1e3 * median_seconds(predict, [images[:7], images[:8]])
    probabilities = np.concatenate(
        [predict(images[start : start + PARITY_BATCH]) for start in range(0, IMAGES, PARITY_BATCH)]
    )
    np.save(folder / f"{contender}.npy", probabilities)
    found |= {f"alone_{name}": value for name, value in memory().items()}
    import_service(folder)
    found |= {f"service_{name}": value for name, value in memory().items()}
    print(json.dumps(found))


def median_seconds(predict: Predict, batches: Sequence[np.ndarray]) -> float:
    """Median over calls with these batches in turn; of the last batch, after some calls to warm up."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 10:
        for batch in batches:
            started = time.perf_counter()
            predict(batch)
            elapsed = time.perf_counter() - started
        times.append(elapsed)
    return statistics.median(times[3:])


def import_service(folder: Path) -> None:
    from experiments.tracking.store import import_mlflow_without_pandas

    import_mlflow_without_pandas()
    import serving.app
    import serving.server  # noqa: F401
    from experiments.registry.model_source import RegistryModelSource

    assert RegistryModelSource(store_uri(folder)).current() is None


def store_uri(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def memory() -> dict[str, float]:
    """Megabytes of this process: all of its pages, its share of shared ones, and those of its own."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"rss": kilobytes["Rss"] / 1e3, "pss": kilobytes["Pss"] / 1e3, "uss": own / 1e3}


def write_models(folder: Path) -> dict[str, int]:
    """Train three models, write them for all runtimes and 10,000 images, and give the weights of each."""
    from common import SEED, whole_mnist

    from experiments.tracking.store import open_store
    from mnist_core import runtime
    from mnist_core.data.images import split
    from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
    from mnist_core.models.averaging import average_model
    from mnist_core.models.export_formats import ExportFormat
    from mnist_core.models.exporters import export_model
    from mnist_core.models.factory import build_model
    from mnist_core.models.saved_model import load_model
    from mnist_core.training.trainer import train

    data = split(whole_mnist().load_training(), IMAGES, seed=SEED)
    few = split(data.train.take(np.arange(TRAINED_ON + 1000)), 1000, seed=SEED)
    np.save(folder / "images.npy", data.validation.images)
    networks = {
        "MLP": Hyperparameters(hidden_size=512),
        "CNN": Hyperparameters("cnn", filters=16, convolutions=2, batch_normalization=True),
        "second MLP": Hyperparameters(hidden_size=256, hidden_layers=2),
    }
    for seed, (name, network) in enumerate(networks.items()):
        runtime.reset(seed)
        model = build_model(network)
        train(model, few, TrainingConfig(epochs=2), seed=seed)
        model.save(folder / f"{name}.keras")
    average_model([load_model(folder / f"{name}.keras") for name in networks]).save(folder / "ensemble.keras")
    weights = {}
    for name in ("MLP", "CNN", "ensemble"):
        model = load_model(folder / f"{name}.keras")
        weights[name] = model.count_params()
        for wanted in (ExportFormat.LITERT, ExportFormat.ONNX):
            export_model(model, folder / f"{name}{wanted.suffix}", wanted, data.validation.images[:1000])
    np.savez(folder / "MLP.npz", *load_model(folder / "MLP.keras").get_weights())
    open_store(store_uri(folder), create=True)
    return weights


def compare(folder: Path, model: str, rounds: int) -> dict[str, dict[str, float]]:
    """Medians of every contender's measurements, and its agreement with Keras on all images."""
    names = [name for name in CONTENDERS if name != "NumPy" or (folder / f"{model}.npz").exists()]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            command = [sys.executable, __file__, "--contender", name, str(folder), model]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ONE_THREAD
            )
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        name: {key: statistics.median(one[key] for one in values) for key in values[0]}
        for name, values in found.items()
    }
    expected = np.load(folder / "Keras.npy")
    for name, values in medians.items():
        received = np.load(folder / f"{name}.npy")
        values["max_difference"] = float(np.abs(received - expected).max())
        values["agreement"] = float((received.argmax(axis=1) == expected.argmax(axis=1)).mean())
    return medians


def print_table(model: str, weights: int, table: dict[str, dict[str, float]]) -> None:
    print(f"\n{model}, {weights:,} weights")
    print(
        f"  {'':<17}      1 image   8 images   64 images  8 after 7    start    runtime alone   the whole service"
        "        same label   largest |Δp|"
    )
    for name, one in table.items():
        latency = "  ".join(f"{one[key]:6.3f} ms" for key in ("ms_1", "ms_8", "ms_64", "ms_8_after_7"))
        sizes = (f"{one[f'{kind}_rss']:4.0f}/{one[f'{kind}_pss']:.0f}/{one[f'{kind}_uss']:.0f} MB" for kind in KINDS)
        print(
            f"  {name:<17}  {latency}  {one['start_cpu_s']:6.2f} s  {'   '.join(f'{size:>15}' for size in sizes)}  "
            f"{one['agreement']:>16.2%}   {one['max_difference']:.1e}",
            flush=True,
        )


def installed_megabytes(packages: Sequence[str]) -> float:
    paths = [Path(str(file.locate())) for name in packages for file in files(name) or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--contender", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        name, folder, model = arguments.contender
        measure(name, Path(folder), model)
        return
    from common import machine

    print(machine())
    print("medians; start: CPU seconds to the first answer; memory: RSS/PSS/USS; agreement with Keras")
    sizes = {name: installed_megabytes(packages) for name, packages in PACKAGES.items()}
    with tempfile.TemporaryDirectory() as scratch:
        weights = write_models(Path(scratch))
        tables = {}
        for model, count in weights.items():
            tables[model] = compare(Path(scratch), model, arguments.rounds)
            print_table(model, count, tables[model])
    print("\ninstalled")
    for name, size in sizes.items():
        print(f"  {name:<17} {size:6.0f} MB   {', '.join(PACKAGES[name])}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"models": tables, "installed_mb": sizes}, indent=1))


if __name__ == "__main__":
    main()
