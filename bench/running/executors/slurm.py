"""Cells on a Slurm cluster through submitit: an array of jobs, each of which takes cells until none is left.

A job is an ordinary `bench run` of the same grid: claims keep jobs from running a cell twice. Near its
time limit (or when it is preempted) a job is queued again and goes on with what is not done. The nodes need this
environment and a file system that they share, at equal paths. submitit writes its job scripts and pickled calls of
`Worker` to results/slurm; they are read by these jobs alone, never by bench.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from bench.core.errors import BenchError, Unavailable, UsageError
from bench.core.files import write_atomically
from bench.grid.cells import Plan
from bench.grid.options import GridOptions
from bench.running.events import Finished, Message, Summary, Tell, parse_message
from bench.running.executors.base import (
    EngineOptions,
    Executor,
    Field,
    dump_options,
    left_to_do,
    register,
    required,
    worker_environment,
)
from bench.running.executors.launch import launcher
from bench.running.executors.slurm_jobs import JOBS_FILE, in_queue
from bench.running.outcomes import prepare_results
from bench.store.folder import ResultsFolder

POLL_SECONDS = 2.0
STOP_SECONDS = 20.0
GRACE_SECONDS = 30.0
"""How long a job may be out of the queue before it counts as ended: it is for a moment while it is queued again."""


@dataclass
class Worker:
    """What a job does; submitit calls it, and asks `checkpoint` what to do when the job is about to be ended."""

    command: list[str]
    folder: str
    events: str  # file that gets one JSON line per event

    def __call__(self) -> int:
        """Run `bench run` to its end and return its exit code; raises RuntimeError when it broke."""
        with open(self.events, "ab") as events:
            child = subprocess.Popen(
                self.command, cwd=self.folder, env=worker_environment(), stdout=events, stdin=subprocess.DEVNULL,
                preexec_fn=_deaf,
            )  # fmt: skip
            try:
                code = child.wait()
            finally:  # also when this process is told to stop: what is half done is done again by the next run
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.terminate()
                    child.wait(timeout=STOP_SECONDS)
        if code not in (0, 1):  # 1: some cells failed, which their records say
            raise RuntimeError(f"bench run ended with exit code {code}: see the log above")
        return code

    def checkpoint(self) -> Any:
        """The same again, in a job that is queued again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _deaf() -> None:
    """The warning before a time limit goes to every process of a job; it is for the one that queues it again."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


@register
class Slurm(Executor):
    """A Slurm cluster, through submitit: an array of `--jobs` jobs; each takes cells until none is left."""

    name = "slurm"
    options: Options

    class Options(EngineOptions):
        partition: str | None = Field(None, description="partition of the cluster")
        account: str | None = Field(None, description="account that is charged")
        qos: str | None = Field(None, description="quality of service")
        constraint: str | None = Field(None, description="features that a node must have")
        hours: float = Field(4, gt=0, description="time limit of a job; it is queued again when that is over")
        requeues: int = Field(20, ge=0, description="how often a job is queued again after its time limit")
        cpus: int = Field(1, ge=1, description="cores per job")
        gpus: int = Field(0, ge=0, description="GPUs per job")
        memory: float | None = Field(None, gt=0, description="GiB of memory per job")
        wait: bool = Field(True, description="false: submit and return; `bench status` shows the jobs")
        cluster: Literal["slurm", "local"] = Field("slurm", description="local: plain processes here, to try it out")

    def check(self, options: GridOptions, *, force: bool) -> None:
        """See `Executor.check`."""
        if force:
            raise UsageError("--force is for --executor local and ray: with slurm, name another folder with --results")
        required("submitit", "slurm")

    def run(self, plan: Plan, tell: Tell, *, force: bool = False, stop: Callable[[], bool] = lambda: False) -> Summary:
        """See `Executor.run`. With `wait=false` it returns once the jobs are queued; Ctrl-C cancels the jobs.

        Raises Unavailable without submitit or Slurm, BenchError when the jobs ended before the grid was finished.
        """
        submitit = required("submitit", "slurm")
        prepare_results(plan.options.results)
        summary = Summary()
        left = {cell.key.hash: cell for cell in left_to_do(plan, tell, summary)}
        if not left:
            return summary
        jobs, folder = _submit(submitit, plan, self.options, min(plan.options.jobs, len(left)))
        if not self.options.wait:
            for _ in left:
                summary.add("queued")
            return summary
        try:
            for message in _finished(jobs, folder, self.options):
                if left.pop(message.hash, None) is not None:
                    if message.status == "cached":  # by another job, which was ended before it could say so
                        message = message.model_copy(update={"status": "done"})
                    summary.add(message.status)
                    tell(message)
                if not left:
                    break
        except BaseException:
            for job in jobs:
                job.cancel(check=False)
            raise
        if left:
            raise BenchError(f"the jobs ended with {len(left)} cells left (logs: {folder}): run the same command again")
        return summary


def _submit(submitit: ModuleType, plan: Plan, engine: Slurm.Options, count: int) -> tuple[list, Path]:
    """The jobs of one array and the folder with their logs; the folder also says which jobs they are."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%f")
    folder = (ResultsFolder(plan.options.results).slurm / stamp).absolute()
    try:
        requeues = {f"{engine.cluster}_max_num_timeout": engine.requeues}
        executor = submitit.AutoExecutor(folder=folder, cluster=engine.cluster, **requeues)
    except RuntimeError as error:
        raise Unavailable(
            f"Slurm is not here ({error}): run this where `sbatch` works, or use --executor local"
        ) from None
    grid = dump_options(plan, elsewhere=True, processes_per_cell=plan.options.processes_per_cell)
    write_atomically(folder / "grid.yaml", grid.encode())
    executor.update_parameters(**_parameters(engine))
    command = [*launcher(1), "run", "--config", str(folder / "grid.yaml"), "--log-json", "--one-round"]
    workers = [Worker(command, os.getcwd(), str(folder / f"events-{number}.jsonl")) for number in range(count)]
    try:
        with executor.batch():
            jobs = [executor.submit(worker) for worker in workers]
    except (subprocess.CalledProcessError, submitit.core.utils.FailedJobError) as error:
        raise BenchError(f"Slurm refused the jobs: {' '.join(str(error).split())[:500]}") from None
    facts = [
        {"id": job.job_id, "log": str(job.paths.stderr), "events": worker.events}
        for job, worker in zip(jobs, workers, strict=True)
    ]
    text = json.dumps({"cluster": engine.cluster, "submitted": stamp, "jobs": facts}, indent=1)
    write_atomically(folder / JOBS_FILE, text.encode())
    return jobs, folder


def _parameters(engine: Slurm.Options) -> dict:
    """The engine's parameters in submitit's words."""
    values = {"timeout_min": max(1, round(engine.hours * 60)), "cpus_per_task": engine.cpus, "name": "bench"}
    given = {"mem_gb": engine.memory, "gpus_per_node": engine.gpus or None}
    if engine.cluster == "slurm":
        given |= {f"slurm_{name}": getattr(engine, name) for name in ("partition", "account", "qos", "constraint")}
        values["slurm_additional_parameters"] = {"requeue": True}
    return values | {name: value for name, value in given.items() if value is not None}


def _finished(jobs: list, folder: Path, engine: Slurm.Options) -> Iterator[Finished]:
    """How cells ended, as the jobs report it, until every job has ended."""
    read = dict.fromkeys((folder / f"events-{number}.jsonl" for number in range(len(jobs))), 0)
    last_seen, here = time.monotonic(), engine.cluster == "local"
    while True:
        ended = all(job.done() for job in jobs) if here else not in_queue([job.job_id for job in jobs])
        for path in read:
            messages, read[path] = _new_messages(path, read[path])
            yield from (message for message in messages if isinstance(message, Finished))
        if not ended:
            last_seen = time.monotonic()
        elif here or time.monotonic() - last_seen > GRACE_SECONDS:
            return
        time.sleep(0.2 if here else POLL_SECONDS)


def _new_messages(path: Path, start: int) -> tuple[list[Message], int]:
    """The messages in the whole lines of a file from a position on, and the position behind them."""
    if not path.exists():
        return [], start
    with path.open("rb") as file:
        file.seek(start)
        text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    found = (parse_message(line) for line in whole.splitlines())
    return [message for message in found if message is not None], start + len(whole)
