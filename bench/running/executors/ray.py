"""Cells on a Ray cluster: each cell is a task; what a lost worker or node was running, another runs again.

The nodes need this environment and a file system that they share (the present folder, data, results), at equal
paths. Results are records in the results folder, as always; Ray carries only names of cells and lines to show.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import ModuleType
from typing import Any

import yaml

from bench.core.errors import BenchError, Unavailable, UsageError
from bench.grid.cells import Cell, Plan, plan
from bench.grid.options import GridOptions, load_options
from bench.running.events import Event, Finished, Summary, Tell, parse_message
from bench.running.executors.base import (
    PASSED_ON,
    EngineOptions,
    Executor,
    Field,
    dump_options,
    left_to_do,
    register,
    required,
)
from bench.running.executors.worker import leave
from bench.running.outcomes import keep_failure, prepare_results
from bench.running.runner import run

ROOM = 64
"""At least this many tasks are handed over ahead of their turn, so that no node waits for this process."""

REACH_SECONDS = 10


class WorkerLost(BenchError):
    """The process or the machine that ran a cell ended, as often as it was tried again."""


@dataclass(frozen=True)
class _Job:
    """What a worker needs to make the same plan."""

    folder: str  # where relative paths begin
    options: str  # YAML
    force: bool


@register
class Ray(Executor):
    """A Ray cluster; each cell is a task, and `--jobs` above 1 bounds how many are under way at once."""

    name = "ray"
    options: Options

    class Options(EngineOptions):
        address: str | None = Field(
            None, description="address of an existing cluster (auto or HOST:PORT); without it, a local one"
        )
        cpus: float = Field(1, gt=0, description="cores per cell")
        gpus: float | None = Field(
            None, ge=0, description="GPUs per cell, 0.25 for four cells on one GPU (default: 1 if any)"
        )
        memory: float | None = Field(None, gt=0, description="GiB of memory that a cell reserves")
        retries: int = Field(3, ge=0, le=100, description="how often a cell is run again after its worker or node died")

    def check(self, options: GridOptions, *, force: bool) -> None:
        """See `Executor.check`."""
        if options.processes_per_cell > 1:
            raise UsageError(
                "--processes-per-cell is for --executor local and slurm: a Ray task is one process. "
                "Leave it out, or choose another executor"
            )
        required("ray", "ray")

    def run(self, plan: Plan, tell: Tell, *, force: bool = False, stop: Callable[[], bool] = lambda: False) -> Summary:
        """See `Executor.run`. KeyboardInterrupt cancels what is under way.

        Raises Unavailable without Ray or without the named cluster, BenchError when workers cannot make the plan.
        """
        ray = required("ray", "ray")
        prepare_results(plan.options.results)
        summary = Summary()
        left = left_to_do(plan, tell, summary, force=force)

        def finished(message: Finished) -> None:
            summary.add(message.status)
            tell(message)

        if left:
            with _connected(ray, self.options):
                job = _Job(os.getcwd(), dump_options(plan, elsewhere=True), force)
                _run_tasks(ray, _task(ray, self.options), job, left, plan, finished)
        return summary


def _run_tasks(
    ray: ModuleType, task: Any, job: _Job, cells: list[Cell], plan: Plan, tell: Callable[[Finished], None]
) -> None:
    """Hand cells over in the plan's order, a bounded number ahead, and tell how each ended."""
    jobs = plan.options.jobs
    room = jobs if jobs > 1 else max(ROOM, 2 * int(ray.cluster_resources().get("CPU", 1)))
    waiting = iter(cells)
    handed: dict[Any, Cell] = {}
    shared = ray.put(job)
    try:
        while True:
            for cell in islice(waiting, room - len(handed)):
                handed[task.remote(shared, cell.key.hash)] = cell
            if not handed:
                return
            for reference in ray.wait(list(handed))[0]:
                cell = handed.pop(reference)
                tell(_outcome(ray, reference, cell, plan))
    finally:
        for reference in handed:
            ray.cancel(reference, force=True)


def _outcome(ray: ModuleType, reference: Any, cell: Cell, plan: Plan) -> Finished:
    try:
        message = parse_message(ray.get(reference))
    except ray.exceptions.RayTaskError as error:  # not the cell, whose own errors are rows: the worker itself
        cause = getattr(error, "cause", None) or error
        raise BenchError(f"a Ray worker could not run {cell.label}: {type(cause).__name__}: {cause}") from None
    except ray.exceptions.RayError as error:
        why = " ".join(str(error).split())[:300]
        lost = WorkerLost(f"its worker was lost each time that it ran: {type(error).__name__}: {why}")
        message = Event.ended(cell, keep_failure(cell, plan.options.results, lost)).message
    if not isinstance(message, Finished):
        raise BenchError(
            f"a Ray worker did not say how {cell.label} ended: its code differs from the code here, install the same"
        )
    # It was not cached when it was handed over: then the worker died after its last write.
    return message.model_copy(update={"status": "done"}) if message.status == "cached" else message


@contextlib.contextmanager
def _connected(ray: ModuleType, engine: Ray.Options) -> Iterator[None]:
    """A connection to the named cluster, or a cluster on this machine for as long as the grid runs."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a cell without a GPU share sees no GPU
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    local = {"include_dashboard": False} if engine.address is None else {}
    try:
        _reach(engine.address)
        ray.init(
            address=engine.address or "local",
            logging_level="ERROR",
            log_to_driver=False,
            runtime_env={"env_vars": passed} if passed else None,
            **local,
        )
    except Exception as error:
        raise Unavailable(
            f"no Ray cluster at '{engine.address}' ({' '.join(str(error).split())[:200]}): start one with "
            "`ray start --head`, or leave address out for a cluster on this machine"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """Raise OSError when nothing answers at HOST:PORT: Ray itself would try for many minutes."""
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()


def _task(ray: ModuleType, engine: Ray.Options) -> Any:
    """The remote function with the resources of one cell."""
    gpus = engine.gpus
    if gpus is None:
        gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 and os.environ.get("BENCH_CPU") != "1" else 0
    memory = {"memory": int(engine.memory * 2**30)} if engine.memory else {}
    # Not by `.options`: only so does Ray give each task with a GPU a process of its own, whose memory ends with it.
    return ray.remote(
        num_cpus=engine.cpus, num_gpus=gpus, max_retries=engine.retries, scheduling_strategy="SPREAD", **memory
    )(_run_cell)


def _run_cell(job: _Job, digest: str) -> str:
    """On a worker: run one cell of the plan and return the line that says how it ended."""
    os.chdir(job.folder)
    signal.signal(signal.SIGTERM, leave)
    plan, cells = _planned(job.options)
    if digest not in cells:
        raise BenchError(
            f"the plan made on {socket.gethostname()} has no cell {digest[:12]}: code, data or encoder differ there"
        )
    told: list[str] = []

    def listen(event: Event) -> None:
        if event.kind == "finished":
            told.append(event.message.line)

    run(Plan(plan.options, [cells[digest]]), listen, force=job.force, prepare=False)
    return told[-1]


@functools.lru_cache(maxsize=1)
def _planned(text: str) -> tuple[Plan, dict[str, Cell]]:
    """The plan and its cells by hash, made once by each worker process."""
    made = plan(load_options(yaml.safe_load(text)))
    return made, {cell.key.hash: cell for cell in made.cells}
