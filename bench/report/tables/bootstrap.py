"""The two-level bootstrap: seeds and test texts are both resampled, the same ones for every method."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from bench.core.seeds import named_generator
from bench.report.frame import Results
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column

MOST_CELLS = 2000
"""From this many cells on the bootstrap is left out unless asked for: it reads the arrays of every cell."""


@dataclass(frozen=True)
class Draws:
    """Accuracies of every cell of a set-up under drawn test texts."""

    by_cell: dict[str, np.ndarray]  # cell id -> float32[DRAWS], percent

    def average(self, block: Block, method: str, columns: list[Column], seeds: list[int]) -> np.ndarray | None:
        """The method's average over `columns` in each draw, float64[DRAWS], percent; None without the arrays."""
        if not columns or not seeds:
            return None
        total = np.zeros((stats.DRAWS, len(seeds)))
        for column in columns:
            cells = {row["seed"]: row["cell"] for row in block.rows[method, column] if row["status"] == "done"}
            for place, seed in enumerate(seeds):
                drawn = self.by_cell.get(cells[seed]) if seed in cells else None
                if drawn is None:
                    return None
                total[:, place] += drawn
        weights = stats.bootstrap_seeds(len(seeds), named_generator("bootstrap", "seeds"))
        return (total / len(columns) * weights).sum(axis=1)


def draw(results: Results, block: Block, methods: list[str], columns: list[Column], rule: str) -> Draws:
    """Draw the test texts of each task and score the cells on them.

    Cells with the same test texts share their draws, so that differences between methods are paired; a cell whose
    arrays are missing or damaged has none.
    """
    right: dict[tuple[str, int], dict[str, np.ndarray]] = defaultdict(dict)
    for method in methods:
        for column in columns:
            for row in block.rows.get((method, column), ()):
                hits = results.right(row["cell"], rule) if row["status"] == "done" else None
                if hits is not None:
                    right[column[0], len(hits)][row["cell"]] = hits
    found: dict[str, np.ndarray] = {}
    for (task, texts), by_cell in right.items():
        generator = named_generator("bootstrap", "texts", task, texts)
        drawn = 100 * stats.bootstrap_texts(np.array(list(by_cell.values())), generator)
        found |= dict(zip(by_cell, np.ascontiguousarray(drawn.T), strict=True))
    return Draws(found)
