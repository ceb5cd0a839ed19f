"""Where the seconds of a wide frozen grid go, by shared stage and by method; on request against an older commit.

python -m benchmarks.grid_cost [--methods plain,npc,dygen] [--tasks tweets] [--noise asn@0.3] [--llms LLM]
                               [--seeds 1,2] [--encoder minilm:frozen] [--data-dir DIR] [--against COMMIT] [--busy]

Each code runs the grid in a process of its own with one thread, cell after cell into an empty results folder. Seconds
are of that process's CPU time, so others on the machine count for little; with `--busy` they are wall seconds with the
default of threads beside another process per core. A method's own seconds are those of its cells without the stages
that they computed. With `--against`, this code takes over the older one's embeddings, and the last columns say how far
test accuracy (in points) and test probabilities moved: mean and largest difference over the cells.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from bench.store.records import Record, read_arrays, read_records
from benchmarks.busy_machine import busy_cores
from methods import registry

ROOT = Path(__file__).resolve().parents[1]
MAIN = "from bench.cli import main; main()"
CPU_CLOCK = "import time; time.perf_counter = time.process_time\n"
"""CPU time in place of the clock that records take their seconds from."""
PASSED = ("methods", "tasks", "noise", "llms", "seeds", "encoder", "epochs", "limit", "data_dir")


def run(code: Path, options: dict[str, str], results: Path, busy: bool) -> list[Record]:
    """The finished records of a grid that the code of a checkout computes. Raises CalledProcessError, ValueError."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    command = [sys.executable, "-c", MAIN if busy else CPU_CLOCK + MAIN, "run", *words, "--results", str(results)]
    environment = os.environ | {"PYTHONPATH": str(code), "BENCH_CPU": "1"} | ({} if busy else {"OMP_NUM_THREADS": "1"})
    with busy_cores() if busy else nullcontext():
        subprocess.run(command, env=environment, cwd=code, stdout=subprocess.DEVNULL, check=True)
    records = [record for record in read_records(results) if isinstance(record, Record)]
    if failed := [record.reason for record in records if record.status == "failed"]:
        raise ValueError(f"{len(failed)} cells of {code} failed, the first: {failed[0]}")
    return [record for record in records if record.status == "done"]


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """The files of a commit, in a worktree that is removed in the end."""
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", f"{folder}/code", commit], check=True)
        try:
            yield Path(folder, "code")
        finally:
            subprocess.run([*git, "remove", "--force", f"{folder}/code"], check=True)


def seconds_of(records: list[Record]) -> dict[tuple[str, str], float]:
    """CPU seconds by ("stage", name), each counted where it was computed, and ("method", name)."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for record in records:
        computed = [use for use in record.stages if not use.reused]
        for use in computed:
            found["stage", use.name] += use.seconds
        found["method", record.key.method] += record.seconds["total"] - sum(use.seconds for use in computed)
    return found


def moved(before: list[Record], now: list[Record], results: tuple[Path, Path]) -> dict[tuple[str, str], str]:
    """By method: mean and largest difference of test accuracy in points, and the largest of test probabilities."""

    def same(record: Record) -> tuple:
        key = record.key
        return key.task, key.noise, key.method, str(sorted(key.config.items())), key.seed, key.data

    earlier, found = {same(record): record for record in before}, defaultdict(list)
    for record in now:
        other = earlier[same(record)]
        pairs = zip((other, record), results, strict=True)
        arrays = (read_arrays(one.key.path(folder))["test_last"].astype(np.float32) for one, folder in pairs)
        was, now_is = (one.scores.last.accuracy if one.scores else np.nan for one in (other, record))
        points = 100 * (now_is - was)
        found["method", record.key.method].append((points, np.abs(np.subtract(*arrays)).max()))
    return {name: _shown(*map(np.array, zip(*rows, strict=True))) for name, rows in found.items()}


def _shown(points: np.ndarray, probabilities: np.ndarray) -> str:
    return f"{points.mean():+.2f} | {np.abs(points).max():.2f} | {probabilities.max():.0e}"


def main() -> None:
    """Run the grid with this code, and with that of a commit where asked, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(registry.available()))
    parser.add_argument("--tasks", default="tweets")
    parser.add_argument("--noise")
    parser.add_argument("--llms")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--encoder", default="minilm:frozen")
    parser.add_argument("--epochs")
    parser.add_argument("--limit")
    parser.add_argument("--data-dir")
    parser.add_argument("--against", metavar="COMMIT", help="an older commit, measured first")
    parser.add_argument("--busy", action="store_true", help="wall seconds beside another process per core")
    asked = parser.parse_args()
    options = {name: getattr(asked, name) for name in PASSED if getattr(asked, name)}
    if not (asked.noise or asked.llms):
        options["noise"] = "asn@0.3"
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "before"), Path(folder, "now")
        before = None
        if asked.against:
            with checkout(asked.against) as code:
                before = run(code, options, results[0], asked.busy)
            for embedded in results[0].glob("stages/embeddings*"):  # the same for both: computed once
                shutil.copytree(embedded, results[1] / "stages" / embedded.name)
        now = run(ROOT, options, results[1], asked.busy)
        change = moved(before, now, results) if before else {}
    old, new = seconds_of(before or []), seconds_of(now)
    old = {name: seconds for name, seconds in old.items() if name in new}  # not the embeddings that were taken over
    headings = "before (s) | now (s) | accuracy, mean | largest | probabilities" if before else "now (s)"
    print(f"| | {headings} |")
    print("| --- |" + " ---: |" * (headings.count("|") + 1))

    def row(title: str, was: float, seconds: float, changed: str) -> None:
        print(f"| {title} | {was:.1f} | {seconds:.1f} | {changed} |" if before else f"| {title} | {seconds:.1f} |")

    for name in sorted(new, key=lambda name: (name[0] == "method", -max(old.get(name, 0.0), new[name]))):
        row(" ".join(name), old.get(name, 0.0), new[name], change.get(name, "| |"))
    row(f"**all {len(now)} cells**", sum(old.values()), sum(new.values()), "| |")


if __name__ == "__main__":
    main()
