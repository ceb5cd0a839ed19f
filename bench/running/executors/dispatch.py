"""From a plan to the engine that runs it: this process, workers on this machine, a Ray or a Slurm cluster."""

from __future__ import annotations

from collections.abc import Callable

from bench.cli.display import GridDisplay
from bench.core.errors import UsageError
from bench.grid.cells import Plan
from bench.grid.engines import Ray, Slurm, executor_of
from bench.running.executors.interrupt import drain_on_interrupt
from bench.running.runner import Summary
from bench.running.tracking import check_trackers
from bench.training import device


def execute(
    plan: Plan, display: GridDisplay, *, force: bool = False, draining: Callable[[], None] = lambda: None
) -> Summary:
    """Run a plan where its options say. Raises UsageError for options that do not go together.

    `draining` is called at the first Ctrl-C, after which what runs on this machine is finished.
    """
    options = plan.options
    engine = executor_of(options.executor)
    check_trackers(options.track)
    if isinstance(engine, Ray):
        if options.processes_per_cell > 1:
            raise UsageError(
                "--processes-per-cell is for --executor local and slurm: a Ray task is one process. "
                "Leave it out, or choose another executor"
            )
        from bench.running.executors.ray import run_on_ray

        return run_on_ray(plan, engine, display.facts, force=force)
    if isinstance(engine, Slurm):
        from bench.running.executors.slurm import run_on_slurm

        return run_on_slurm(plan, engine, display.facts, force=force)
    # A time limit needs a worker too: it can be killed.
    several = options.jobs > 1 or options.processes_per_cell > 1 or options.timeout is not None
    with drain_on_interrupt(draining) as stop:
        if several and device.processes() == 1:
            from bench.running.executors.local import run_workers

            return run_workers(plan, display.facts, force=force, stop=stop)
        from bench.running.runner import run

        return run(plan, display.listen, force=force, stop=stop)
