"""What goes wrong around a grid (disks, clocks, other hosts) is named, loses nothing, and the grid goes on."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench.core.errors import UsageError
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.running import runner
from bench.running.outcomes import status_of
from bench.running.runner import run
from bench.store import claims
from bench.store import records as store
from bench.store.claims import Claims
from bench.training import stages
from bench.training.stages import StageStore
from tests.conftest import records, tree
from tests.network_lease import use_network_leases


@pytest.fixture
def make(tmp_path, monkeypatch, reviews, instant, tiny_bert):
    """Plan a grid of the instant method; `results` may lie anywhere."""
    from methods import registry

    monkeypatch.chdir(tmp_path)

    def plan_of(**options):
        given = {"methods": "./instant.py", "tasks": "reviews.csv", "llms": "ann", "seeds": "1,2,3,4"}
        return plan(load_options(given | {"encoder": f"{tiny_bert}:frozen"} | options))

    yield plan_of
    registry.METHODS.forget()


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a tmpfs of some KiB; a skip where that is not allowed."""
    folders = []

    def mount(kib: int) -> Path:
        folder = tmp_path / "small"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no `mount` here")
        if done.returncode:
            pytest.skip(f"mounting a tmpfs needs root: {done.stderr.strip()}")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def go(grid, **options):
    """The summary's counts and the reasons of the finished events by seed."""
    events = []
    summary = run(grid, events.append, **options)
    return summary.counts, {e.cell.key.seed: e.reason for e in events if e.kind == "finished"}


def fill(folder: Path, leave: int) -> Path:
    """A file that takes all room of a file system but `leave` bytes."""
    path = folder / "filler"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012
        while True:
            os.write(handle, b"\0" * 4096)
    os.close(handle)
    os.truncate(path, max(0, path.stat().st_size - leave))
    return path


@pytest.mark.parametrize("room", [0, 8192])
def test_a_full_disk_is_a_named_failure_and_nothing_is_lost(make, mounted, room):
    """Without room a cell does not begin; with room for its claim alone, its result cannot be kept."""
    results = mounted(512) / "results"
    assert go(make(seeds="1", results=str(results)))[0] == {"done": 1}
    before = tree(results / "cells")
    filler = fill(results.parent, room)
    counts, reasons = go(make(results=str(results)))
    assert counts == {"cached": 1, "failed": 3}
    for seed in (2, 3, 4):
        assert reasons[seed].startswith(f"the result could not be written to '{results}': No space left on device")
    kept = tree(results / "cells")
    assert {name: kept[name] for name in before} == before
    filler.unlink()
    assert go(make(results=str(results)))[0] == {"cached": 1, "done": 3}
    assert len(records(results)) == 4
    assert not [path for path in results.rglob("*") if path.suffix in (".tmp", ".lease")]


def test_a_stage_without_room_is_a_warning_and_the_cell_is_done(make, mounted, tiny_bert, caplog):
    results = mounted(256) / "results"
    grid = make(methods="plain", seeds="1", epochs="1", results=str(results))
    folder = results / "stages"
    folder.mkdir(parents=True)
    big = StageStore(folder)
    fill(results.parent, 120_000)
    with caplog.at_level(logging.WARNING, "bench.stages"):
        array = np.zeros(1_000_000, np.float32)
        assert big.get("big", {}, lambda: {"x": array})["x"] is not None
    assert "stage big could not be kept" in caplog.text
    assert "No space left" in caplog.text
    assert not list(folder.rglob("*.tmp"))
    assert go(grid)[0] == {"done": 1}


def test_results_that_cannot_be_written_to_are_refused_before_anything_trains(make, mounted, bench):
    small = mounted(512)
    results = small / "results"
    go(make(seeds="1", results=str(results)))
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with pytest.raises(UsageError, match=r"cannot be written to \(Read-only file system\): name another"):
        run(make(results=str(results)), lambda event: pytest.fail("something ran"))
    assert "done (1)" in bench("status", "--results", results).stdout, "reading needs no writing"


FOREIGN = "filelock/2\npid=1\nhost=another-host\nmode=lease\ntoken={}\nduration={}\nstart=1\n"


def write_foreign_lease(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FOREIGN.format("0" * 32, claims.LEASE_SECONDS), encoding="utf-8")
    return path


@pytest.fixture(params=["local", "network"])
def file_system(request, monkeypatch):
    """A local file system, and one that refuses to exchange two names in one step, as NFS does."""
    if request.param == "network":
        use_network_leases(monkeypatch)
    return request.param


@pytest.mark.parametrize("age", [-86_400, 0, 86_400])
def test_a_dead_claim_of_another_host_is_taken_over_whatever_the_clocks_say(make, monkeypatch, file_system, age):
    """The time on the file may lie in the future or the past: only that it does not change counts."""
    monkeypatch.setattr(claims, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(runner, "WAIT_SECONDS", 0.05)
    grid = make(seeds="1,2")
    path = write_foreign_lease(Claims(Path("results")).path(grid.cells[0].key.hash))
    os.utime(path, (time.time() - age, time.time() - age))
    order = []
    begun = time.monotonic()
    run(grid, lambda event: order.append((event.kind, event.cell.key.seed)))
    assert [seed for kind, seed in order if kind == "finished"] == [2, 1], "it waited for the silent one, with work"
    assert time.monotonic() - begun >= 1.0
    assert not path.exists()


def test_a_living_claim_of_another_host_is_never_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "LEASE_SECONDS", 0.6)
    mine = Claims(tmp_path)
    path = write_foreign_lease(mine.path("a" * 64))
    for _ in range(15):
        assert mine.take("a" * 64) is None
        time.sleep(0.1)
        os.utime(path, (0, path.stat().st_mtime - 3600))  # a heart-beat by a clock that runs backwards
    assert re.fullmatch(r"by process 1 on another-host, without a sign of life for \d+ min", mine.holder("a" * 64))


def test_who_runs_a_cell_is_shown_and_a_dead_process_runs_nothing(make, file_system):
    grid = make(seeds="1,2")
    cell = grid.cells[0]
    code = (
        "import os, sys; from pathlib import Path; from bench.store.claims import Claims\n"
        "held = Claims(Path('results')).take(sys.argv[1])\n"
        "print(os.getpid(), flush=True); sys.stdin.read(); os._exit(9)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, cell.key.hash], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid = int(other.stdout.readline())
    assert status_of(cell, Path("results")) == ("running", f"by process {pid}")
    other.communicate()
    assert status_of(cell, Path("results")) == ("not run", "")
    begun = time.monotonic()
    assert go(grid)[0] == {"done": 2}
    assert time.monotonic() - begun < claims.LEASE_SECONDS / 2, "on this host nothing waits for a dead process"


def test_a_process_that_got_the_number_of_a_dead_one_runs_nothing(tmp_path):
    mine = Claims(tmp_path)
    held = mine.take("a" * 64)
    assert mine.holder("a" * 64) == f"by process {os.getpid()}"
    path = mine.path("a" * 64)
    before = psutil.Process().create_time() - claims.CLOCKS_DIFFER - 10
    os.utime(path, (before, before))  # its last heart-beat was before this process began
    assert mine.holder("a" * 64) is None
    held.release()


def test_a_stage_whose_worker_died_is_computed_by_who_waits_for_it(tmp_path, monkeypatch, file_system):
    monkeypatch.setattr(claims, "LEASE_SECONDS", 0.5)
    store = StageStore(tmp_path)
    path = store.path("stage", stages.stage_hash("stage", {}))
    lock = write_foreign_lease(stages.lock_path(path))
    begun = time.monotonic()
    store.get("stage", {}, lambda: {"x": np.zeros(3)})
    assert time.monotonic() - begun >= 0.5
    assert path.exists()
    assert not lock.exists()


@pytest.mark.parametrize("left", ["", "filelock/2\npid=", "-\n", "\0" * 64])
def test_a_lease_that_was_cut_off_while_it_was_written_is_taken_over(tmp_path, monkeypatch, file_system, left):
    monkeypatch.setattr(claims, "TORN_SECONDS", 0.3)
    path = tmp_path / "x.lease"
    path.write_text(left, encoding="utf-8")
    taker = claims.Taker(path)
    begun = time.monotonic()
    held = taker.wait()
    assert 0.3 <= time.monotonic() - begun < 5
    held.release()


def test_a_lease_that_came_to_life_between_look_and_grip_is_put_back(tmp_path):
    path = tmp_path / "x.lease"
    other = claims.Taker(path).take()
    claims.Taker(path)._clear("0" * 32)  # it was another one that was found dead
    assert other.is_lock_held_by_us
    assert os.listdir(tmp_path) == ["x.lease"]
    claims.Taker(path)._clear(other.token)
    assert os.listdir(tmp_path) == []


def test_a_living_lease_is_put_back_where_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "no hard links")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "x.lease"
    other = claims.Taker(path).take()
    claims.Taker(path)._clear("0" * 32)
    assert other.is_lock_held_by_us
    assert os.listdir(tmp_path) == ["x.lease"]


@pytest.mark.parametrize("step", ["_dead", "_clear"])
def test_a_lease_that_vanishes_while_it_is_looked_at_is_taken_at_once(tmp_path, monkeypatch, step):
    use_network_leases(monkeypatch)
    path = write_foreign_lease(tmp_path / "x.lease")
    taker, look = claims.Taker(path), getattr(claims.Taker, step)

    def look_too_late(self, *arguments):
        path.unlink()  # its owner released it just now
        return look(self, *arguments)

    monkeypatch.setattr(claims.Taker, step, look_too_late)
    if step == "_clear":
        monkeypatch.setattr(claims.Taker, "_dead", lambda self: "0" * 32)
    held = taker.take()
    assert held.is_lock_held_by_us
    held.release()


def test_a_lease_of_another_duration_is_respected_and_taken_over_when_silent(tmp_path, monkeypatch):
    """As of a version of bench whose leases last longer."""
    monkeypatch.setattr(claims, "LEASE_SECONDS", 0.2)
    path = tmp_path / "x.lease"
    path.write_text(FOREIGN.format("0" * 32, 600.0), encoding="utf-8")
    taker = claims.Taker(path)
    assert taker.take() is None
    held = taker.wait()
    assert held.is_lock_held_by_us
    held.release()


def test_a_process_that_lost_its_claim_while_it_slept_drops_its_result(make, monkeypatch):
    """As after a laptop's sleep: another process took the cell over and finished it meanwhile."""
    grid = make(seeds="1")
    cell = grid.cells[0]
    path = cell.key.path(Path("results"))
    real = runner.run_cell

    def slept(*arguments):
        result = real(*arguments)
        store.write_record(result.record.model_copy(update={"created": "by another"}), Path("results"), result.arrays)
        Claims(Path("results")).path(cell.key.hash).unlink()
        end = time.monotonic() + 20
        while lease[0].compromise is None and time.monotonic() < end:
            time.sleep(0.02)
        return result

    lease = []
    take = Claims.take
    monkeypatch.setattr(claims, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(Claims, "take", lambda self, name: lease.append(take(self, name)) or lease[-1])
    monkeypatch.setattr(runner, "run_cell", slept)
    assert go(grid)[0] == {"cached": 1}
    assert json.loads(path.read_bytes())["created"] == "by another"


def test_failed_cells_of_this_very_run_are_not_tried_again_by_the_next_process(make):
    """Two processes on one grid: what one has just seen fail is a result for the other."""
    Path("trap").touch()
    grid = make(methods="./instant.py[trap=trap,log=log.txt]", seeds="1")
    session = runner.Session(grid.options, lambda event: None, runner.records_before(grid))
    assert go(grid)[0] == {"failed": 1}  # the other process
    assert runner.run_one(grid.cells[0], session) == "failed"
    assert Path("log.txt").read_text().splitlines() == ["ann 1"]
    assert go(grid)[0] == {"failed": 1}
    assert len(Path("log.txt").read_text().splitlines()) == 2, "a run that begins later tries again"
