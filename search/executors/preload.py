"""Imports of a worker, made once in the process that workers are forked from: nothing is computed, no GPU touched."""

from __future__ import annotations

import gc
from contextlib import suppress

import mnist_core.data.sources  # noqa: F401
from search.training_imports import import_for_training

with suppress(Exception):  # raised again in the first trial, where it is recorded
    import_for_training()

# Else the first collection of each worker would write to all objects, and so copy their memory.
gc.freeze()
