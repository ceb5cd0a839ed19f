"""Seeds from named axes, so that competing methods share what they should share and nothing else.

A seed is a hash of words ("noise", task, source, 1, "train"): the draw of one split never shifts
another's, and two methods of one cell see the same noise because neither is named in it.
"""

from __future__ import annotations

import hashlib

import numpy as np


def named_seed(*axes: str | int | float) -> int:
    """A 63-bit seed that depends on every axis, its type and its position."""
    text = "\x1f".join(f"{type(axis).__name__}:{axis}" for axis in axes)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def named_generator(*axes: str | int | float) -> np.random.Generator:
    """A numpy generator seeded by `named_seed(*axes)`."""
    return np.random.default_rng(named_seed(*axes))
