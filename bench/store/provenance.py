"""Which code and packages made a record."""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = (
    "noisy-label-bench",
    "torch",
    "transformers",
    "accelerate",
    "sentence-transformers",
    "numpy",
    "scikit-learn",
)


def utc_now() -> str:
    """The time now, UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


@functools.cache
def code_version() -> str:
    """The git commit of this code ("+" when changed since), or its release where git does not tell."""
    root = Path(__file__).resolve().parents[2]
    git = functools.partial(subprocess.run, cwd=root, capture_output=True, text=True, timeout=10, check=True)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if (root / ".git").exists():
            commit = git(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
            changed = git(["git", "status", "--porcelain", "--", "bench", "methods", "llm_labels"]).stdout.strip()
            return commit + ("+" if changed else "")
    return versions().get("noisy-label-bench", "")
