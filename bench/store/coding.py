"""How arrays become two members of a pack: [those taken as they are][rows of probabilities], and [low bytes].

Of the rows, which columns are largest comes first, for all arrays; then how far these values are from 1 − the others;
then the others, or their differences to an array that is alike. The last two as all high bytes, then all low ones; but
the low ones of the others are a member of their own, because most are as good as random: there compressing hard saves
nothing and takes the longest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

MOST_BITS = 11.3
"""Of a difference between probabilities, on average: with more, the values themselves take less room."""


class Spec(NamedTuple):
    """What the manifest says of an array."""

    dtype: np.dtype
    shape: tuple[int, ...]
    like: tuple[str | None, int] | None  # the array that it is told apart from; None: of the same member


class Stored(NamedTuple):
    """An array of a member."""

    array: np.ndarray
    like: tuple[str, int] | None  # the array, of this member or one before it by name, that it is told apart from


def alike(array: np.ndarray, name: str, stored: dict[str, list[Stored]]) -> tuple[str, int] | None:
    """The earlier array whose differences to this one take the fewest bits, by a sample of rows; None if many."""
    if not _as_rows(array.dtype, array.shape):
        return None
    sample = slice(None, None, 1 + len(array) // 64)
    bits, others = array[sample].view("<u2"), ~_largest(array[sample])
    costs = {
        (member, number): np.log2(1.0 + _zigzag(bits - earlier.array[sample].view("<u2"))[others]).mean()
        for member in sorted(stored)
        if member <= name
        for number, earlier in enumerate(stored[member])
        if (earlier.array.dtype, earlier.array.shape) == (array.dtype, array.shape)
    }
    best = min(costs, key=costs.__getitem__, default=None)
    return None if best is None or costs[best] > MOST_BITS else best


def _as_rows(dtype: np.dtype, shape: tuple[int, ...]) -> bool:
    return dtype == np.dtype("<f2") and len(shape) == 2 and shape[0] > 0 and 2 <= shape[1] <= 256


def encode(arrays: list[tuple[np.ndarray, np.ndarray | None]]) -> tuple[bytes, bytes]:
    """Two members for arrays, each with the one that it is stored as the difference from."""
    plain = [array for array, _ in arrays if not _as_rows(array.dtype, array.shape)]
    parts = [_encode_rows(array, like) for array, like in arrays if _as_rows(array.dtype, array.shape)]
    if not parts:
        return b"".join(array.tobytes() for array in plain), b""
    largest, misses, others = (np.concatenate(each) for each in zip(*parts, strict=True))
    high, low = _split(others)
    return b"".join([*(array.tobytes() for array in plain), largest.tobytes(), *_split(misses), high]), low


def decode(
    data: bytes, low: bytes, specs: list[Spec], other_member: Callable[[str], list[np.ndarray]]
) -> list[np.ndarray]:
    """The arrays of two members, read-only. Raises ValueError or IndexError for bytes that are not a member."""
    rows = [spec.shape for spec in specs if _as_rows(spec.dtype, spec.shape)]
    count = sum(shape[0] for shape in rows)
    start = len(data) - count - 2 * count - sum(shape[0] * (shape[1] - 1) for shape in rows)
    largest = np.frombuffer(data, np.uint8, count, start)
    misses = _joined(data[start + count : start + 2 * count], data[start + 2 * count : start + 3 * count])
    others = _joined(data[start + 3 * count :], low)
    found: list[np.ndarray] = []
    at = row = other = 0
    for dtype, shape, like in specs:
        if _as_rows(dtype, shape):
            before = None if like is None else (found if like[0] is None else other_member(like[0]))[like[1]]
            if before is not None and (before.dtype, before.shape) != (dtype, shape):
                raise ValueError("an array is stored as the difference from one of another shape")
            length, rest = shape[0], shape[0] * (shape[1] - 1)
            part = slice(row, row + length)
            array = _decode_rows(largest[part], misses[part], others[other : other + rest], shape, before)
            row, other = row + length, other + rest
        else:
            size = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(data[at : at + size * dtype.itemsize], dtype).reshape(shape)
            at += size * dtype.itemsize
        array.setflags(write=False)
        found.append(array)
    if at != start or start < 0:
        raise ValueError("it holds more or less than its arrays")
    return found


def _encode_rows(values: np.ndarray, like: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which column is largest uint8[N], its miss uint16[N], and the other columns uint16[(C − 1) · N], as bits."""
    bits, largest = values.view("<u2"), _largest(values)
    rest = bits[~largest].reshape(len(values), -1)
    misses = _zigzag(bits[largest] - _complement(rest))
    if like is not None:
        rest = _zigzag(rest - like.view("<u2")[~largest].reshape(rest.shape))
    return largest.argmax(1).astype(np.uint8), misses, np.ascontiguousarray(rest.T).ravel()


def _decode_rows(
    largest: np.ndarray, misses: np.ndarray, others: np.ndarray, shape: tuple[int, ...], like: np.ndarray | None
) -> np.ndarray:
    kept = np.ones(shape, bool)
    kept[np.arange(shape[0]), largest] = False
    rest = np.ascontiguousarray(others.reshape(shape[1] - 1, shape[0]).T)
    if like is not None:
        rest = _unzigzag(rest) + like.view("<u2")[kept].reshape(rest.shape)
    bits = np.empty(shape, "<u2")
    bits[kept] = rest.ravel()
    bits[~kept] = _complement(rest) + _unzigzag(misses)
    return bits.view("<f2")


def _largest(values: np.ndarray) -> np.ndarray:
    """bool[N, C]: the first largest value of each row."""
    numbers = np.where(np.isnan(values), -np.inf, values)
    return numbers.argmax(1)[:, None] == np.arange(values.shape[1])


def _zigzag(difference: np.ndarray) -> np.ndarray:
    """uint16 differences, modulo 2^16, such that small ones of either sign are small numbers."""
    signed = difference.view("<i2").astype(np.int32)
    return ((signed << 1) ^ (signed >> 31)).astype("<u2")


def _unzigzag(values: np.ndarray) -> np.ndarray:
    wide = values.astype(np.int32)
    return ((wide >> 1) ^ -(wide & 1)).astype("<u2")


def _complement(rest: np.ndarray) -> np.ndarray:
    """1 − the sum of float16 values given as bits, as bits; exact in float64, hence the same on every machine."""
    values = np.ascontiguousarray(rest).view("<f2").astype(np.float64)
    values[~np.isfinite(values)] = 0
    return np.clip(1 - values.sum(1), 0, 1).astype("<f2").view("<u2")


def _split(values: np.ndarray) -> tuple[bytes, bytes]:
    """High bytes, which are alike and compress, and low ones."""
    low, high = values.view(np.uint8).reshape(-1, 2).T
    return high.tobytes(), low.tobytes()


def _joined(high: bytes, low: bytes) -> np.ndarray:
    both = [np.frombuffer(each, np.uint8) for each in (low, high)]
    return np.stack(both, axis=1).view("<u2").ravel()
