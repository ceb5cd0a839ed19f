"""In how many columns each method beats each other one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from bench.report.tables import stats
from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Block, Column
from bench.report.tables.entries import RULE_TEXT
from bench.report.tables.model import Entry, Head, Table


@register
class WinsTable(ReportTable):
    """In how many columns each method beats each other one."""

    name, order = "wins", 50
    kinds: ClassVar = {"wins": "won / tied / lost"}

    def make(self, context: Context) -> Iterable[Table]:
        """One table: how often the method of a row wins against, ties with and loses to that of a column head."""
        block, name = context.block, f"accuracy_{context.rule}"
        current = block.current()
        methods = [m for m in block.methods if m not in block.references]
        methods = [m for m in methods if any(block.values(m, column, name) for column in current)]
        counted = outcomes(score_array(block, methods, current, name))
        if len(methods) < 2 or not counted.sum():
            return

        def entry(i: int, j: int) -> Entry:
            won, tied, lost = counted[:, i, j]
            if i == j or won + tied + lost == 0:
                return Entry("empty")
            ids = block.ids(methods[i], current)
            return Entry("value", float(won - lost), cells=ids, text=f"{won}/{tied}/{lost}")

        places = range(len(methods))
        rows = [block.row(methods[i], [entry(i, j) for j in places]) for i in places]
        caption = (
            "Columns (task and noise source) that the method of the row won / tied / lost in accuracy against the "
            "method of the head. Won or lost: the paired 95 % t-interval over seeds excludes 0 (not corrected for the "
            f"number of pairs); columns with fewer than {stats.MIN_SEEDS} shared seeds are not counted.",
            RULE_TEXT[context.rule],
        )
        yield block.table("wins", f"Won / tied / lost: {block.setup}", map(Head, methods), rows, caption, decimals=0)


def score_array(block: Block, methods: list[str], columns: list[Column], name: str) -> np.ndarray:
    """Scores float64[methods, columns, seeds]; NaN where a seed has none."""
    values = [[block.values(method, column, name) for column in columns] for method in methods]
    seeds = sorted({seed for by_column in values for by_seed in by_column for seed in by_seed})
    found = [[[by_seed.get(seed, math.nan) for seed in seeds] for by_seed in by_column] for by_column in values]
    return np.array(found, dtype=np.float64).reshape(len(methods), len(columns), len(seeds))


def outcomes(scores: np.ndarray, higher_is_better: bool = True) -> np.ndarray:
    """Columns won, tied, lost: int64[3, methods, methods] of `scores` float64[methods, columns, seeds].

    A column is won or lost where the paired 95 % t-interval over seeds excludes 0, else tied; columns with fewer
    than `stats.MIN_SEEDS` shared seeds are not counted.
    """
    from scipy import special

    gaps = scores[:, None] - scores[None]  # [methods, methods, columns, seeds]
    count = np.isfinite(gaps).sum(-1)
    total = np.nansum(gaps, axis=-1)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    squares = np.nansum((gaps - mean[..., None]) ** 2, axis=-1)
    rest = np.maximum(count - 1, 1)
    half = special.stdtrit(rest, 0.975) * np.sqrt(squares / rest / np.maximum(count, 1))
    enough = count >= stats.MIN_SEEDS
    sign = 1 if higher_is_better else -1
    clear = enough & (np.abs(mean) > half) & (half > stats.NO_SPREAD)
    won, lost = clear & (sign * mean > 0), clear & (sign * mean < 0)
    return np.stack([won.sum(-1), (enough & ~clear).sum(-1), lost.sum(-1)])
