"""Worker processes: every cell once, its facts shown once, and a clear word when the workers die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import executors
from bench.errors import BenchError
from bench.executors import dump_options, run_workers
from bench.grid import plan
from bench.options import load_options
from bench.runner import run
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
    registry._forget("bench_user_method_")


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
    assert sorted(facts["hash"] for facts in shown) == sorted(cell.key.hash for cell in grid.cells)
    assert sorted(record.status for record in records()) == ["done"] * 4 + ["failed"] * 4


def test_workers_that_die_are_said_with_what_is_left(make, monkeypatch):
    def dead(config, jobs, part, **_):
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(executors, "_start", dead)
    with pytest.raises(BenchError, match=r"the workers ended \(exit codes \[3\]\) with 4 cells left: run it again"):
        run_workers(make(), lambda facts: None)


def test_an_interrupt_ends_the_workers(make, monkeypatch):
    started = []

    def sleeper(config, jobs, part, **_):
        line = json.dumps({"event": "finished", "status": "done", "hash": "x"})
        code = f"import time; print('{line}', flush=True); time.sleep(600)"
        started.append(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True))
        return started[-1]

    def interrupt(facts):
        raise KeyboardInterrupt

    monkeypatch.setattr(executors, "_start", sleeper)
    with pytest.raises(KeyboardInterrupt):
        run_workers(make(), interrupt)
    assert len(started) == 2
    assert all(worker.poll() is not None for worker in started)


def test_workers_see_the_options_and_not_the_environment(make, monkeypatch):
    """BENCH_* variables are in the options already; a second reading could only contradict them."""
    seen = {}

    def spy(command, **options):
        seen.update(options, command=command)
        raise FileNotFoundError

    monkeypatch.setenv("BENCH_SEEDS", "9")
    monkeypatch.setattr(executors.subprocess, "Popen", spy)
    with pytest.raises(FileNotFoundError):
        run_workers(make(), lambda facts: None)
    assert "BENCH_SEEDS" not in seen["env"]
    assert seen["env"]["OMP_NUM_THREADS"] == str(max(1, os.cpu_count() // 2))
    assert seen["command"][1:4] == ["-m", "bench", "run"]
    assert "jobs: 1" in dump_options(make().options)
