"""Result tables: methods x noise sources, mean and interval over seeds, honest about what is missing.

`bench.report.output.render` writes them as Markdown, LaTeX and CSV, `bench.report.output.page` as HTML.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import ClassVar

from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, averages, common_columns, row_kind
from bench.report.tables.entries import (
    BOLD_TEXT,
    HARD,
    RULE_TEXT,
    _seed_sentence,
    average_sentences,
    column_head,
    difference,
    entry,
    mark_best,
    reference_sentences,
    summary,
)
from bench.report.tables.model import Entry, Head, Row, Table
from bench.report.tables.worth import with_worth
from bench.report.tables.yardstick import LABELLER
from bench.store.metrics import METRICS


@register
class ResultTables(ReportTable):
    """Methods x noise sources: mean and interval over seeds."""

    name, order = "results", 10
    kinds: ClassVar = {"accuracy": "accuracy", "ece": "calibration error"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table per layout and shown metric."""
        for where in layouts(context.block):
            for metric in SHOWN:
                table = result_table(
                    context.block, metric_name=metric, rule=context.rule, baseline=context.baseline, **where
                )
                yield with_worth(table, context.yardstick) if metric == "accuracy" else table


def layouts(block: Block) -> list[dict[str, str]]:
    """Which columns the result tables of a set-up have: all, the LLMs' (as in the paper), by task, by noise source."""
    tasks = block.tasks()
    if len(tasks) == 1:
        return [{"task": tasks[0]}]
    llm = [column for column in block.columns if block.kinds[column] == "llm"]
    made = [{"task": ""}]
    paper = 1 < len(llm) < len(block.columns)
    made += [{"task": "", "kind": "llm"}] if paper else []
    made += [{"task": task} for task in tasks]
    shared = [noise for noise in block.noises() if sum(each == noise for _, each in block.columns) > 1]
    if paper and len(llm_noises := {noise for _, noise in llm}) == 1:  # the table of its LLM is there already
        shared = [noise for noise in shared if noise not in llm_noises]
    return made + ([{"task": "", "noise": noise} for noise in shared] if len(block.noises()) > 1 else [])


def result_table(
    block: Block, task: str, metric_name: str, rule: str, baseline: str | None, *, noise: str = "", kind: str = ""
) -> Table:
    """Methods x columns (task and noise source), with their average and the difference from the baseline.

    Of one task or of one noise source (`""`: of all); `kind="llm"` keeps the labels of LLMs only: the layout of the
    paper.
    """
    metric, name = METRICS[metric_name], f"{metric_name}_{rule}"
    columns = [
        column
        for column in block.columns
        if task in ("", column[0]) and noise in ("", column[1]) and kind in ("", block.kinds[column])
    ]
    methods = [method for method in block.methods if any((method, column) in block.rows for column in columns)]
    competing = [method for method in methods if method not in block.references]
    shared, left_out = common_columns(block, columns, name)
    average = {
        method: {} if method in left_out else averages(block, method, shared, name, metric.scale) for method in methods
    }
    grid = {method: [entry(block, method, column, name, metric) for column in columns] for method in methods}
    for position, column in enumerate(columns):
        mark_best(grid, position, {each: block.values(each, column, name) for each in competing}, metric)
    heads = [column_head(block, column, by_task=not noise) for column in columns]
    if len(block.current(columns)) > 1:
        for method in methods:
            grid[method].append(summary(average[method], block.ids(method, shared)))
        mark_best(grid, len(columns), {method: average[method] for method in competing}, metric)
        heads.append(Head("average"))
    if baseline in methods:
        for method in methods:
            grid[method].append(difference(average, method, baseline, block.ids(method, shared)))
        heads.append(Head(f"vs {baseline}"))
    rows = [Row(method, row_kind(block, method, baseline), tuple(grid[method])) for method in methods]
    sentences = [
        _seed_sentence(block, columns, name, metric),
        RULE_TEXT[rule],
        BOLD_TEXT,
        *average_sentences(block, columns, shared, left_out),
    ]
    if baseline in methods:
        sentences.append(f"vs {baseline}: difference of the averages, paired by seed, with 95 % interval.")
    sentences += reference_sentences(block, methods)
    if labeller := _labeller_row(block, columns, shared, average.get(baseline) if baseline else None, len(heads)):
        if metric_name in HARD:
            sentences += _silent_labellers(block, columns)
        else:
            labeller = dataclasses.replace(labeller, entries=(Entry("empty"),) * len(heads))
            sentences.append("The labeller itself gives labels without probabilities: it has no such score.")
        rows.append(labeller)
    where = task or {"llm": "LLM labels, "}.get(kind, "") + (f"{noise}, " if noise else "") + "all tasks"
    return Table(
        name=f"{metric_name}-{where}-{block.setup}",
        title=f"{metric.title}{f' ({metric.unit})' if metric.unit else ''}: {where}, {block.setup}",
        kind=metric_name,
        setup=block.setup,
        task=task,
        heads=tuple(heads),
        rows=tuple(rows),
        decimals=metric.decimals,
        caption=tuple(sentences),
        seeds=max((each.n for row in rows for each in row.entries), default=0),
        higher_is_better=metric.higher_is_better,
        noise=noise,
    )


def _labeller_row(
    block: Block, columns: list[Column], shared: list[Column], baseline: dict[int, float] | None, width: int
) -> Row | None:
    """The labeller itself as a classifier of the test texts; None where no column has one."""
    known = {column: values for column in columns if (values := _labeller_accuracies(block, column))}
    if not known:
        return None
    by_column = {column: _labelled_cells(block, column) for column in columns}
    entries = [summary(dict(enumerate(known.get(column, ()))), by_column[column]) for column in columns]
    ids = tuple(cell for column in shared for cell in by_column[column])
    if len(block.current(columns)) > 1:
        means = [sum(known[column]) / len(known[column]) for column in shared if column in known]
        whole = bool(shared) and len(means) == len(shared)
        entries.append(Entry("value", sum(means) / len(means), cells=ids) if whole else Entry("empty"))
    if width > len(entries):
        if baseline and shared and all(column in known for column in shared):
            mean = sum(sum(known[column]) / len(known[column]) for column in shared) / len(shared)
            ours = sum(baseline.values()) / len(baseline)
            entries.append(Entry("value", mean - ours, cells=ids, signed=True))
        else:
            entries.append(Entry("empty"))
    return Row(LABELLER, "reference", tuple(dataclasses.replace(each, n=0) for each in entries))


def _labeller_accuracies(block: Block, column: Column) -> list[float]:
    rows = [row for method in block.methods for row in block.rows.get((method, column), ())]
    by_seed = {r["seed"]: 100 * r["labeller_test_accuracy"] for r in rows if r["labeller_test_accuracy"] is not None}
    # One set of answers whatever the seed has one accuracy, not a spread of zero over seeds.
    return list(by_seed.values()) if len(set(by_seed.values())) > 1 else list(by_seed.values())[:1]


def _silent_labellers(block: Block, columns: list[Column]) -> list[str]:
    """Where the labeller left test texts without an answer, and how many: they count as wrong."""
    found = []
    for column in columns:
        rows = [row for method in block.methods for row in block.rows.get((method, column), ())]
        shares = [r["labeller_test_no_answer"] for r in rows if r["labeller_test_accuracy"] is not None]
        if any(shares):
            found.append(f"{column[1]} {100 * sum(shares) / len(shares):.1f} %")
    return [f"No answer counts as wrong in the labeller's row; of the test texts: {', '.join(found)}."] if found else []


def _labelled_cells(block: Block, column: Column) -> tuple[str, ...]:
    """The cells of the first method whose records hold the labeller's own accuracy."""
    for method in block.methods:
        rows = block.rows.get((method, column), ())
        if found := tuple(row["cell"] for row in rows if row["labeller_test_accuracy"] is not None):
            return found
    return ()
