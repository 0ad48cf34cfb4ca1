"""Imports of a worker, made once in the process that workers are forked from: nothing is computed, no GPU touched."""

from __future__ import annotations

import gc
from contextlib import suppress

from mnist_core.runtime import tensorflow_import

with suppress(Exception), tensorflow_import():  # raised again in the first trial, where it is recorded
    import mnist_core.models.factory
    import mnist_core.training.trainer  # noqa: F401

# Else the first collection of each worker would write to all objects, and so copy their memory.
gc.freeze()
