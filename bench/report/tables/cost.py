"""What methods cost per cell, and what making the label sets cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, common_columns
from bench.report.tables.model import Entry, Head, Row, Table, number

MOST_SPREAD = 2.0
"""Stand-alone costs whose parts took so many times longer in some cells than in others are not compared."""

LABELLING = {
    "labelling_texts": (Head("texts", "label set", "asked"), 1, 0),
    "labelling_tokens": (Head("tokens", "label set", "thousands"), 1e-3, 0),
    "labelling_seconds": (Head("seconds", "label set"), 1, 0),
    "labelling_usd": (Head("price", "label set", "US dollars"), 1, 2),
}
"""Parts of a labelling cost, with the scale and the decimals in which they are shown."""


@register
class LabellingTable(ReportTable):
    """What making the label sets cost."""

    name, order = "labelling", 70
    kinds: ClassVar = {"cost": "cost"}

    def make(self, context: Context) -> Iterable[Table]:
        """One table, a row per label set, where labels are from LLMs."""
        block = context.block
        rows = [_labelling_row(block, column) for column in block.columns if block.kinds[column] == "llm"]
        if not rows:
            return
        heads = (head for head, *_ in LABELLING.values())
        caption = (
            "One-off cost of making the label set, from its card; not included in any cell. Seconds are those of the "
            "machine that made it; a model that runs locally has no price. Not published: the set has no card with its "
            "cost, or the record is older than this table.",
        )
        title = f"Cost of labelling: {block.setup}"
        yield block.table("cost", title, heads, rows, caption, name="labelling", decimals=0, first="label set")


def cost_table(block: Block, methods: list[str], shared: list[Column]) -> Table:
    """Seconds per cell (alone, and as run with stages shared), peak memory, trainable parameters, device."""
    unit = seconds_unit(block, methods, shared)
    measures = {
        "seconds_stand_alone": (Head("stand-alone", f"{unit} seconds per cell"), 1, 1),
        "seconds_marginal": (Head("marginal", "wall seconds per cell"), 1, 1),
        "peak_memory_mb": (Head("peak memory", "", "MB"), 1, 0),
        "parameters": (Head("parameters", "", "millions, trainable"), 1e-6, 2),
    }
    by_column = {(method, name): _by_column(block, method, shared, name) for method in methods for name in measures}
    known = {name: {column for method in methods for column in by_column[method, name]} for name in measures}
    rows, lacking = [], dict[str, None]()
    for method in methods:
        cells, entries = block.finished(method, shared), []
        ids = tuple(row["cell"] for row in cells)
        for name, (_, scale, decimals) in measures.items():
            found = by_column[method, name]
            if found and found.keys() == known[name]:
                mean = scale * sum(found.values()) / len(found)
                entries.append(Entry("value", mean, cells=ids, decimals=decimals))
                continue
            lacking |= {method: None} if found else {}
            entries.append(Entry("empty", cells=ids, note="lacks columns that others have" if found else ""))
        devices = ", ".join(dict.fromkeys(str(row["device"]) for row in cells if row["device"]))
        rows.append(block.row(method, [*entries, Entry("text", text=devices) if devices else Entry("empty")]))
    heads = (*(head for head, *_ in measures.values()), Head("device"))
    caption = (
        "Seeds are averaged first. Stand-alone: a method's own time and the price of every stage that "
        "it uses, as if nothing had been shared; a stage has one price, the median time that computing it took in "
        "these cells.",
        "In processor seconds."
        if unit == "processor"
        else "In wall seconds: a cell used an accelerator, or its record predates the count of processor seconds.",
        "Marginal: wall time as run, shared stages taken from the store.",
        "Peak memory: as run, without the shared stages that were taken from the store.",
        cost_doubt(block, shared),
        f"Empty where a method lacks columns that others have: {', '.join(lacking)}." if lacking else "",
    )
    return block.table("cost", f"Cost: {block.setup}", heads, rows, caption, higher_is_better=False)


def seconds_unit(block: Block, methods: Iterable[str], columns: list[Column]) -> str:
    """What the stand-alone seconds of these cells are: processor or wall."""
    units = (row["seconds_unit"] for method in methods for row in block.finished(method, columns))
    return next(filter(None, units), "wall")


def cost_doubt(block: Block, shared: list[Column] | None = None) -> str:
    """Why the stand-alone costs of a set-up cannot be compared, as a sentence; empty where they can.

    They cannot where the parts of a competing method's cost (its own time in a task, the stages that it uses) took
    `MOST_SPREAD` times longer at the ninetieth percentile than at the tenth: the machine was then shared with other
    work, or was not the same one.
    """
    if shared is None:
        shared, _ = common_columns(block, block.columns, "accuracy_last")
    worst: tuple[float, str, float, float] = (0.0, "", 0.0, 0.0)
    for method in block.methods:
        cells = [row for row in block.finished(method, shared) if row["seconds_stand_alone"] is not None]
        if method in block.references or not cells:
            continue
        low, high = (sum(row[f"seconds_stand_alone_{end}"] for row in cells) / len(cells) for end in ("low", "high"))
        if low > 0:
            worst = max(worst, (high / low, method, low, high))
    ratio, method, low, high = worst
    if ratio <= MOST_SPREAD:
        return ""
    return (
        "Stand-alone costs here are not consistent: by the fastest and the slowest tenth of what the same stages and "
        f"methods took, {method} costs {number(low, 1)} or {number(high, 1)} seconds per cell, as on a machine shared "
        "with other work. Do not rank methods by them; the figure of accuracy against cost is left out."
    )


def _labelling_row(block: Block, column: Column) -> Row:
    """What making one label set cost, by the first record that says so."""
    known = next((row for row in block.cells(column) if row["labelling_texts"] is not None), {})
    costs = ((known.get(name), scale, decimals) for name, (_, scale, decimals) in LABELLING.items())
    entries = tuple(
        Entry("text", text="not published")
        if cost is None
        else Entry("value", scale * cost, cells=(known["cell"],), decimals=decimals)
        for cost, scale, decimals in costs
    )
    return Row(f"{column[1]}, {column[0]}", "method", entries)


def _by_column(block: Block, method: str, columns: list[Column], name: str) -> dict[Column, float]:
    """By column: the mean over a method's cells, where one of them says so."""
    found = {c: [row[name] for row in block.finished(method, [c]) if row[name] is not None] for c in columns}
    return {column: sum(values) / len(values) for column, values in found.items() if values}
