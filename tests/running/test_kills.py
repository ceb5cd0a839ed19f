"""Grids that are killed at random moments, again and again, end as if nothing had happened: every cell once, no record
torn, no finished cell computed twice, every bit as in an undisturbed run."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.core.files import signature
from bench.store.claims import holder
from bench.store.prune import remove_leftovers
from bench.store.records import Damaged, read_records
from tests.conftest import review_rows, write_csv
from tests.running import kill_target

pytestmark = pytest.mark.slow
METHODS = "plain,plain+ts,gce,elr,co-teaching"
CELLS = 5 * 3 * 4  # methods x noises x seeds
PATIENCE = 120.0


@pytest.fixture(scope="module")
def forks():
    """A context whose processes start with everything imported."""
    os.environ["BENCH_TEST_PRELOAD"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.running.kill_target"])
    yield context
    del os.environ["BENCH_TEST_PRELOAD"]


@pytest.fixture(scope="module")
def words(tiny_bert) -> list[str]:
    noise = ["--llms", "ann,bob", "--noise", "sn@0.3", "--seeds", "1,2,3,4", "--methods", METHODS]
    return ["run", "--tasks", "reviews.csv", *noise, "--encoder", f"{tiny_bert}:frozen", "--epochs", "2", "--log-json"]


class Grid:
    """One results folder, the processes that work on it, and what was seen of them."""

    def __init__(self, folder: Path, forks, words: list[str], seed: int, network: bool = False) -> None:
        folder.mkdir()
        write_csv(folder / "reviews.csv", review_rows(48))
        self.folder, self.forks, self.words, self.network = folder, forks, words, network
        self.draw = random.Random(seed)
        self.kills = 0
        self.done: dict[Path, tuple] = {}  # record -> signature, as soon as it was seen

    def start(self):
        process = self.forks.Process(target=kill_target.run, args=(self.words, str(self.folder), self.network))
        process.start()
        return process

    def look(self) -> None:
        """Records that were there stay as they were, byte for byte and file for file."""
        now = {path: signature(path) for path in self.folder.glob("results/cells/**/*.json")}
        changed = [path.name for path, known in self.done.items() if now.get(path) != known]
        assert not changed, "a finished cell was written again"
        self.done |= now

    def kill(self, process, wait_for: int) -> None:
        """SIGKILL after so many more events and a moment, or (-1) somewhere while it starts."""
        goal, end = len(kill_target.lines(self.folder)) + wait_for, time.monotonic() + PATIENCE
        while wait_for > 0 and process.is_alive() and len(kill_target.lines(self.folder)) < goal:
            assert time.monotonic() < end, (self.folder / "errors.txt").read_text()
            time.sleep(0.002)
        time.sleep(self.draw.uniform(0, 0.05 if wait_for > 0 else 0.4))
        process.kill()
        process.join()
        self.kills += process.exitcode == -signal.SIGKILL

    def finish(self, count: int = 1) -> None:
        processes = [self.start() for _ in range(count)]
        for process in processes:
            process.join(PATIENCE)
            assert process.exitcode == 0, (self.folder / "errors.txt").read_text()


def events(folder: Path) -> list[dict]:
    """The common log of all processes, in the order in which they wrote."""
    found = []
    for line in kill_target.lines(folder):
        try:
            found.append(json.loads(line))
        except ValueError:  # a process was killed within a line
            continue
    return found


def essence(record) -> dict:
    """All of a record but when, how fast and after whom it was made."""
    facts = record.model_dump(exclude={"seconds", "created", "peak_memory_mb", "stages"})
    return facts | {"stages": sorted(use.hash for use in record.stages)}


def content(folder: Path) -> dict[str, tuple[dict, bytes]]:
    found = list(read_records(folder / "results"))
    assert not [record for record in found if isinstance(record, Damaged)]
    arrays = [record.key.path(folder / "results").with_suffix(".npz").read_bytes() for record in found]
    return {record.hash: (essence(record), raw) for record, raw in zip(found, arrays, strict=True)}


def check(grid: Grid, undisturbed: dict) -> None:
    grid.look()
    found = content(grid.folder)
    assert len(grid.done) == len(found) == CELLS
    assert found.keys() == undisturbed.keys()
    for cell, (facts, arrays) in found.items():
        assert facts["status"] == "done"
        assert facts == undisturbed[cell][0]
        assert arrays == undisturbed[cell][1]
    ended = set()
    for event in events(grid.folder):
        if event["event"] == "started":
            assert event["hash"] not in ended, "a finished cell was started again"
        elif event["status"] == "done":
            assert event["hash"] not in ended, "a cell was finished twice"
            ended.add(event["hash"])
    results = grid.folder / "results"
    assert [path.name for path in results.rglob("*.lease") if holder(path)] == [], (
        "a lease without owner counts as held"
    )
    remove_leftovers(results)  # a process that was killed while it wrote a stage leaves its draft
    assert list(results.rglob("*.tmp")) == []


@pytest.fixture(scope="module")
def undisturbed(forks, words, tmp_path_factory) -> dict:
    grid = Grid(tmp_path_factory.mktemp("calm") / "grid", forks, words, 0)
    grid.finish()
    assert len(content(grid.folder)) == CELLS
    return content(grid.folder)


def test_a_grid_that_is_killed_thirty_times_ends_as_if_it_had_not_been(forks, words, undisturbed, tmp_path):
    grid = Grid(tmp_path / "grid", forks, words, 1)
    attempts = 0
    while grid.kills < 32:
        attempts += 1
        assert attempts < 60, f"{grid.kills} kills met a living process"
        grid.kill(grid.start(), grid.draw.choice((-1, 1, 1, 2, 3)))
        grid.look()
    assert len(grid.done) < CELLS, "every kill met an unfinished grid"
    grid.finish()
    check(grid, undisturbed)


@pytest.mark.parametrize(("count", "network"), [(2, True), (4, False)])
def test_processes_on_one_folder_share_the_grid_while_one_after_the_other_is_killed(
    forks, words, undisturbed, tmp_path, count, network
):
    grid = Grid(tmp_path / "grid", forks, words, count, network)
    running = [grid.start() for _ in range(count)]
    for _ in range(7):
        victim = grid.draw.randrange(count)
        grid.kill(running[victim], grid.draw.choice((-1, 1, 3, 5)))
        grid.look()
        running[victim] = grid.start()
    assert grid.kills >= 5
    for process in running:
        process.join(PATIENCE)
        assert process.exitcode == 0, (grid.folder / "errors.txt").read_text()
    check(grid, undisturbed)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_installed_command_is_killed_with_and_without_workers(forks, words, undisturbed, tmp_path, jobs):
    grid = Grid(tmp_path / "grid", forks, words, jobs)
    bench = Path(sys.executable).with_name("bench")
    command = [bench, *words, "--jobs", str(jobs)]
    for kill in range(jobs):
        with (grid.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(command, cwd=grid.folder, stdout=log, stderr=log, start_new_session=True)
        goal, end = len(kill_target.lines(grid.folder)) + grid.draw.randint(2, 20), time.monotonic() + PATIENCE
        while len(kill_target.lines(grid.folder)) < goal and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.005)
        if kill == 1:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()  # workers notice by themselves
        process.wait()
        grid.look()
    grid.finish()
    check(grid, undisturbed)
