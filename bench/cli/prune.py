"""`bench prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.markup import escape
from typer import Option

from bench.cli.options import Results
from bench.cli.shell import app, friendly, out

SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@app.command()
@friendly
def prune(
    results: Results = None,
    max_size: Annotated[
        str | None,
        Option(
            "--max-size", help="size limit; least recently used stages are removed first: 500MB, 20GB", metavar="<size>"
        ),
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="show what would be removed, remove nothing")] = False,
) -> None:
    """Remove shared stages that no record needs, and what killed runs left behind. Records are never touched."""
    from bench.store.prune import prune as remove

    done = remove(results or Path("results"), None if max_size is None else size_of(max_size), dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    for line in done.sentences(verb, shown):
        out.print(escape(line), highlight=False, soft_wrap=True)


def size_of(text: str) -> int:
    """Bytes from 500MB or 20GB. Raises UsageError."""
    import re

    from bench.core.errors import UsageError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B)", text.strip().upper())
    if not found:
        raise UsageError(f"--max-size '{text}': write a number with its unit, like 500MB or 20GB")
    return int(float(found[1]) * SIZES[found[2]])


def shown(size: int) -> str:
    """Bytes for people."""
    unit = next((unit for unit in reversed(SIZES) if size >= SIZES[unit]), "B")
    return f"{size / SIZES[unit]:.3g} {unit}"
