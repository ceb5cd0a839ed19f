"""From a plan to the executor that its options name.

Ctrl-C once: finish what is running, start nothing more. Ctrl-C twice, or SIGTERM: stop now.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from bench.grid.cells import Plan
from bench.grid.options import GridOptions
from bench.running.events import Summary, Tell
from bench.running.executors.base import Executor, executor_of
from bench.running.tracking import check_trackers


def check(options: GridOptions, *, force: bool = False) -> Executor:
    """The executor of a grid. Raises UsageError or Unavailable where the grid cannot be run as the options say."""
    executor = executor_of(options.executor)
    executor.check(options, force=force)
    check_trackers(options.track)
    return executor


def execute(plan: Plan, tell: Tell, *, force: bool = False, draining: Callable[[], None] = lambda: None) -> Summary:
    """Run a plan where its options say. Raises UsageError for options that do not go together.

    `tell` gets the messages of the grid (`bench.running.events`). `draining` is called at the first Ctrl-C, after
    which what runs on this machine is finished.
    """
    executor = check(plan.options, force=force)
    catch = drain_on_interrupt(draining) if executor.drains else contextlib.nullcontext(lambda: False)
    with catch as stop:
        return executor.run(plan, tell, force=force, stop=stop)


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
