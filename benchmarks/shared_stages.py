"""What sharing stages saves: one task and seed, every method by itself against all of them in one grid.

python -m benchmarks.shared_stages [--task trec] [--noise asn@0.3] [--encoder minilm] [--limit 500] [--epochs 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.running.runner import run
from bench.store.records import read_arrays

METHODS = ("plain", "co-teaching", "cr", "npc", "dygen", "sidyp")


def seconds_of(options: dict, results: Path) -> tuple[float, dict[str, np.ndarray]]:
    """Wall seconds of a grid in an empty results folder, and the test probabilities of each method."""
    grid = plan(load_options(options | {"results": str(results)}))
    for cell in grid.cells:  # weights are read from disk before the clock starts
        _ = cell.encoder.sentences if cell.encoder.mode == "frozen" else cell.encoder.model
    started = time.perf_counter()
    summary = run(grid, lambda event: None)
    spent = time.perf_counter() - started
    if summary.failed:
        raise SystemExit(f"{summary.failed} cells failed")
    found = {cell.key.method: read_arrays(cell.key.path(results))["test_last"] for cell in grid.cells}
    return spent, found


def main() -> None:
    """Print both sums, their ratio, and whether the predictions are the same bits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="trec")
    parser.add_argument("--noise", default="asn@0.3")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--limit", default=500, type=int)
    parser.add_argument("--epochs", default=5, type=int)
    parser.add_argument("--precision", default="no")
    parser.add_argument("--data-dir")
    asked = parser.parse_args()
    options = {
        "tasks": asked.task,
        "noise": asked.noise,
        "encoder": asked.encoder,
        "limit": asked.limit,
        "epochs": asked.epochs,
        "precision": asked.precision,
        "seeds": "1",
        "data_dir": asked.data_dir,
    }
    alone, separate = 0.0, {}
    with tempfile.TemporaryDirectory() as folder:
        seconds_of(options | {"methods": "plain", "limit": 20, "epochs": 1}, Path(folder, "warm-up"))
        for method in METHODS:
            spent, found = seconds_of(options | {"methods": method}, Path(folder, method))
            separate |= found
            alone += spent
            print(f"{method:>12} alone {spent:8.1f} s")
        together, shared = seconds_of(options | {"methods": ",".join(METHODS)}, Path(folder, "together"))
    same = all(np.array_equal(separate[method], shared[method]) for method in METHODS)
    print(f"sum of stand-alone {alone:.1f} s, one grid {together:.1f} s: {100 * together / alone:.0f} %")
    print(f"predictions bit-identical: {same}")


if __name__ == "__main__":
    main()
