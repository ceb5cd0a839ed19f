"""Keeping a results folder small and tidy: stages that no record needs, and what killed processes left behind."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import UsageError
from bench.store.claims import LEASE_SECONDS, Claims, holder
from bench.store.folder import STAGE_DIGITS, ResultsFolder
from bench.store.records import Record, read_records

FRESH_SECONDS = 24 * 3600.0
"""While cells run, stages that were used within this time stay, also those that no record needs yet."""


def refuse_links(results: Path) -> None:
    """Raise UsageError where a folder within a results folder is a link that leads out of it.

    Nothing is written, and nothing removed, outside the folder that the user named.
    """
    root = results.resolve()
    for part in ResultsFolder.PARTS:
        folders = [Path(at, name) for at, names, _ in os.walk(results / part) for name in names]
        for folder in (results / part, *folders):
            if folder.is_symlink() and not folder.resolve().is_relative_to(root):
                raise UsageError(
                    f"'{folder}' is a link that leads out of the results folder, to '{folder.resolve()}': remove it, "
                    "or name another folder with --results"
                )


def leftovers(results: Path) -> list[Path]:
    """Temporary files under a results folder that no living process is writing."""
    # In this order: what is listed first was written under a claim, which is gone or still there afterwards.
    there = ResultsFolder(results)
    found = [
        Path(folder, name)
        for part in (there.cells, there.stages, there.claims)
        for folder, _, names in os.walk(part)
        for name in names
        if name.startswith(".") and name.endswith(".tmp")
    ] + list(results.glob(f".{there.packed.name}.*.tmp"))
    return [] if found and Claims(results).live() else found


def remove_leftovers(results: Path) -> None:
    """Remove them."""
    for path in leftovers(results):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Pruned:
    """What was removed, and what is left."""

    unneeded: list[Path]  # stages that no record names
    oldest: list[Path]  # needed ones, given up for the size limit, least recently used first
    leftovers: list[Path]
    freed: int  # bytes
    kept: int  # bytes of stages that are left
    stages: int  # how many are left
    running: int  # cells that run at present
    limit: int | None


def prune(results: Path, limit: int | None = None, *, dry_run: bool = False) -> Pruned:
    """Remove stages that no record needs, then the least recently used until at most `limit` bytes are left.

    A stage that is being computed stays, and while cells run so does every one that was used within a day. Whatever
    is removed costs time alone: it is computed again when wanted. Raises UsageError for a missing folder.
    """
    if not results.is_dir():
        raise UsageError(f"results folder '{results}' does not exist: name another with --results")
    refuse_links(results)
    running = len(Claims(results).live())
    records = [record for record in read_records(results) if isinstance(record, Record)]
    needed = {use.hash[:STAGE_DIGITS] for record in records for use in record.stages}
    entries = _entries(results)
    busy = {path for path, _, used in entries if _in_use(path, used, running)}
    unneeded = [path for path, _, _ in entries if path.stem not in needed and path not in busy]
    sizes = {path: size for path, size, _ in entries}
    kept = sum(sizes.values()) - sum(sizes[path] for path in unneeded)
    oldest = []
    for path, size, _ in entries:
        if limit is not None and kept > limit and path not in busy and path not in unneeded:
            oldest.append(path)
            kept -= size
    left = leftovers(results) + _dead_leases(results)
    freed = sum(sizes[path] for path in unneeded + oldest) + sum(_size(path) for path in left)
    if not dry_run:
        for path in unneeded + oldest + left:
            path.unlink(missing_ok=True)
    count = len(entries) - len(unneeded) - len(oldest)
    return Pruned(unneeded, oldest, left, freed, kept, count, running, limit)


def _entries(results: Path) -> list[tuple[Path, int, float]]:
    """(path, bytes, time of last use) of every stage, least recently used first."""
    found = []
    for path in ResultsFolder(results).stages.glob("*/*.safetensors"):
        with contextlib.suppress(FileNotFoundError):
            facts = path.stat()
            found.append((path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda entry: (entry[2], entry[0]))


def _in_use(path: Path, used: float, running: int) -> bool:
    lease = path.with_suffix(".lease")
    return bool((running and time.time() - used < FRESH_SECONDS) or holder(lease))


def _dead_leases(results: Path) -> list[Path]:
    """Leases of processes of this host that are gone, and halves of take-overs."""
    there = ResultsFolder(results)
    leases = [*there.claims.glob("*.lease*"), *there.stages.glob("*/*.lease*")]
    long_ago = time.time() - LEASE_SECONDS  # one that is just being taken over may look dead for a moment
    return sorted(path for path in leases if holder(path) is None and path.stat().st_mtime < long_ago)


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
