"""Warnings: methods that may know more than they were handed, and test sets that are too small to tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.tables import stats
from bench.report.tables.blocks import Block
from bench.report.tables.entries import small_test_sentences
from bench.report.tables.headlines import points

if TYPE_CHECKING:
    import pandas as pd

PLAIN = "plain"
"""Training as usual: it reads nothing but the labels that it is handed."""
MOST_NAMED = 5
"""Files or columns that one sentence names."""


def doubt_sentences(cells: pd.DataFrame, blocks: list[Block], rule: str) -> list[str]:
    """Warnings, small test sets, and seeds that were added until the data showed a difference."""
    made = warnings(cells, blocks, rule)
    for block in blocks:
        small = small_test_sentences(block, block.current(), rule)
        made += [f"Small test set, {block.setup}: {sentence}" for sentence in small]
        made += _added(cells, block)
    return made


def warnings(cells: pd.DataFrame, blocks: list[Block], rule: str) -> list[str]:
    """One sentence per method and set-up for each doubt; `cells` is the tidy frame that `blocks` are made from."""
    ceilings = set(cells.loc[(cells["method"] == "oracle") & cells["sees_gold"], "method_label"])
    return [
        sentence for block in blocks for sentence in [*_opened(block), *_above(block, ceilings, f"accuracy_{rule}")]
    ]


def _added(cells: pd.DataFrame, block: Block) -> list[str]:
    """Where seeds were added until the data showed a difference."""
    known = cells.loc[cells["setup"] == block.setup, "until_settled"].dropna()
    if known.empty:
        return []
    return [
        f"Seeds added one at a time, {block.setup}: the run went on until every method was shown to differ from plain, "
        f"or up to {known.max()} seeds. Intervals that are looked at along the way are not fixed-sample intervals: "
        "even without any difference they exclude 0 in more than 5 % of all cases."
    ]


def _opened(block: Block) -> list[str]:
    """Methods that opened data files of their task by themselves."""
    made = []
    for method in sorted(block.readers):
        found = [row["opened_files"] for (name, _), rows in block.rows.items() if name == method for row in rows]
        files = sorted({file for each in found if each for file in each.split("; ")})
        count = sum(bool(each) for each in found)
        made.append(
            f"Warning, {block.setup}: {method} opened data files of the task by itself, in {count} of its "
            f"{len(found)} cells ({_listed(files)}). Its scores are shown, but it does not compete."
        )
    return made


def _above(block: Block, ceilings: set[str], name: str) -> list[str]:
    """Competing methods whose mean lies above the oracle's interval over seeds, with the columns where it does.

    Where plain training does so itself, the labels teach more than gold does: its own interval is the ceiling there.
    """

    def over_seeds(method: str) -> stats.Interval:
        return stats.mean_interval(list(block.values(method, column, name, 100).values()))

    found: dict[str, list[str]] = {}
    sentences = []
    for column in block.columns:
        for ceiling in ceilings & set(block.methods):
            most, plain = over_seeds(ceiling), over_seeds(PLAIN)
            if PLAIN not in block.references and plain.n > 1 and plain.mean > most.mean + most.half:
                sentences.append(
                    f"Noisy labels above gold, {block.setup}: in {', '.join(column)} plain training on the noisy "
                    f"labels scores above the oracle's 95 % interval: {_against(plain, most)}."
                )
                most = plain
            for method in block.methods:
                ours = over_seeds(method)
                if method not in block.references and ours.mean > most.mean + most.half:  # never of NaN
                    numbers = f"{_against(ours, most)}{' of plain training' * (most is plain)}"
                    found.setdefault(method, []).append(f"{', '.join(column)}: {numbers}")
    return sentences + [
        f"Warning, {block.setup}: {method} scores above the oracle's 95 % interval in {_listed(columns, '; ')}. The "
        "oracle trains on gold labels, so look at what the method reads."
        for method, columns in found.items()
    ]


def _against(ours: stats.Interval, theirs: stats.Interval) -> str:
    return " against ".join(f"{points(interval, signed=False)} %" for interval in (ours, theirs))


def _listed(names: list[str], between: str = ", ") -> str:
    more = f"{between}and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return between.join(names[:MOST_NAMED]) + more
