"""A time limit on a cell within its process. A process that does not even come back from native code is ended by
the one that started it (bench.running.executors.local)."""

from __future__ import annotations

import contextlib
import inspect
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

AGAIN_SECONDS = 5.0  # a timeout that hits a place where exceptions are swallowed comes again

IMPORT_SECONDS = 0.1  # how soon it comes again where it hit an import, which must not be left half done
LONGEST_IMPORT = 60.0  # an import that takes longer beyond the time limit is left all the same


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
    armed, outside, begun = True, _imports(inspect.currentframe()), time.monotonic()

    def ring(_: int, frame: FrameType | None) -> None:
        if not armed:
            return
        if _imports(frame) > outside and time.monotonic() - begun < seconds + LONGEST_IMPORT:
            signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS, AGAIN_SECONDS)
            return
        raise CellTimeout(f"timed out after {shown(seconds)} (--timeout)")

    previous = signal.signal(signal.SIGALRM, ring)
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


def _imports(frame: FrameType | None) -> int:
    """How many frames of Python's import machinery are among a frame and those that called it."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename == "<frozen importlib._bootstrap>"
        frame = frame.f_back
    return count
