"""The command line as a whole: every command registers itself when its module is imported."""

from __future__ import annotations

from bench.cli import check, doctor, label, labels, list, pack, prune, report, run, show  # noqa: F401
from bench.cli.shell import app

__all__ = ["app", "main"]


def main() -> None:
    """The console script."""
    app(prog_name="bench")
