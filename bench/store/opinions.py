"""What a method believes of single texts, in the arrays beside a record: every class, or the most probable few."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

MOST_VALUES = 1 << 22
"""An array [N, C] of more probabilities (8 MB in float16) is kept as the `MOST_CLASSES` most probable of each row."""
MOST_CLASSES = 16
OPINIONS = ("train_posterior", "train_mean")
"""Arrays that hold an opinion about the training labels, the better one first."""


def rounded(probabilities: np.ndarray, dtype: type[np.floating] = np.float16) -> np.ndarray:
    """Probabilities float[N, C] in a narrower type, [N, C]; the best class of each row stays strictly the best.

    What it is better than and would round to as much lies one step below. Rows of NaN stay.
    """
    narrow = probabilities.astype(dtype)
    best, most = probabilities.max(axis=1, keepdims=True), narrow.max(axis=1, keepdims=True)
    return np.where((probabilities < best) & (narrow == most), np.nextafter(most, dtype(0)), narrow)


def kept(name: str, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays to store for `probabilities` float[N, C], whose rows may be NaN.

    They are `name` float16[N, C]; of very many values `name` float16[N, K] with `name`_classes int32[N, K]: the most
    probable classes, and `labels` int64[N] (-1 = none) in any case.
    """
    rows, classes = probabilities.shape
    if rows * classes <= MOST_VALUES or classes <= MOST_CLASSES:
        return {name: rounded(probabilities)}
    ranked = probabilities.copy()
    given = np.flatnonzero(labels >= 0)
    ranked[given, labels[given]] = 2.0
    top = np.argpartition(-np.nan_to_num(ranked), MOST_CLASSES - 1, axis=1)[:, :MOST_CLASSES]
    values = np.take_along_axis(probabilities, top, axis=1)
    return {name: rounded(values), f"{name}_classes": top.astype(np.int32)}


def whole(name: str, arrays: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    """float32[N, C] from what `kept` made; a class that was not kept has probability 0. Raises KeyError."""
    values = arrays[name].astype(np.float32)
    if f"{name}_classes" not in arrays:
        return values
    found = np.zeros((len(values), classes), np.float32)
    np.put_along_axis(found, arrays[f"{name}_classes"].astype(np.int64), values, axis=1)
    return found
