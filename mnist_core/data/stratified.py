"""A seeded, stratified division of labels, the one of scikit-learn's ``train_test_split``.

Workers need nothing else of scikit-learn, whose import takes half a second. The division is part of each recorded
sweep, so it must not change with the version of a library: NumPy keeps the sequences of ``RandomState`` for ever.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mnist_core.arrays import Bytes, Indices

_Counts = npt.NDArray[np.int64]


def divide_by_class(labels: Bytes, held_out: int, seed: int) -> tuple[Indices, Indices]:
    """Divide the indices of labels at random into two parts with the same proportions of classes.

    Args:
        labels: shape ``(n,)``.
        held_out: size of the second part; both parts have at least as many members as there are classes.
        seed: of the division.

    Returns:
        Indices of both parts, each in random order.

    Raises:
        ValueError: a class has one member only.
    """
    classes, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise ValueError(f"classes with one image only: {', '.join(map(str, classes[counts < 2]))}")
    random = np.random.RandomState(seed)
    kept = _proportional(counts, len(labels) - held_out, random)
    left = _proportional(counts - kept, held_out, random)
    first, second = [], []
    members_of_classes = np.split(np.argsort(class_of, kind="stable"), np.cumsum(counts)[:-1])
    for members, keep, leave in zip(members_of_classes, kept, left, strict=True):
        shuffled = members[random.permutation(len(members))]
        first.append(shuffled[:keep])
        second.append(shuffled[keep : keep + leave])
    return random.permutation(np.concatenate(first)), random.permutation(np.concatenate(second))


def _proportional(counts: _Counts, total: int, random: np.random.RandomState) -> _Counts:
    """Integers that add up to ``total``, in the proportions of ``counts``; ties of rounding are drawn."""
    exact = counts / counts.sum() * total
    rounded = np.floor(exact)
    rest = exact - rounded
    missing = int(total - rounded.sum())
    for value in np.unique(rest)[::-1] if missing > 0 else ():
        (tied,) = np.where(rest == value)
        chosen = random.choice(tied, size=min(len(tied), missing), replace=False)
        rounded[chosen] += 1
        missing -= len(chosen)
        if missing == 0:
            break
    whole: _Counts = rounded.astype(np.int64)
    return whole
