"""A worker process on this machine: how it is started, what it says and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import psutil

from bench.grid.cells import Cell
from bench.grid.options import GridOptions
from bench.running.events import Text, parse_message
from bench.running.executors.base import worker_environment
from bench.running.executors.launch import launcher, threads_each
from bench.running.executors.queue import Gpu


@dataclass
class Worker:
    """One worker process and what it has in hand."""

    number: int
    process: subprocess.Popen
    gpu: Gpu | None = None
    ready: bool = False
    leaving: bool = False  # it was told to stop: what it says while it ends is of no interest
    cell: Cell | None = None
    group: tuple | None = None  # of the cell in hand, or of the last one
    since: float = 0.0  # monotonic, when the cell was dealt
    killed: str = ""  # why this process killed it
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=200))  # the last lines of its standard error

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error."""
        return "".join(list(self.errors)[-5:]).strip() or "it wrote nothing to its standard error"

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it and all processes below it: torchrun gives those of one cell process groups of their own."""
        running = self.process.poll() is None
        below = psutil.Process(self.process.pid).children(recursive=True) if running else []
        self.signal(signal.SIGKILL)
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def death(code: int) -> str:
    """Why a process is gone, by its exit code."""
    if code >= 0:
        return f"the worker process ended with exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        hint = ": the system may have run out of memory" if name == "SIGKILL" else ""
        return f"the worker process was ended by {name}{hint}"
    return f"the worker process was ended by signal {-code}"


def start_worker(config: Path, options: GridOptions, gpus: str) -> subprocess.Popen:
    """A worker with its share of the CPU threads and its GPUs (as CUDA_VISIBLE_DEVICES takes them; "": all)."""
    environment = worker_environment() | threads_each(options.jobs * options.processes_per_cell)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus
    command = [*launcher(options.processes_per_cell), "run", "--config", str(config), "--worker"]
    # A process group of its own: Ctrl-C reaches this process alone, which then ends its workers.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", errors="replace", env=environment, process_group=0,
    )  # fmt: skip


def read_events(worker: Worker, events: SimpleQueue) -> None:
    """Put what a worker says into `events`, in the end None; for a thread of its own."""
    assert worker.process.stdout is not None
    for line in worker.process.stdout:
        if (message := parse_message(line)) is not None:
            events.put((worker, message))
    events.put((worker, None))


def read_errors(worker: Worker, events: SimpleQueue) -> None:
    """Put what a worker writes to its standard error into `events`, and keep the last lines; likewise."""
    assert worker.process.stderr is not None
    for line in worker.process.stderr:
        worker.errors.append(line)
        events.put((worker, Text(text=line.rstrip("\n"))))
