"""Figures of sweeps with many workers and many trials: a table, a picture and the numbers.

    python benchmarks/scale.py [--part loop|recording|reading|ray …] [--quick] [--out FOLDER]

- loop: what a trial costs the driver, by sampler, number of workers, number of trials and store; how busy it keeps a
  thousand workers
- recording: trials that are recorded a second, beside a bare MLflow client with the same calls
- reading: commands on a store of 10,000 trials
- ray: two workers of Ray beside two local processes

All parts together take about 25 minutes, and two with ``--quick``, whose sizes are too small for the aims. The parts
``recording`` and ``ray`` measure ratios of contenders that take turns; the others CPU time where that tells. The exit
code is 1 where an aim is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import scale_loop
import scale_ray
import scale_reading
import scale_recording
from common import Measurement, machine
from scale_figure import draw

PARTS: dict[str, Callable[[bool], Iterator[Measurement]]] = {
    "loop": lambda quick: scale_loop.measure(scale_loop.QUICK if quick else scale_loop.LoopSizes()),
    "recording": lambda quick: scale_recording.measure(
        scale_recording.QUICK if quick else scale_recording.RecordingSizes()
    ),
    "reading": lambda quick: scale_reading.measure(scale_reading.QUICK if quick else scale_reading.ReadingSizes()),
    "ray": lambda quick: scale_ray.measure(scale_ray.QUICK if quick else scale_ray.RaySizes()),
}


def main() -> int:
    """Measure, print and write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="repeatable (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for scale.json and scale.png (default: neither)")
    given = parser.parse_args()
    print(machine(), flush=True)
    measured: list[Measurement] = []
    for part in given.part or PARTS:
        print(f"\n{part}", flush=True)
        for one in PARTS[part](given.quick):
            measured.append(one)
            print(f"  {one}", flush=True)
    if given.out:
        write(given.out, measured)
    missed = [one for one in measured if not one.is_met]
    return 1 if missed and not given.quick else 0


def write(folder: Path, measured: Sequence[Measurement]) -> None:
    """Write the numbers and the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"machine": machine(), "measurements": [asdict(one) for one in measured]}
    (folder / "scale.json").write_text(json.dumps(values, indent=1) + "\n")
    (folder / "scale.png").write_bytes(draw(measured))


if __name__ == "__main__":
    sys.exit(main())
