"""`bench prune`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.filesize import decimal
from typer import Option

from bench.cli.options import Results
from bench.cli.shell import app, friendly, say
from bench.core.texts import plural

if TYPE_CHECKING:
    from bench.store.prune import Pruned


@app.command()
@friendly
def prune(
    results: Results = None,
    max_size: Annotated[
        str | None,
        Option(
            "--max-size",
            help="size limit, such as 500MB or 20GB; least recently used stages go first",
            metavar="<size>",
        ),
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="show what would be removed without removing it")] = False,
) -> None:
    """Remove shared stages that no record needs, and what killed runs left behind. Records are never touched."""
    from bench.store.prune import prune as remove

    done = remove(results or Path("results"), None if max_size is None else size_of(max_size), dry_run=dry_run)
    for line in sentences(done, "would remove" if dry_run else "removed"):
        say(line)


def sentences(done: Pruned, verb: str) -> list[str]:
    """The outcome for people."""
    lines = []
    if done.running:
        lines.append(f"{plural(done.running, 'cell')} running: stages used within the last day are kept")
    parts = [f"{plural(len(done.unneeded), 'stage')} that no record needs"]
    if done.limit is not None:
        parts.append(f"{len(done.oldest)} least recently used")
    parts.append(f"{plural(len(done.leftovers), 'leftover')} of killed runs")
    lines.append(f"{verb} {', '.join(parts)}: {decimal(done.freed)}")
    lines.append(f"left: {plural(done.stages, 'stage')}, {decimal(done.kept)}")
    if done.limit is not None and done.kept > done.limit:
        lines.append(f"still more than {decimal(done.limit)}, because the rest is in use: prune again later")
    return lines


def size_of(text: str) -> int:
    """Bytes from 500MB or 20GB. Raises UsageError."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    from bench.core.errors import UsageError

    with contextlib.suppress(ValidationError):
        if text.strip()[-1:].isalpha():  # a number without its unit is more likely a slip than a few bytes
            return int(TypeAdapter(ByteSize).validate_python(text))
    raise UsageError(f"--max-size '{text}': write a number with its unit, like 500MB or 20GB")
