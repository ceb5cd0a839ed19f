"""Ctrl-C once: finish what is running, start nothing more. Ctrl-C twice, or SIGTERM: stop now."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def drain_on_interrupt(say: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Yields whether a stop was asked for. `say` is called at the first Ctrl-C; the second raises KeyboardInterrupt."""
    asked = False

    def interrupt(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        say()

    def terminate(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: asked
        return
    before = {signal.SIGINT: signal.signal(signal.SIGINT, interrupt)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, terminate)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
