"""Keeping a results folder tidy: what killed processes left behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bench.claims import Claims


def leftovers(results: Path) -> list[Path]:
    """Temporary files under a results folder that no living process is writing."""
    # In this order: what is listed first was written under a claim, which is gone or still there afterwards.
    found = [
        Path(folder, name)
        for part in ("cells", "stages")
        for folder, _, names in os.walk(results / part)
        for name in names
        if name.startswith(".") and name.endswith(".tmp")
    ]
    return [] if found and Claims(results).live() else found


def remove_leftovers(results: Path) -> int:
    """Remove them; how many there were."""
    found = leftovers(results)
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    return len(found)
