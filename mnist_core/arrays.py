"""Types of arrays, by dtype; the docstring of each function gives their shapes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Images: TypeAlias = npt.NDArray[np.uint8]
"""Pixels, 0–255."""

Labels: TypeAlias = npt.NDArray[np.integer]
"""Classes, 0–9."""

Probabilities: TypeAlias = npt.NDArray[np.floating]
"""Class probabilities, in [0, 1]."""

Bytes: TypeAlias = npt.NDArray[np.uint8]
"""Images or labels, as files hold them."""

Floats: TypeAlias = npt.NDArray[np.float32]

Indices: TypeAlias = npt.NDArray[np.intp]
