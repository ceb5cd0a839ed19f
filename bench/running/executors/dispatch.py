"""From a plan to the executor that its options name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from bench.grid.cells import Plan
from bench.running.events import Summary, Tell
from bench.running.executors.base import executor_of
from bench.running.executors.interrupt import drain_on_interrupt
from bench.running.tracking import check_trackers


def execute(plan: Plan, tell: Tell, *, force: bool = False, draining: Callable[[], None] = lambda: None) -> Summary:
    """Run a plan where its options say. Raises UsageError for options that do not go together.

    `tell` gets the messages of the grid (`bench.running.events`). `draining` is called at the first Ctrl-C, after
    which what runs on this machine is finished.
    """
    executor = executor_of(plan.options.executor)
    check_trackers(plan.options.track)
    catch = drain_on_interrupt(draining) if executor.drains else contextlib.nullcontext(lambda: False)
    with catch as stop:
        return executor.run(plan, tell, force=force, stop=stop)
