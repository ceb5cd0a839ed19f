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
    names = ["status", "setup", "task", "noise", "method_label", "reason"]
    found = cells.loc[(cells["status"] != "done") | cells["accuracy_last"].isna(), [*names, "has_gold", "seed", "cell"]]
    done, no_gold = found["status"] == "done", found["has_gold"].eq(False).fillna(False)
    found["reason"] = found["reason"].where(found["reason"].astype(bool)).fillna("no reason was recorded")
    found.loc[done, ["status", "reason"]] = "failed", "finished without scores"
    found.loc[done & no_gold, ["status", "reason"]] = "no gold", "the test split has no gold labels"
    gaps = [
        Gap(status, setup, task, noise, method, tuple(sorted(part["seed"])), reason, tuple(part["cell"]))
        for (status, setup, task, noise, method, reason), part in found.groupby(names, sort=False)
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
