"""What the harness itself costs, in time and memory, for grids of a method that does nothing. From the repository root:

    python -m benchmarks.grid_scale [--cells 1000,3000,10000] [--report] [--figures] [--profile]

Each size runs in a process of its own: plan, run (claim, label, score, write), run again (all is there), status, dry
run, and with --report the tables of the report (with --figures the figures too).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METHOD = '''"""Predicts the same for every text."""
import numpy as np
from methods.base import Field, Predictions, config
from methods.registry import register

@register
class Null:
    """Uniform predictions."""
    name = "null"

    @config
    class Config:
        variant: int = Field(0, ge=0, description="makes cells that differ in nothing else")

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        """One step."""
        row = np.full((1, task.num_classes), 1 / task.num_classes, np.float32)
        yield Predictions(1, row.repeat(len(task.valid), 0), row.repeat(len(task.test), 0))
'''
STEPS = ("plan", "run", "run again", "status", "dry run", "report")


def main() -> None:
    """Measure every size and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="1000,3000,10000")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print where the time of `run` goes")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.one, report=options.report or options.figures, figures=options.figures, profile=options.profile)
        return
    rows = []
    for cells in map(int, options.cells.split(",")):
        words = [f"--{name}" for name in ("report", "figures", "profile") if getattr(options, name)]
        command = [sys.executable, "-m", "benchmarks.grid_scale", "--one", str(cells), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        *before, last = done.stdout.splitlines()
        print("\n".join(before), end="\n" if before else "")
        rows.append(json.loads(last))
    steps = [step for step in STEPS if step in rows[0]]
    print("| cells | " + " | ".join(f"{step} (s)" for step in steps) + " | run (ms per cell) | peak memory (MiB) |")
    print("| ---: |" + " ---: |" * (len(steps) + 2))
    for row in rows:
        times = " | ".join(f"{row[step]:.1f}" for step in steps)
        print(f"| {row['cells']} | {times} | {1000 * row['run'] / row['cells']:.1f} | {row['memory']:.0f} |")


def measure(cells: int, *, report: bool, figures: bool, profile: bool) -> None:
    """Print the seconds of each step for one size, as JSON."""
    from bench.cli.display import duration, status_table
    from bench.grid.cells import plan
    from bench.grid.estimate import sentences
    from bench.grid.options import load_options
    from bench.running.outcomes import status_of
    from bench.running.runner import run
    from bench.store.records import read_records
    from tests.conftest import review_rows, write_csv, write_tiny_bert

    row: dict[str, float] = {"cells": cells}

    def timed(name, action):
        begun = time.perf_counter()
        result = action()
        row[name] = time.perf_counter() - begun
        return result

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_csv(Path("reviews.csv"), review_rows(600))
        Path("null.py").write_text(METHOD, encoding="utf-8")
        encoder = write_tiny_bert(Path("encoder"))
        methods = [f"./null.py[variant={variant}]" for variant in range(10)]
        noise = [f"sn@0.{rate}" for rate in range(1, 6)] + [f"asn@0.{rate}" for rate in range(1, 6)]
        seeds = [str(seed) for seed in range(1, cells // 100 + 1)]
        given = {"methods": methods, "noise": noise, "seeds": seeds, "tasks": "reviews.csv"}
        options = load_options(given | {"encoder": f"{encoder}:frozen"})
        grid = timed("plan", lambda: plan(options))
        kinds = {"./null.py": len(grid.cells)}
        assert kinds["./null.py"] == cells, kinds
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        counts = timed("run", lambda: run(grid, lambda event: None).counts)
        profiler.disable()
        assert counts.get("done", 0) + counts.get("skipped", 0) == cells, counts
        timed("run again", lambda: run(grid, lambda event: None))
        timed("status", lambda: status_table((cell, *status_of(cell, options.results)) for cell in grid.cells))
        timed("dry run", lambda: sentences(grid.cells, [], read_records(options.results), 1, duration))
        if report:
            from bench.report.build import build_report

            formats = ["md", "csv", "latex", "html", *(["figures"] if figures else [])]
            timed("report", lambda: build_report(options.results, Path("report"), formats=formats))
        os.chdir("/")
    if profile:
        pstats.Stats(profiler, stream=sys.stdout).sort_stats("cumulative").print_stats(45)
    row["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(row))


if __name__ == "__main__":
    main()
