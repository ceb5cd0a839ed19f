"""The harness: it owns gold labels, the grid, training, scoring, storing and reporting.

import bench
results = bench.load_results("results")
results.cells                            # one row per cell, a pandas DataFrame
results.table("tweets")                  # methods x noise sources, mean ± 95 % interval
results.plot.reliability("tweets")       # a matplotlib figure

results = bench.run_grid(methods="plain,npc", tasks="tweets", noise="sn@0.3", encoder="minilm:frozen")
cell, = bench.open_cells(methods="sidyp", tasks="tweets", llms="smollm2", encoder="minilm:frozen", seeds="1")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.api import OpenCell, open_cells, run_grid
    from bench.report.api import load_results
    from bench.running.exported import load_exported

if "OMP_WAIT_POLICY" not in os.environ:  # which it would overrule
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
"""Turns that threads wait for each other before they sleep, read when torch is loaded. Its default, 300,000, costs many
times the work itself where other processes want the cores (`benchmarks/busy_machine.py`)."""

__all__ = ["OpenCell", "load_exported", "load_results", "open_cells", "run_grid"]

_HOMES = {
    "OpenCell": "bench.api",
    "load_exported": "bench.running.exported",
    "load_results": "bench.report.api",
    "open_cells": "bench.api",
    "run_grid": "bench.api",
}


def __getattr__(name: str):
    # Loaded on first use: every command imports this package, few of them need any of these.
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
