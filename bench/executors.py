"""Where cells run: in this process, or in worker processes on this machine (several a cell where asked for).

Workers are `bench run` processes on the same plan and the same results folder: claims keep them from running a
cell twice, and a worker that dies frees its claim, so that another takes the cell over.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import yaml

from bench.errors import BenchError
from bench.grid import Plan
from bench.launch import gpu_groups, launcher, threads_each, visible_gpus
from bench.options import GridOptions
from bench.runner import Summary, status_of

Facts = Callable[[dict], None]


def run_workers(plan: Plan, show: Facts, *, force: bool = False) -> Summary:
    """Run a plan in `plan.options.jobs` workers; `show` gets every cell's facts once (see display.event_json).

    A worker is one process, or the `processes_per_cell` processes of an `accelerate launch`.
    Raises BenchError when every worker died before the grid was finished. KeyboardInterrupt ends the workers.
    """
    options, jobs = plan.options, plan.options.jobs
    processes = options.processes_per_cell
    gpus = gpu_groups(jobs, processes, visible_gpus())
    before = set() if force else {c.key.hash for c in plan.cells if status_of(c, options.results)[0] == "done"}
    summary, seen = Summary(), set()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "grid.yaml")
        config.write_text(dump_options(options), encoding="utf-8")
        # With --force, cells are dealt out once and for all: a claim alone would let two workers run one in turn.
        workers = [
            _start(config, jobs, worker if force else None, processes=processes, gpus=gpus[worker])
            for worker in range(jobs)
        ]
        events: SimpleQueue = SimpleQueue()
        for worker in workers:
            threading.Thread(target=_read, args=(worker, events), daemon=True).start()
        try:
            alive = len(workers)
            while alive:
                facts = events.get()
                if facts is None:
                    alive -= 1
                elif facts["event"] == "finished" and facts["hash"] not in seen:
                    seen.add(facts["hash"])
                    if facts["status"] == "cached" and facts["hash"] not in before:
                        facts["status"] = "done"
                    summary.add(facts["status"])
                    show(facts)
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.terminate()
            for worker in workers:
                worker.wait()
    missing = {cell.key.hash for cell in plan.cells} - seen
    if missing:
        codes = sorted({worker.returncode for worker in workers})
        raise BenchError(f"the workers ended (exit codes {codes}) with {len(missing)} cells left: run it again")
    return summary


def dump_options(options: GridOptions) -> str:
    """The options as a YAML file that `--config` reads back to the same grid, for one worker."""
    values = options.model_dump(mode="json", exclude_none=True)
    values |= {"jobs": 1, "processes_per_cell": 1, "executor": "local"}
    return yaml.safe_dump(values, allow_unicode=True)


def _start(
    config: Path, jobs: int, part: int | None, *, processes: int = 1, gpus: dict[str, str] | None = None
) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    kept = {name: os.environ[name] for name in ("BENCH_CPU",) if name in os.environ}
    environment |= kept | threads_each(jobs * processes) | (gpus or {})
    command = [*launcher(processes), "run", "--config", str(config), "--log-json", "--worker"]
    if part is not None:
        command += ["--force", "--part", f"{part}/{jobs}"]
    # A process group of its own: Ctrl-C reaches this process alone, which then ends its workers.
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        env=environment, process_group=0,
    )  # fmt: skip


def _read(worker: subprocess.Popen, events: SimpleQueue) -> None:
    for line in worker.stdout:
        try:
            facts = json.loads(line)
        except ValueError:
            continue
        if isinstance(facts, dict) and "event" in facts and "hash" in facts:
            events.put(facts)
    events.put(None)
