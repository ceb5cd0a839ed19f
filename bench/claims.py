"""Who runs which cell: one lease a cell, kept alive by heart-beats, taken over when its owner is dead.

A lease is a file that one process creates exclusively (`O_EXCL`, which network file systems honour too; no `flock`
is relied on). Its owner touches it every 20 s. On the owner's own host a dead process is recognised at once by its
number and start time; on another host a lease counts as dead when it was not touched for 60 s of the waiting
process's *monotonic* clock, so neither skewed clocks nor one that jumps can end a live one. A process that was
stopped for longer than that and wakes up finds its lease gone; its result equals the other's, and is dropped.
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import psutil
from filelock import SoftFileLease, Timeout

LEASE_SECONDS = 60.0
"""How long a lease of another host must have been silent; heart-beats come three times as often."""


def lease(path: Path, timeout: float = 0.0, poll: float = 0.05) -> SoftFileLease:
    """A lease on a path whose folder exists; `acquire` raises filelock.Timeout after `timeout` s (-1: never)."""
    return SoftFileLease(path, timeout=timeout, lease_duration=LEASE_SECONDS, poll_interval=poll, thread_local=False)


def holder(path: Path) -> str | None:
    """Who holds a lease that lies at `path`, for people; None when no one does, or a dead process of this host."""
    owner = lease(path).owner
    if owner is None:
        return None
    host = owner.hostname.partition("?")[0]
    if host == socket.gethostname():
        return f"by process {owner.pid}" if psutil.pid_exists(owner.pid) else None
    with contextlib.suppress(OSError):
        silent = time.time() - path.stat().st_mtime
        if silent > LEASE_SECONDS:
            return f"by process {owner.pid} on {host}, without a sign of life for {silent / 60:.0f} min"
    return f"by process {owner.pid} on {host}"


class Claims:
    """The leases of one results folder. A lease that was seen is kept: how long it stays silent is its own measure."""

    def __init__(self, results: Path) -> None:
        self.folder = results / "claims"
        self._seen: dict[str, SoftFileLease] = {}

    def path(self, cell: str) -> Path:
        """Where the lease of a cell (by its hash) lies."""
        return self.folder / f"{cell[:24]}.lease"

    def take(self, cell: str) -> SoftFileLease | None:
        """The lease of a cell, to be released; None while another process holds it. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        held = self._seen.get(cell) or lease(self.path(cell))
        try:
            held.acquire()
        except Timeout:
            self._seen[cell] = held
            return None
        self._seen.pop(cell, None)
        return held

    def holder(self, cell: str) -> str | None:
        """Who runs a cell, for people; writes nothing."""
        path = self.path(cell)
        return holder(path) if path.exists() else None

    def live(self) -> list[Path]:
        """The leases in the folder that someone holds."""
        return [path for path in sorted(self.folder.glob("*.lease")) if holder(path)]
