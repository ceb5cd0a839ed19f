"""A grid as Slurm jobs: through submitit's local executor always, and on a real one-node Slurm where it can be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.core.errors import BenchError, Unavailable, UsageError
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.running.executors.base import executor_of
from bench.running.executors.slurm_jobs import JOBS_FILE, job_lines
from bench.running.runner import run
from tests.conftest import records

SCRIPT = Path(__file__).parent / "slurm" / "one_node.sh"


@pytest.fixture
def make(reviews, instant, tiny_bert, tmp_path, monkeypatch):
    """Plan a grid of the instant method for two jobs."""
    from methods import registry

    monkeypatch.chdir(tmp_path)

    def plan_of(**options):
        given = {"methods": "./instant.py[log=log.txt]", "tasks": "reviews.csv", "seeds": "1,2,3", "jobs": "2"}
        return plan(load_options(given | {"encoder": f"{tiny_bert}:frozen"} | options))

    yield plan_of
    registry.METHODS.forget()


@pytest.fixture
def submitit():
    return pytest.importorskip(
        "submitit", reason="the package submitit is not installed: pip install 'noisy-label-bench[slurm]'"
    )


def test_jobs_run_every_cell_once_and_the_logs_are_named(make, submitit):
    Path("trap").touch()
    grid = make(methods="./instant.py[log=log.txt],./instant.py[trap=trap]")
    shown = []
    summary = executor_of("slurm[cluster=local]").run(grid, shown.append)
    assert summary.counts == {"done": 6, "failed": 6}
    assert sorted(facts.hash for facts in shown) == sorted(cell.key.hash for cell in grid.cells)
    assert sorted(Path("log.txt").read_text(encoding="utf-8").splitlines()) == [
        f"{who} {seed}" for who in ("ann", "bob") for seed in (1, 2, 3)
    ]
    lines = job_lines(Path("results"))
    assert len(lines) == 2
    assert all(Path(line.partition("; log ")[2]).exists() for line in lines)
    again = executor_of("slurm[cluster=local]").run(make(), lambda facts: None)
    assert again.counts == {"cached": 6}  # and no job was submitted for nothing
    assert len(list(Path("results/slurm").iterdir())) == 1


def test_no_job_is_submitted_for_cells_that_none_would_run(make, submitit):
    Path("trap").touch()
    options = {"methods": "./instant.py[trap=trap]", "noise": "weak", "llms": "ann", "seeds": "1"}
    assert run(make(llms="ann", methods=options["methods"], seeds="1"), lambda event: None).counts == {"failed": 1}
    told = []
    summary = executor_of("slurm[cluster=local]").run(make(retry="none", **options), told.append)
    assert summary.counts == {"failed": 1, "skipped": 1}
    assert sorted(message.status for message in told) == ["failed", "skipped"]
    assert not Path("results/slurm").exists()
    assert sorted(record.status for record in records()) == ["failed", "skipped"]


def test_jobs_that_end_early_are_said_with_what_is_left(make, submitit, monkeypatch):
    from bench.running.executors import slurm as executor_slurm

    monkeypatch.setattr(executor_slurm, "launcher", lambda processes: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(BenchError, match=r"the jobs ended with 6 cells left \(logs: .*\): run the same command again"):
        executor_of("slurm[cluster=local]").run(make(jobs="1"), lambda facts: None)


def test_without_waiting_the_jobs_are_only_queued(make, submitit, monkeypatch):
    from bench.running.executors import slurm as executor_slurm

    commands, worker = [], executor_slurm.Worker
    monkeypatch.setattr(
        executor_slurm, "Worker", lambda command, *rest: commands.append(command) or worker(command, *rest)
    )
    summary = executor_of("slurm[cluster=local,wait=false]").run(make(jobs="1"), lambda facts: None)
    assert summary.counts == {"queued": 6}
    assert [command[-1] for command in commands] == ["--one-round"]  # a job adds no seeds of its own
    deadline = time.monotonic() + 120
    while len(records()) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert {record.status for record in records()} == {"done"}


def test_force_is_refused(make):
    with pytest.raises(UsageError, match=r"--force is for --executor local and ray: .* another folder with --results"):
        executor_of("slurm").check(make().options, force=True)


def test_without_the_package_or_slurm_the_error_says_what_to_do(make, submitit, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match=r"Slurm is not here .*where `sbatch` works, or use --executor local"):
        executor_of("slurm").run(make(), lambda facts: None)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(Unavailable, match=r"--executor slurm needs the package submitit: pip install .*\[slurm\]"):
        executor_of("slurm").run(make(), lambda facts: None)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"jobs": [{}]}', b'{"jobs": 3}', b"\xff", b'{"jobs": [{"id": 1}]}'])
def test_a_damaged_list_of_jobs_does_not_break_the_status(tmp_path, content):
    folder = tmp_path / "slurm" / "20260101T000000"
    folder.mkdir(parents=True)
    (folder / JOBS_FILE).write_bytes(content)
    assert job_lines(tmp_path) == []


@pytest.fixture
def slurm(tmp_path_factory, submitit):
    """A real Slurm of one node, started by tests/running/slurm/one_node.sh and stopped again."""
    for name in ("slurmctld", "slurmd", "munged", "sbatch"):
        if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            pytest.skip(f"no {name} here: apt-get install slurmctld slurmd munge slurm-client")
    if os.geteuid() != 0:
        pytest.skip("the daemons of Slurm need root")
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run(["bash", str(SCRIPT), "start", str(folder)], capture_output=True, text=True, check=False)
    try:
        if started.returncode != 0:
            pytest.skip(f"Slurm does not start on this machine: {started.stderr.strip()[-400:]}")
        yield folder
    finally:
        subprocess.run(["bash", str(SCRIPT), "stop", str(folder)], capture_output=True, check=False)


def test_a_real_slurm_runs_the_grid_and_a_job_that_is_cut_off_goes_on(make, slurm, monkeypatch):
    """The warning that comes before a time limit is sent by hand: the job is queued again and finishes the grid."""
    monkeypatch.setenv("SLURM_CONF", str(slurm / "slurm.conf"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    grid = make(methods="./instant.py[log=log.txt,seconds=1]", jobs="1", seeds="1,2,3,4")
    shown, status = [], []

    def show(facts):
        shown.append(facts)
        if len(shown) == 2:
            status.extend(job_lines(Path("results")))
            job = json.loads(next(Path("results/slurm").rglob(JOBS_FILE)).read_bytes())["jobs"][0]["id"]
            subprocess.run(["scancel", "--signal=USR2", job], check=True)

    summary = executor_of("slurm[hours=1,requeues=2]").run(grid, show)
    assert summary.counts == {"done": 8}
    assert sorted(facts.hash for facts in shown) == sorted(cell.key.hash for cell in grid.cells)
    assert [record.status for record in records()] == ["done"] * 8
    assert "running, at reviews · " in status[0]
    log = Path(status[0].partition("; log ")[2])
    assert "Caught signal SIGUSR2" in log.read_text(encoding="utf-8")
    runs = Path("log.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(runs)) == 8
    assert len(runs) <= 9  # at most the cell that was cut off ran twice
    deadline = time.monotonic() + 30
    while "job" in (lines := " ".join(job_lines(Path("results")))) and "ended" not in lines:
        assert time.monotonic() < deadline
        time.sleep(1)
