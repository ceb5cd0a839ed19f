"""The harness: it owns gold labels, the grid, training, scoring, storing and reporting.

import bench
results = bench.load_results("results")
results.cells                            # one row a cell, a pandas DataFrame
results.table("tweets")                  # methods x noise sources, mean ± 95 % interval
results.plot.reliability("tweets")       # a matplotlib figure
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.report.api import load_results

__all__ = ["load_results"]


def __getattr__(name: str):
    # Loaded on first use: every command imports this package, few of them read results.
    if name == "load_results":
        from bench.report.api import load_results

        return load_results
    raise AttributeError(f"module 'bench' has no attribute '{name}'")
