"""Local workers: every cell once, its facts shown once; a worker that dies costs one cell and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.core.errors import BenchError
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.running.executors import launch
from bench.running.executors import local as executors
from bench.running.executors.base import PASSED_ON
from bench.running.executors.local import dump_options, run_workers
from bench.running.executors.process import Worker
from bench.running.runner import run
from tests.conftest import records


@pytest.fixture
def make(reviews, instant, tiny_bert, tmp_path, monkeypatch):
    """Plan a grid of the instant method for two workers."""
    from methods import registry

    monkeypatch.chdir(tmp_path)

    def plan_of(**options):
        given = {"methods": "./instant.py[log=log.txt]", "tasks": "reviews.csv", "seeds": "1,2", "jobs": "2"}
        return plan(load_options(given | {"encoder": f"{tiny_bert}:frozen"} | options))

    yield plan_of
    registry.METHODS.forget()


@pytest.mark.parametrize("force", [False, True])
def test_two_workers_run_every_cell_once(make, force):
    Path("trap").touch()
    grid = make(methods="./instant.py[log=log.txt],./instant.py[trap=trap]")
    before = run(make(seeds="1"), lambda event: None).counts  # cells that are done already
    assert before == {"done": 2}
    Path("log.txt").unlink()
    shown = []
    summary = run_workers(grid, shown.append, force=force)
    ran = sorted(Path("log.txt").read_text(encoding="utf-8").splitlines())
    if force:
        assert summary.counts == {"done": 4, "failed": 4}
        assert ran == ["ann 1", "ann 2", "bob 1", "bob 2"]
    else:
        assert summary.counts == {"cached": 2, "done": 2, "failed": 4}
        assert ran == ["ann 2", "bob 2"]
    ended = [facts for facts in shown if facts.event == "finished"]
    assert sorted(facts.hash for facts in ended) == sorted(cell.key.hash for cell in grid.cells)
    assert sorted(record.status for record in records()) == ["done"] * 4 + ["failed"] * 4
    assert not list(Path("results").rglob("*.lease"))


def test_what_cells_share_is_computed_once_by_however_many_workers(make):
    """Embeddings are wanted by both workers in the same moment, training runs by several cells of a seed."""
    grid = make(methods="plain,npc,plain+ts,cr,dygen", llms="ann", epochs="2")
    assert run_workers(grid, lambda facts: None).counts == {"done": 10}
    computed = [use.hash for record in records() for use in record.stages if not use.reused]
    used = {use.hash for record in records() for use in record.stages}
    assert {use.name for record in records() for use in record.stages} >= {"embeddings", "plain run", "branches run"}
    assert sorted(computed) == sorted(used)


def test_a_worker_is_killed_with_processes_that_have_groups_of_their_own():
    """As torchrun starts those of one cell; left behind they would keep their GPUs."""
    start = "import subprocess as s, sys; print(s.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
    launched = subprocess.Popen(
        [sys.executable, "-c", f"{start}; sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, process_group=0,
    )  # fmt: skip
    below = psutil.Process(int(launched.stdout.readline()))
    Worker(1, launched).kill()
    launched.communicate()
    psutil.wait_procs([below], timeout=30)
    assert not below.is_running() or below.status() == psutil.STATUS_ZOMBIE


KILLER = '''"""Ends or hangs its own process, for one seed."""
import os, signal, time
import numpy as np
from methods.base import Field, Predictions, config
from methods.registry import register

@register
class Killer:
    """Uniform predictions, where it lives."""
    name = "killer"

    @config
    class Config:
        how: str = Field("die", description="die, or hang where no signal reaches it")

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        """Seed 2 does not end well."""
        if tools.seed == 2 and self.config.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if tools.seed == 2 and self.config.how == "hang":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGTERM])
            time.sleep(600)
        if tools.seed == 2:
            time.sleep(600)
        shape = np.full((1, task.num_classes), 1 / task.num_classes, np.float32)
        yield Predictions(1, shape.repeat(len(task.valid), 0), shape.repeat(len(task.test), 0))
'''


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("die", "WorkerDied: the worker process was ended by SIGKILL: the system may have run out of memory"),
        ("sleep", "timed out after 4s (--timeout)"),
        ("hang", "WorkerDied: timed out after 4s (--timeout) and did not respond: its process was killed"),
    ],
)
def test_a_cell_that_kills_or_hangs_its_worker_is_a_failed_row_and_the_others_finish(make, monkeypatch, how, reason):
    monkeypatch.setattr(executors, "GRACE_SECONDS", 2.0)
    Path("killer.py").write_text(KILLER, encoding="utf-8")
    grid = make(methods=f"./killer.py[how={how}]", llms="ann", seeds="1,2,3,4", jobs="1", timeout="4s")
    shown = []
    summary = run_workers(grid, shown.append)
    assert summary.counts == {"done": 3, "failed": 1}
    [failed] = [record for record in records() if record.status == "failed"]
    assert (failed.key.seed, failed.reason) == (2, reason)
    trace = failed.key.path(Path("results")).with_name(failed.error.traceback_file).read_text(encoding="utf-8")
    assert ("time.sleep(600)" in trace) == (how == "sleep"), "a traceback where Python could still give one"
    assert [facts.reason for facts in shown if getattr(facts, "status", "") == "failed"] == [reason]


def test_a_worker_whose_method_left_a_thread_behind_is_ended(make, monkeypatch):
    monkeypatch.setattr(executors, "GRACE_SECONDS", 1.0)
    source = Path("instant.py").read_text(encoding="utf-8")
    source = source.replace(
        "        known = task", "        threading.Thread(target=time.sleep, args=(45,)).start()\n        known = task"
    )
    Path("instant.py").write_text(f"import threading\n{source}", encoding="utf-8")
    shown = []
    assert run_workers(make(llms="ann", seeds="1"), shown.append).counts == {"done": 1}
    assert "did not end: a method may have left a thread running" in shown[-1].text


def test_failed_cells_run_again_or_stay_as_they_are(make):
    Path("trap").touch()
    parameters = "./instant.py[trap=trap]"
    assert run(make(methods=parameters), lambda event: None).counts == {"failed": 4}
    Path("trap").unlink()
    assert run_workers(make(methods=parameters, retry="none"), lambda facts: None).counts == {"failed": 4}
    assert run_workers(make(methods=parameters, retry="failed"), lambda facts: None).counts == {"done": 4}


def test_workers_that_cannot_start_are_said_with_their_last_words(make, monkeypatch):
    def dead(config, options, gpus):
        code = "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", code], text=True, process_group=0, **pipes)

    monkeypatch.setattr(executors, "start_worker", dead)
    with pytest.raises(BenchError, match=r"workers cannot start \(exit code 3\), 4 cells left:\nno such thing"):
        run_workers(make(), lambda facts: None)


def test_a_stop_finishes_what_is_in_hand_and_starts_nothing_more(make):
    grid = make(methods="./instant.py[log=log.txt,seconds=0.5]", llms="ann", seeds="1,2,3,4,5,6,7,8")
    started = []

    def show(facts):
        if facts.event == "started":
            started.append(facts.hash)

    summary = run_workers(grid, show, stop=lambda: len(started) >= 2)
    assert summary.stopped
    assert summary.counts == {"done": len(started)}
    assert 2 <= len(started) < 8


def test_an_interrupt_ends_the_workers_at_once(make):
    grid = make(methods="./instant.py[log=log.txt,seconds=300]")

    def interrupt(facts):
        if facts.event == "started":
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_workers(grid, interrupt)
    assert time.monotonic() - begun < 200
    assert records() == []


def test_workers_vanish_with_the_process_that_started_them(make, tiny_bert):
    make()
    words = ["--methods", "./instant.py[log=log.txt,seconds=300]", "--tasks", "reviews.csv", "--seeds", "1,2"]
    bench = Path(sys.executable).with_name("bench")
    command = [bench, "run", *words, "--encoder", f"{tiny_bert}:frozen", "--jobs", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    leases, deadline = [], time.monotonic() + 240
    while len(leases) < 2 and time.monotonic() < deadline:
        leases = list(Path("results/claims").glob("*.lease"))
        time.sleep(0.1)
    workers = {int(line[4:]) for lease in leases for line in lease.read_text().splitlines() if line.startswith("pid=")}
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while any(Path(f"/proc/{pid}/stat").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert time.monotonic() < deadline
    assert not list(Path("results/claims").glob("*.lease")), "they gave their cells back"


def test_workers_see_the_options_and_not_the_environment(make, monkeypatch):
    """Options are in the plan already; a second reading could only contradict them. Other variables are passed on."""
    seen = {}

    def spy(command, **options):
        seen.update(options, command=command)
        raise FileNotFoundError

    grid = make()
    for name in ("BENCH_SEEDS", "BENCH_PRESET", "BENCH_CONFIG"):
        monkeypatch.setenv(name, "9")
    for name in ("BENCH_CACHE_DIR", "BENCH_OFFLINE", "BENCH_CPU", "BENCH_OF_MINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setattr(launch, "cores", lambda: 6)
    monkeypatch.setattr(subprocess, "Popen", spy)
    with pytest.raises(FileNotFoundError):
        executors.start_worker(Path("grid.yaml"), grid.options, "GPU-1")
    assert not seen["env"].keys() & {"BENCH_SEEDS", "BENCH_PRESET", "BENCH_CONFIG"}
    assert seen["env"].keys() >= {"BENCH_CACHE_DIR", "BENCH_OFFLINE", "BENCH_CPU", "BENCH_OF_MINE"}
    assert {"BENCH_CACHE_DIR", "BENCH_OFFLINE", "BENCH_CPU"} < set(PASSED_ON)
    assert seen["env"]["OMP_NUM_THREADS"] == "3"
    assert seen["env"]["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    assert seen["command"][1:4] == ["-m", "bench", "run"]
    assert "jobs: 1" in dump_options(grid)
