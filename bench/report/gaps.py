"""What is not in the tables, and why: skipped, failed, without gold, not run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.report.tables.blocks import Block

if TYPE_CHECKING:
    import pandas as pd


class Gap(NamedTuple):
    """Some seeds of a method in a column that gave no number."""

    status: str  # failed, skipped, no gold, not run
    setup: str
    task: str
    noise: str
    method: str
    seeds: tuple[int, ...]
    reason: str
    cells: tuple[str, ...]


ORDER = ("failed", "skipped", "no gold", "not run")


def find_gaps(cells: pd.DataFrame, blocks: list[Block]) -> list[Gap]:
    """Every gap, failures first; cells with equal reasons are one gap."""
    grouped: dict[tuple[tuple[str, str, str, str, str], str], list[tuple[int, str]]] = defaultdict(list)
    names = ["status", "setup", "task", "noise", "method_label", "reason", "has_gold", "seed", "cell"]
    names += ["accuracy_last"]
    for status, setup, task, noise, method, reason, has_gold, seed, cell, accuracy in zip(
        *(cells[name].tolist() for name in names), strict=True
    ):
        if status == "done":
            if accuracy == accuracy:
                continue
            no_gold = has_gold is False
            status = "no gold" if no_gold else "failed"
            reason = "the test split has no gold labels" if no_gold else "finished without scores"
        text = reason if isinstance(reason, str) and reason else "no reason was recorded"
        grouped[(status, setup, task, noise, method), text].append((seed, cell))
    gaps = [
        Gap(*place, tuple(sorted(seed for seed, _ in found)), text, tuple(cell for _, cell in found))
        for (place, text), found in grouped.items()
    ]
    for block in blocks:
        for method in block.methods:
            for task, noise in block.current():
                if (method, (task, noise)) not in block.rows:
                    gaps.append(Gap("not run", block.setup, task, noise, method, (), "no cell of it is here", ()))
    return sorted(gaps, key=lambda gap: (ORDER.index(gap.status), *gap[1:5]))


def gap_sentences(gaps: Sequence[Gap]) -> list[str]:
    """One sentence per gap; what was not run is one sentence per method."""
    sentences, not_run = [], defaultdict(list)
    for gap in gaps:
        if gap.status == "not run":
            not_run[gap.setup, gap.method].append(f"{gap.task} {gap.noise}")
        else:
            seeds = f"seed{'s' if len(gap.seeds) > 1 else ''} {', '.join(map(str, gap.seeds))}"
            where = f"{gap.task}, {gap.noise}, {gap.method}, {gap.setup}, {seeds}"
            sentences.append(f"{gap.status}: {where}: {gap.reason}")
    for (setup, method), columns in not_run.items():
        sentences.append(f"not run: {method}, {setup}: {', '.join(columns)}")
    return sentences
