"""Notes which files a method opens by itself: an audit hook that listens while the method's own code runs.

Python tells the hook of every file that is opened through it (`open`, `os.open`, pathlib, numpy, pandas, torch.load).
It is not told of files that compiled code opens itself (pyarrow, safetensors, polars), nor of what other processes do.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

CODE = (".py", ".pyc", ".so", ".pyd")
"""Endings of files that Python opens to import them; they are not noted."""

_listening: list[Watch] = []
_END = object()


class Watch:
    """Notes the files opened inside `with watch:`, by this thread and by threads begun since the first time.

    Threads that were there before (a heartbeat, another grid) are not the method's. May be entered again and again;
    the real paths gather in `opened`, the set that was given.
    """

    def __init__(self, opened: set[str] | None = None) -> None:
        self.opened = set() if opened is None else opened
        self._thread: int | None = None
        self._before: frozenset[int | None] = frozenset()

    def __enter__(self) -> Watch:
        _install()
        if self._thread is None:
            self._before = frozenset(thread.ident for thread in threading.enumerate())
        self._thread = threading.get_ident()
        _listening.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _listening.remove(self)

    def hears(self, thread: int) -> bool:
        """Whether what a thread opens counts."""
        return thread == self._thread or thread not in self._before

    def steps(self, start: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        """What `start()` yields; noted is only what is opened while it runs, not between its steps."""
        with self:
            steps = iter(start())
        while True:
            with self:
                step = next(steps, _END)
            if step is _END:
                return
            yield step


@functools.cache
def _install() -> None:
    """Hooks cannot be taken back, so there is one per process, which does nothing while no method is watched."""
    sys.addaudithook(_note)


def _note(event: str, arguments: tuple) -> None:
    if event != "open" or not _listening:
        return
    try:
        path = os.path.realpath(os.fsdecode(arguments[0]))  # now: a link may be gone later
    except (OSError, TypeError, ValueError):  # a number of an open file, or a path that cannot be
        return
    if path.endswith(CODE) or os.path.isdir(path):
        return
    thread = threading.get_ident()
    for watch in tuple(_listening):
        if watch.hears(thread):
            watch.opened.add(path)
