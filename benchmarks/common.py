"""Shared by the benchmarks: the whole of MNIST, a line that names the machine and the versions, rows of a table."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_core.data.download import download_mnist
from mnist_core.data.sources import DataSource, dataset_name, find_data
from mnist_core.messages import print_to_stderr

SEED = 0


def whole_mnist() -> DataSource:
    """All of MNIST, from ``MNIST_DATA``, the cache or the mirrors; results on the sample would not compare."""
    source = find_data(None, download_mnist, print_to_stderr)
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


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write a file of figures, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


@dataclass(frozen=True)
class Measurement:
    """One value of a table.

    Args:
        part: of the benchmark.
        name: what was measured.
        value: in the unit.
        unit: of the value.
        aim: bound of the value; None where there is none.
        at_least: True where the aim is a lower bound.
        series: name of the curve that it is a point of; empty for none.
        x: its place on that curve.
    """

    part: str
    name: str
    value: float
    unit: str
    aim: float | None = None
    at_least: bool = False
    series: str = ""
    x: float = 0.0

    @property
    def is_met(self) -> bool:
        """False where there is an aim that the value misses."""
        return self.aim is None or (self.value >= self.aim if self.at_least else self.value <= self.aim)

    def __str__(self) -> str:
        aim = "" if self.aim is None else f"  aim {'≥' if self.at_least else '≤'} {self.aim:g}"
        return f"{self.name:<62} {self.value:>11,.4g} {self.unit:<9}{aim}{'' if self.is_met else '  MISSED'}"
