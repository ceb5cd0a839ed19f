"""How long a report over many cells takes. From the repository root:

    python -m benchmarks.report_speed [--cells 10000] [--full] [--folder DIR]

Writes that many simulated cells (5 tasks x 10 noise sources x 20 methods x seeds) to a temporary folder, or
uses the ones in DIR, then times reading, the tables alone, and what `bench report` writes; with --full also what
`bench report --full` does. Seen for 10,000 cells on one core of an AMD EPYC: reading 2.7 s, with
the tables 4.4 s, `bench report` 6.8 s (8.6 s with the start of the program and the table that it prints).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.report import frame
from bench.report.build import build_report
from tests.factories import cell_key, done_record

TASKS = tuple(f"task-{index}" for index in range(5))
NOISES = ("mixtral-8x22b/few", "mixtral-8x22b/zero", "weak", *(f"sn@0.{rate}" for rate in range(1, 8)))
METHODS = ("plain", "co-teaching", "oracle", *(f"method-{index}" for index in range(17)))
LABELS = tuple(f"class {index}" for index in range(6))


def write_cells(folder: Path, count: int) -> int:
    """Write about `count` cells without waiting for the disk; returns how many."""
    seeds = max(1, round(count / (len(TASKS) * len(NOISES) * len(METHODS))))
    written = 0
    for task in TASKS:
        for noise in NOISES:
            for method in METHODS:
                record, arrays = done_record(cell_key(task, noise, method, 1), label_names=LABELS)
                first = record.key.path(folder)
                first.parent.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(first.with_suffix(".npz"), **arrays)
                for seed in range(1, seeds + 1):
                    key = cell_key(task, noise, method, seed)
                    again = record.model_copy(update={"key": key, "hash": key.hash})
                    path = key.path(folder)
                    path.write_text(again.model_dump_json(by_alias=True, indent=1))
                    if path != first:
                        shutil.copyfile(first.with_suffix(".npz"), path.with_suffix(".npz"))
                    written += 1
    return written


def timed(name: str, action):
    """Run `action`, print its wall and processor seconds, return its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    print(f"{name:<28} {time.perf_counter() - wall:6.2f} s wall {time.process_time() - cpu:6.2f} s processor")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000, help="about how many cells to write")
    parser.add_argument("--full", action="store_true", help="time `bench report --full` too")
    parser.add_argument("--folder", type=Path, help="use the results in this folder (written if it is missing)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary) / "results"
        if not folder.is_dir():
            timed("write cells", lambda: write_cells(folder, asked.cells))
        results = timed("read records", lambda: frame.load(folder))
        print(f"{len(results.cells)} cells")
        del results
        out = Path(temporary) / "report"
        timed("tables: latex, csv", lambda: build_report(folder, out, formats=["latex", "csv"]))
        summary = timed("bench report", lambda: build_report(folder, out))
        print(f"page: {summary.page.stat().st_size / 1e6:.1f} MB")
        if asked.full:
            timed("bench report --full", lambda: build_report(folder, out, full=True))


if __name__ == "__main__":
    main()
