"""A time limit on a cell within its process. A process that does not even come back from native code is ended by
the one that started it (bench.running.executors.local)."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

AGAIN_SECONDS = 5.0  # a timeout that hits a place where exceptions are swallowed comes again


class CellTimeout(BaseException):
    """A cell took longer than --timeout. Not an `Exception`: a method that catches those must not catch this."""


def shown(seconds: float) -> str:
    """A duration as --timeout takes it: 90s, 5m, 2h."""
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


@contextlib.contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raise CellTimeout in the block after this many seconds of wall time; only the main thread can keep time."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def ring(*_: object) -> None:
        if armed:
            raise CellTimeout(f"timed out after {shown(seconds)} (--timeout)")

    previous, begun = signal.signal(signal.SIGALRM, ring), time.monotonic()
    left, again = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)  # of a timer outside this one
    try:
        try:
            yield
        finally:
            armed = False  # from here on a late alarm does nothing
    finally:
        left = left and max(left - (time.monotonic() - begun), 1e-3)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, left, again)
