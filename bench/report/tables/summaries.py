"""Tables over all columns of a set-up: selection of the step, calibration, cost of training and of labelling."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import ClassVar

from bench.report.tables import stats
from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, averages, common_columns, row_kind
from bench.report.tables.entries import BOLD_TEXT, RULE_TEXT, mark_best, summary
from bench.report.tables.model import Entry, Head, Row, Table
from bench.store.metrics import METRICS


@register
class SummaryTables(ReportTable):
    """Averages over all columns of a set-up."""

    name, order = "summaries", 60
    kinds: ClassVar = {
        "selection": "which step is scored",
        "calibration": "all calibration metrics",
        "cost": "cost",
    }

    def make(self, context: Context) -> Iterable[Table | None]:
        """The tables of selection, calibration and cost."""
        return summary_tables(context.block, context.rule, context.baseline)


@register
class LabellingTable(ReportTable):
    """What making the label sets cost."""

    name, order = "labelling", 70
    kinds: ClassVar = {"cost": "cost"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table, where labels are from LLMs."""
        return [labelling_table(context.block)]


def summary_tables(block: Block, rule: str, baseline: str | None) -> list[Table]:
    """Selection, calibration and cost table of one set-up; none where no column is shared by the methods."""
    shared, left_out = common_columns(block, block.columns, f"accuracy_{rule}")
    if not shared:
        return []
    methods = [method for method in block.methods if method not in left_out]
    made = [
        selection_table(block, methods, shared, baseline),
        calibration_table(block, methods, shared, rule, baseline),
        cost_table(block, methods, shared, baseline),
    ]
    if len(shared) == len(block.current()):
        over = f"Averages over all {len(shared)} columns (task and noise source)."
    else:
        over = f"Averages over the {len(shared)} of {len(block.current())} columns (task and noise source) that every "
        over += "compared method has."
    if left_out:
        over += f" Without {', '.join(left_out)}, having fewer than half of the columns."
    seeds = "Mean ± 95 % t-interval over seeds."
    return [
        dataclasses.replace(table, caption=(over, *([seeds] if table.seeds > 1 else []), *table.caption))
        for table in made
    ]


def selection_table(block: Block, methods: list[str], shared: list[Column], baseline: str | None) -> Table:
    """Accuracy of the last step, of the step chosen on noisy valid, and of the best step on test, side by side."""
    rows = []
    for method in methods:
        by_rule = {
            rule: averages(block, method, shared, f"accuracy_{rule}", 100)
            for rule in ("last", "noisy_valid", "oracle_best")
        }
        ids = block.ids(method, shared)
        gaps = [
            stats.paired_difference(by_rule[ours], by_rule[theirs])
            for ours, theirs in (("noisy_valid", "last"), ("oracle_best", "last"))
        ]
        entries = [summary(by_rule[rule], ids) for rule in by_rule]
        entries += [Entry("value", *gap, cells=ids, signed=True) if gap.n else Entry("empty") for gap in gaps]
        rows.append(Row(method, row_kind(block, method, baseline), tuple(entries)))
    heads = (
        Head("last step", "accuracy (%)"),
        Head("noisy valid", "accuracy (%)"),
        Head("oracle best", "accuracy (%)", "selected on test"),
        Head("noisy valid − last", "difference"),
        Head("oracle best − last", "difference", "selected on test"),
    )
    caption = (
        "Last: the last step. Noisy valid: the step with the highest accuracy on the noisy validation labels. "
        "Oracle best: the best step on the test set, which cannot be chosen without gold labels: a diagnostic, "
        "never a result.",
    )
    title = f"Which step is scored: {block.setup}"
    return Table(
        f"selection-{block.setup}", title, "selection", block.setup, "", heads, tuple(rows), 1, caption, _most(rows)
    )


def calibration_table(block: Block, methods: list[str], shared: list[Column], rule: str, baseline: str | None) -> Table:
    """Every metric but accuracy, averaged over the shared columns."""
    names = [name for name in METRICS if name != "accuracy"]
    grid: dict[str, list[Entry]] = {method: [] for method in methods}
    for position, name in enumerate(names):
        metric = METRICS[name]
        values = {method: averages(block, method, shared, f"{name}_{rule}", metric.scale) for method in methods}
        for method in methods:
            filled = summary(values[method], block.ids(method, shared))
            grid[method].append(dataclasses.replace(filled, decimals=metric.decimals))
        competing = {method: values[method] for method in methods if method not in block.references}
        mark_best(grid, position, competing, metric)
    heads = tuple(
        Head(METRICS[name].short, "", "higher is better" if METRICS[name].higher_is_better else "lower is better")
        for name in names
    )
    rows = tuple(Row(method, row_kind(block, method, baseline), tuple(grid[method])) for method in methods)
    caption = (
        "Calibration errors use 15 bins: of equal width (ECE, classwise, maximum) or of equal mass (adaptive).",
        RULE_TEXT[rule],
        BOLD_TEXT,
    )
    title = f"Calibration: {block.setup}"
    return Table(
        f"calibration-{block.setup}", title, "calibration", block.setup, "", heads, rows, 1, caption, _most(rows)
    )


def cost_table(block: Block, methods: list[str], shared: list[Column], baseline: str | None) -> Table:
    """Seconds per cell (alone, and as run with stages shared), peak memory, trainable parameters, device."""
    rows = []
    for method in methods:
        cells = [row for column in shared for row in block.rows.get((method, column), ()) if row["status"] == "done"]
        ids = tuple(row["cell"] for row in cells)
        entries = [
            _mean(cells, name, scale, decimals, ids)
            for name, scale, decimals in (
                ("seconds_stand_alone", 1, 1),
                ("seconds_marginal", 1, 1),
                ("peak_memory_mb", 1, 0),
                ("parameters", 1e-6, 2),
            )
        ]
        devices = ", ".join(dict.fromkeys(str(row["device"]) for row in cells if row["device"]))
        entries.append(Entry("text", text=devices) if devices else Entry("empty"))
        rows.append(Row(method, row_kind(block, method, baseline), tuple(entries)))
    heads = (
        Head("stand-alone", "seconds per cell"),
        Head("marginal", "seconds per cell"),
        Head("peak memory", "", "MB"),
        Head("parameters", "", "millions, trainable"),
        Head("device"),
    )
    caption = (
        "Means over cells. Stand-alone: as if nothing had been shared between cells. "
        "Marginal: wall time as run, shared stages taken from the store.",
    )
    title = f"Cost: {block.setup}"
    return Table(
        f"cost-{block.setup}", title, "cost", block.setup, "", heads, tuple(rows), 1, caption, higher_is_better=False
    )


LABELLING = (("texts", 1, 0), ("tokens", 1e-3, 0), ("seconds", 1, 0), ("usd", 1, 2))
"""Parts of a labelling cost, with the scale and the decimals in which they are shown."""


def labelling_table(block: Block) -> Table | None:
    """What making each label set cost; None without labels from LLMs."""
    rows = []
    for task, noise in block.columns:
        if block.kinds[task, noise] != "llm":
            continue
        cells = [row for method in block.methods for row in block.rows.get((method, (task, noise)), ())]
        known = next((row for row in cells if row["labelling_texts"] is not None), None)
        entries = [
            Entry("value", scale * known[f"labelling_{name}"], cells=(known["cell"],), decimals=decimals)
            if known and known[f"labelling_{name}"] is not None
            else Entry("text", text="not published")
            for name, scale, decimals in LABELLING
        ]
        rows.append(Row(f"{noise}, {task}", "method", tuple(entries)))
    if not rows:
        return None
    heads = (
        Head("texts", "label set", "asked"),
        Head("tokens", "label set", "thousands"),
        Head("seconds", "label set"),
        Head("price", "label set", "US dollars"),
    )
    caption = (
        "One-off cost of making the label set, from its card; not included in any cell. Seconds are those of the "
        "machine that made it; a model that runs locally has no price. Not published: the set has no card with its "
        "cost, or the record is older than this table.",
    )
    title = f"Cost of labelling: {block.setup}"
    return Table(f"labelling-{block.setup}", title, "cost", block.setup, "", heads, tuple(rows), 0, caption)


def _mean(cells: list[dict], name: str, scale: float, decimals: int, ids: tuple[str, ...]) -> Entry:
    values = [scale * row[name] for row in cells if row[name] is not None]
    if not values:
        return Entry("empty")
    return Entry("value", sum(values) / len(values), cells=ids, decimals=decimals)


def _most(rows) -> int:
    """The largest number of seeds behind an entry."""
    return max((entry.n for row in rows for entry in row.entries), default=0)
