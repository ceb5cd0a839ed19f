"""Where files that were fetched or assembled once are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """$BENCH_CACHE_DIR, else noisy-label-bench in the user's cache folder."""
    if chosen := os.environ.get("BENCH_CACHE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "noisy-label-bench"
