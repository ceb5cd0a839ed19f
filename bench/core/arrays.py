"""Arrays that are shared."""

from __future__ import annotations

import numpy as np


def read_only(values: np.ndarray) -> np.ndarray:
    """A view of an array that all cells share, which no method can write to."""
    view = np.asanyarray(values).view()
    view.flags.writeable = False
    return view
