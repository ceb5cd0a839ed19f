"""Where cells run: in this process, or in several worker processes on this machine.

Workers are `bench run --worker` processes (see the module `worker`) on the same plan and the same results folder.
This process deals cells out one by one, so it alone decides what runs when: a worker that dies costs the cell in its
hand, which becomes a failed row, and is replaced.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

from bench.core.deadline import shown
from bench.core.errors import BenchError
from bench.grid.cells import Cell, Plan, group_of
from bench.running.events import Event, Finished, Message, Progress, Reply, Started, Summary, Tell, Text
from bench.running.executors.base import Executor, dump_options, register
from bench.running.executors.launch import gpu_groups, visible_gpus
from bench.running.executors.process import Worker, death, read_errors, read_events, start_worker
from bench.running.executors.queue import Gpu, Memory, Queue, find_gpus
from bench.running.outcomes import keep_failure, prepare_results
from bench.running.runner import WAIT_SECONDS, Session, records_before, run, run_one, settled
from bench.store.claims import Claims
from bench.store.records import Record, read_record
from bench.training import device, distributed

GRACE_SECONDS = 30.0
"""How long a worker may take to give a cell up after --timeout, or to end after its last one, before it is killed."""


class WorkerDied(Exception):
    """A worker process ended while it ran a cell."""


@register
class Local(Executor):
    """This machine: one process, or `--jobs` workers."""

    name = "local"
    drains = True

    def run(self, plan: Plan, tell: Tell, *, force: bool = False, stop: Callable[[], bool] = lambda: False) -> Summary:
        """See `Executor.run`. A time limit needs a worker too: it can be killed."""
        options = plan.options
        several = options.jobs > 1 or options.processes_per_cell > 1 or options.timeout is not None
        if several and distributed.processes() == 1:
            return run_workers(plan, tell, force=force, stop=stop)
        return run(plan, lambda event: tell(event.message), force=force, stop=stop)


def run_workers(plan: Plan, tell: Tell, *, force: bool = False, stop: Callable[[], bool] = lambda: False) -> Summary:
    """`Executor.run` in `plan.options.jobs` workers, each of `processes_per_cell` processes.

    Raises BenchError when workers cannot be started. KeyboardInterrupt ends the workers at once.
    """
    prepare_results(plan.options.results)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "grid.yaml")
        config.write_text(dump_options(plan), encoding="utf-8")
        pool = Pool(plan, config, tell, force)
        try:
            pool.run(stop)
        finally:
            pool.end()
    return pool.summary


class Pool:
    """The dealer of `run_workers`."""

    def __init__(self, plan: Plan, config: Path, tell: Tell, force: bool) -> None:
        self.plan, self.config, self.tell = plan, config, tell
        self.session = Session(plan.options, self._listen, records_before(plan), force)
        self.summary = Summary()
        self.events: SimpleQueue = SimpleQueue()
        self.workers: list[Worker] = []
        self.queue = Queue(())
        self.held: list[Cell] = []  # cells in the hands of another `bench run`
        self.told = False  # that it waits for those
        self.looked = time.monotonic()  # when those were tried last
        self.memory = Memory()
        self.gpu_groups = gpu_groups(plan.options.jobs, plan.options.processes_per_cell, visible_gpus())
        self.gpus: list[Gpu] = []  # those that single-process cells are packed on

    def run(self, stop: Callable[[], bool]) -> None:
        """Deal until every cell has ended, or until `stop()` and what is in hand has."""
        self.queue = Queue(cell for cell in self.plan.cells if not self._known(cell))
        if len(self.queue) and self.plan.options.processes_per_cell == 1 and device.device_type() == "cuda":
            self.gpus = find_gpus()
        for number in range(min(self.plan.options.jobs, len(self.queue))):
            self._start(number)
        while self.workers:
            self.summary.stopped = stopped = stop()
            if not stopped and self.held and time.monotonic() - self.looked > WAIT_SECONDS:
                self._look_again()
            for worker in list(self.workers):
                if worker.ready and worker.cell is None:
                    self._deal(worker, stopped)
            with contextlib.suppress(Empty):
                worker, message = self.events.get(timeout=0.2)
                self._take(worker, message)
            self._check_time()
        self.summary.stopped = self.summary.stopped and bool(len(self.queue) or self.held)

    def end(self) -> None:
        """End every worker that is left: first asked, then killed."""
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        for worker in self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(timeout=10)
            worker.kill()
            worker.process.wait()

    def _known(self, cell: Cell) -> bool:
        """Whether a cell needs no run (or cannot run); if so it is counted and shown."""
        known = settled(cell, self.session)
        if known is None and cell.skip:
            return run_one(cell, self.session) is not None
        if known is None:
            return False
        self.memory.learn(known.record)
        self._listen(Event.ended(cell, known))
        return True

    def _listen(self, event: Event) -> None:
        if event.kind == "finished":
            self.summary.add(event.status)
        self.tell(event.message)

    def _start(self, number: int) -> None:
        gpu = min(self.gpus, key=lambda gpu: (sum(w.gpu is gpu for w in self.workers), -gpu.free), default=None)
        gpus = gpu.uuid if gpu else self.gpu_groups[number].get("CUDA_VISIBLE_DEVICES", "")
        worker = Worker(number, start_worker(self.config, self.plan.options, gpus), gpu)
        self.workers.append(worker)
        for read in (read_events, read_errors):
            threading.Thread(target=read, args=(worker, self.events), daemon=True).start()

    def _deal(self, worker: Worker, stopped: bool) -> None:
        """Give a free worker its next cell, or send it home when there will be none."""
        busy = {other.group for other in self.workers if other.cell and other.group}
        gpu = worker.gpu
        fits = (lambda cell: gpu.fits(self.memory.need(cell, gpu))) if gpu else (lambda cell: True)
        cell = None if stopped else self.queue.next(worker.group, busy, fits)
        if cell is not None:
            hash = cell.key.hash
            worker.cell, worker.group, worker.since = cell, group_of(cell), time.monotonic()
            if gpu:
                gpu.dealt[hash] = self.memory.need(cell, gpu)
            self._tell(worker, {"hash": hash, "force": self.session.force, "before": self.session.before.get(hash)})
        elif stopped or not (len(self.queue) or self.held):
            worker.ready, worker.leaving, worker.since = False, True, time.monotonic()
            self._tell(worker, {"stop": True})

    def _tell(self, worker: Worker, order: dict) -> None:
        assert worker.process.stdin is not None  # a pipe, see `start_worker`
        with contextlib.suppress(BrokenPipeError):  # it died: its end of file is on the way
            worker.process.stdin.write(json.dumps(order) + "\n")
            worker.process.stdin.flush()

    def _take(self, worker: Worker, message: Message | None) -> None:
        """One message of a worker; None is its end."""
        match message:
            case None:
                self._ended(worker)
            case Reply(event="ready"):
                worker.ready = True
            case Reply(event="held"):
                self.held.append(self._free(worker))
            case Reply():
                error = WorkerDied("the data or the methods changed while workers were starting")
                self._fail(self._free(worker), error)
            case Finished():
                cell = self._free(worker)
                if worker.gpu and message.status == "done":
                    record = read_record(cell.key.path(self.plan.options.results))
                    self.memory.learn(record if isinstance(record, Record) else None)
                self.summary.add(message.status)
                self.tell(message.model_copy(update={"worker": worker.number}))
            case Started() | Progress() if not worker.leaving:
                self.tell(message.model_copy(update={"worker": worker.number}))
            case Text() if not worker.leaving:
                self.tell(message)

    def _free(self, worker: Worker) -> Cell:
        cell, worker.cell = worker.cell, None
        assert cell is not None  # what a worker answers is about its current cell
        if worker.gpu:
            worker.gpu.dealt.pop(cell.key.hash, None)
        return cell

    def _ended(self, worker: Worker) -> None:
        """A worker is gone: its cell failed unless it finished, and another worker takes its place."""
        code = worker.process.wait()
        self.workers.remove(worker)
        cell = worker.cell
        if cell is not None:
            self._fail(self._free(worker), WorkerDied(worker.killed or death(code)), "".join(worker.errors))
        elif not worker.ready and not worker.leaving and code != 0 and worker.group is None:
            if not self.workers:
                left = len(self.queue) + len(self.held)
                raise BenchError(f"workers cannot start (exit code {code}), {left} cells left:\n{worker.last_words}")
            return
        lost = cell is not None or code != 0
        if lost and not self.summary.stopped and len(self.queue) + len(self.held) > len(self.workers):
            self._start(worker.number)

    def _fail(self, cell: Cell, error: WorkerDied, trace: str = "") -> None:
        claim = Claims(self.plan.options.results).take(cell.key.hash)
        if claim is None:  # yet another process has taken the cell over
            self.held.append(cell)
            return
        with claim:
            if self._known(cell):
                return
            how = keep_failure(cell, self.plan.options.results, error, trace or f"{error}\n")
        self._listen(Event.ended(cell, how))

    def _look_again(self) -> None:
        """Cells that another run held: done by now, or to be tried again."""
        self.looked = time.monotonic()
        tried, self.held = self.held, []
        if not self.told and not len(self.queue) and all(worker.cell is None for worker in self.workers):
            self.told = True
            holder = self.session.claims.holder(tried[0].key.hash) or ""
            text = f"waiting for cells that another run holds: {len(tried)} cells, the first {holder}"
            self.tell(Text(text=text))
        for cell in tried:
            if not self._known(cell):
                self.queue.add(cell)

    def _check_time(self) -> None:
        """Kill a worker that hangs where no signal reaches it: with a cell far beyond its time, or with none left."""
        limit = self.plan.options.timeout
        for worker in self.workers:
            if worker.leaving and not worker.killed and time.monotonic() - worker.since > GRACE_SECONDS:
                worker.killed = "a worker with nothing left to do did not end: a method may have left a thread running"
                self.tell(Text(text=f"{worker.killed}. It was killed; its results are kept"))
                worker.kill()
            if limit and worker.cell and not worker.killed and time.monotonic() - worker.since > limit + GRACE_SECONDS:
                worker.killed = (
                    f"timed out after {shown(limit)} (--timeout) and did not respond: its process was killed"
                )
                worker.kill()
