"""Which process runs which cell: one lease per cell, kept alive by heart-beats, taken over when its owner is dead.

A lease is a file that one process creates exclusively (`O_EXCL`, which network file systems honour too; no `flock`
is relied on). Its owner touches it every 20 s. On the owner's own host a dead process is recognised at once by its
number and start time; on another host a lease counts as dead when it was not touched for 60 s of the waiting
process's *monotonic* clock, so neither skewed clocks nor one that jumps can end a live one. A process that was
stopped for longer than that and wakes up finds its lease gone; its result equals the other's, and is dropped.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

from bench.store.folder import ResultsFolder

LEASE_SECONDS = 60.0
"""How long a lease of another host must have been silent; heart-beats come three times as often."""
PATIENCE = 1.5
"""This many times that long where a dead lease cannot be exchanged in one step, but is renamed away."""
TORN_SECONDS = 5.0
"""How long a lease may be without its owner's name: writing it takes less than a millisecond."""
POLL_SECONDS = 0.05
CLOCKS_DIFFER = 3600.0
"""By how many seconds at most the clock of a file system differs from that of this host."""


def lease(path: Path) -> SoftFileLease:
    """The lease at a path whose folder exists, for one attempt at a time."""
    return SoftFileLease(path, timeout=0, lease_duration=LEASE_SECONDS, thread_local=False)


class Taker:
    """Takes the lease at one path, and remembers for how long it saw no sign of life of another owner.

    Where a file system can exchange two names in one step, filelock itself takes a dead lease over. Network file
    systems cannot; there a dead lease is renamed away first. Renaming succeeds for one process alone, and what it got
    is looked at: a living lease that came in between is put back.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lease = lease(path)
        self._seen: tuple | None = None
        self._since = 0.0

    def take(self) -> SoftFileLease | None:
        """The lease, to be released; None while another process holds it. Raises OSError."""
        for _ in range(2):
            with contextlib.suppress(Timeout, LeaseSettingsMismatch):  # the latter: of a version with another duration
                return self.lease.acquire(timeout=0).lock
            with contextlib.suppress(FileNotFoundError):  # it vanished just now: try again
                dead = self._dead()
                if dead is None:
                    return None
                self._clear(dead)
        return None

    def wait(self) -> SoftFileLease:
        """The lease, as soon as it is free. Raises OSError."""
        while (held := self.take()) is None:
            time.sleep(POLL_SECONDS)
        return held

    def _dead(self) -> str | None:
        """The token of an owner that is dead as far as can be known; "" for a lease that was cut off unwritten.

        Raises FileNotFoundError where it is gone.
        """
        owner, now = self.lease.owner, time.monotonic()
        token = owner.token or "" if owner else ""
        key = (token, self.path.stat().st_mtime_ns)
        if key != self._seen:
            self._seen, self._since = key, now
        silent = now - self._since
        if owner and here(owner.hostname) and not psutil.pid_exists(owner.pid):
            return token
        return token if silent > (LEASE_SECONDS * PATIENCE if owner else TORN_SECONDS) else None

    def _clear(self, token: str) -> None:
        """Remove the lease if it is still the one that was found dead. Raises FileNotFoundError where it is gone."""
        aside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}.tmp")
        os.rename(self.path, aside)
        found = lease(aside).owner
        if (found.token if found else "") != token:
            try:
                os.link(aside, self.path)
            except FileExistsError:  # yet another process has it by now
                pass
            except OSError:  # a file system without hard links
                os.replace(aside, self.path)
        aside.unlink(missing_ok=True)


def here(hostname: str) -> bool:
    """Whether the host that an owner recorded is this one (what follows a "?" tells containers apart)."""
    return hostname.partition("?")[0] == socket.gethostname()


def _runs(pid: int, path: Path) -> bool:
    """Whether the process that holds the lease at `path` is there: one of its number, begun before the last heart-beat.

    Numbers are given out again; for people's eyes and for tidying up it is enough to see that after `CLOCKS_DIFFER`.
    """
    try:
        return psutil.Process(pid).create_time() <= path.stat().st_mtime + CLOCKS_DIFFER
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False
    except (psutil.Error, OSError):  # it may not be looked at, so it is there
        return True


def holder(path: Path) -> str | None:
    """Which process holds a lease that lies at `path`, for people; None for none, or a dead one of this host."""
    owner = lease(path).owner
    if owner is None:
        return None
    host = owner.hostname.partition("?")[0]
    if here(owner.hostname):
        return f"by process {owner.pid}" if _runs(owner.pid, path) else None
    with contextlib.suppress(OSError):
        silent = time.time() - path.stat().st_mtime
        if silent > LEASE_SECONDS:
            return f"by process {owner.pid} on {host}, without a sign of life for {silent / 60:.0f} min"
    return f"by process {owner.pid} on {host}"


class Claims:
    """The leases of one results folder."""

    def __init__(self, results: Path) -> None:
        self.folder = ResultsFolder(results).claims
        self.path = ResultsFolder(results).lease_path  # of a cell, by its hash
        self._waiting: dict[str, Taker] = {}

    def take(self, cell: str) -> SoftFileLease | None:
        """The lease of a cell, to be released; None while another process holds it. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        taker = self._waiting.setdefault(cell, Taker(self.path(cell)))
        held = taker.take()
        if held is not None:
            del self._waiting[cell]
        return held

    @contextlib.contextmanager
    def held(self, cell: str) -> Iterator[SoftFileLease | None]:
        """The lease of a cell, as `take` gives it, released in the end. Raises OSError."""
        lease = self.take(cell)
        try:
            yield lease
        finally:
            if lease is not None:
                with contextlib.suppress(OSError):
                    lease.release()

    def holder(self, cell: str) -> str | None:
        """Which process runs a cell, for people; writes nothing."""
        return holder(self.path(cell))

    def live(self) -> list[Path]:
        """The leases in the folder that are held."""
        return [path for path in sorted(self.folder.glob("*.lease")) if holder(path)]
