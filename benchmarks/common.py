"""Shared by the benchmarks: the whole of MNIST, and a line that names the machine and the versions."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from mnist_core.data.download import download_mnist
from mnist_core.data.sources import DataSource, dataset_name, find_data

SEED = 0


def whole_mnist() -> DataSource:
    """All of MNIST, from ``MNIST_DATA``, the cache or the mirrors; results on the sample would not compare."""
    source = find_data(None, download_mnist, lambda line: print(line, file=sys.stderr))
    if dataset_name(source, source.load_training()) != "mnist":
        sys.exit(f"{source.location}: the benchmarks need the whole of MNIST: MNIST_DATA=FOLDER")
    return source


def machine() -> str:
    """Processor, cores and versions in one line."""
    from experiments.tracking.provenance import versions

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{model}, {os.cpu_count()} cores; {packages}; seed {SEED}"
