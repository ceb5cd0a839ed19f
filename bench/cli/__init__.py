"""The command line. `main` is the console script; what it needs is imported when it is called."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from bench.cli.app import app

    app(prog_name="bench")
