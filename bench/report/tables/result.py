"""Result tables: methods x noise sources, mean and interval over seeds, honest about what is missing.

`bench.report.output.render` writes them as Markdown, LaTeX and CSV, `bench.report.output.page` as HTML.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable
from typing import ClassVar

from bench.report.tables.averages import RANGE_HEAD, averages_of, range_entry
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, averages, common_columns
from bench.report.tables.bootstrap import Draws
from bench.report.tables.entries import (
    BOLD_TEXT,
    HARD,
    RULE_TEXT,
    _seed_sentence,
    average_sentences,
    column_head,
    difference,
    entry,
    few_sentence,
    mark_best,
    mean_entry,
    reference_sentences,
    small_test_sentences,
    wilson,
)
from bench.report.tables.headlines import Leader
from bench.report.tables.model import Entry, Head, Row, Table
from bench.report.tables.partial import with_few
from bench.report.tables.seeds import own_seeds_sentence
from bench.report.tables.worth import with_worth
from bench.report.tables.yardstick import LABELLER, labeller_accuracy
from bench.store.metrics import METRICS


@register
class ResultTables(ReportTable):
    """Methods x noise sources: mean and interval over seeds."""

    name, order = "results", 10
    kinds: ClassVar = {"accuracy": "accuracy", "ece": "calibration error"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table per layout and shown metric."""
        draws, _ = context.draws()
        for where in layouts(context.block):
            for metric in SHOWN:
                made = result_table(context.block, metric_name=metric, rule=context.rule, draws=draws, **where)
                table = with_few(made, context)
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


Part = tuple[Head, dict[str, Entry], list[Column]]
"""A column of a result table: its head, its entries by method, and the columns of the block that it is over."""


def result_table(
    block: Block,
    task: str,
    metric_name: str,
    rule: str,
    *,
    noise: str = "",
    kind: str = "",
    draws: Draws | None = None,
) -> Table:
    """Methods x columns: averages by kind of noise, the difference from the baseline, each task and noise source.

    Of one task or of one noise source (`""`: of all); `kind="llm"` keeps the labels of LLMs only: the layout of the
    paper. Without the bootstrap `draws` nothing is bold.
    """
    metric, name, baseline = METRICS[metric_name], f"{metric_name}_{rule}", block.baseline
    draws = draws if metric_name == "accuracy" else None  # they are of accuracies
    columns = [
        column
        for column in block.columns
        if task in ("", column[0]) and noise in ("", column[1]) and kind in ("", block.kinds[column])
    ]
    methods = [method for method in block.methods if any((method, column) in block.rows for column in columns)]
    competing = [method for method in methods if method not in block.references]
    made = averages_of(block, columns, methods, name, metric.scale)
    parts: list[Part] = []
    few = set[str]()

    def add(head: Head, entries: dict[str, Entry], over: list[Column], left_out: Collection[str] = ()) -> None:
        if draws is not None:
            among = [method for method in competing if method not in left_out]
            leader = Leader.of(block, among, over, rule, draws)
            entries = mark_best(entries, leader)
            few.update(leader.without)
        parts.append((head, entries, over))

    for each in made:
        found = {m: mean_entry(block, m, each.columns, name, each.by_seed[m]) for m in methods}
        add(each.head, found, each.columns, [*each.left_out, *each.no_seed])
        if len({column[0] for column in each.span.columns}) > 1:
            ranges = {m: range_entry(block, each, m, name, metric) for m in methods}
            parts.append((dataclasses.replace(RANGE_HEAD, group=each.head.group), ranges, []))
    over = made[-1].columns if made else common_columns(block, columns, name)[0]
    whole = made[-1].by_seed if made else {m: averages(block, m, over, name, metric.scale) for m in methods}
    against: dict[str, Entry] = {}
    if baseline in methods:
        against = {m: difference(block, draws, m, over, rule, whole) for m in methods}
        parts.append((Head(f"vs {baseline}", made[-1].head.group if made else ""), against, over))
    differ = any(each.state == "value" for method, each in against.items() if method in {*competing} - {block.early})
    for column in columns:
        found = {m: entry(block, m, column, name, metric) for m in methods}
        add(column_head(block, column, by_task=not noise), found, [column])
    heads = [head for head, *_ in parts]
    rows = [block.row(m, (entries[m] for _, entries, _ in parts)) for m in methods]
    sentences = [
        _seed_sentence(block, columns, name, metric),
        own_seeds_sentence(block, methods, columns, name, differences=differ),
        RULE_TEXT[rule],
        BOLD_TEXT,
        few_sentence(few),
        *average_sentences(block, columns, made),
    ]
    labeller = _labeller_row(block, parts, whole.get(baseline) if baseline else None)
    if baseline in methods:
        sentences.append(_difference_sentence(baseline, against, labeller is not None and metric_name in HARD))
    if block.early in methods:
        sentences.append(f"{block.early}: {baseline} at the step with the highest accuracy on noisy validation labels.")
    sentences += reference_sentences(block, methods)
    sentences += small_test_sentences(block, columns, rule) if metric_name == "accuracy" else []
    if labeller:
        if metric_name in HARD:
            sentences += _silent_labellers(block, columns)
        else:
            labeller = dataclasses.replace(labeller, entries=(Entry("empty"),) * len(heads))
            sentences.append("The labeller itself gives labels without probabilities: it has no such score.")
        rows.append(labeller)
    where = task or {"llm": "LLM labels, "}.get(kind, "") + (f"{noise}, " if noise else "") + "all tasks"
    title = f"{metric.title}{f' ({metric.unit})' if metric.unit else ''}: {where}, {block.setup}"
    name = f"{metric_name}-{where}"
    return block.table(metric_name, title, heads, rows, sentences, metric, name=name, task=task, noise=noise)


def _difference_sentence(baseline: str, against: dict[str, Entry], labeller: bool) -> str:
    """What the differences from the baseline are, and which have no interval."""
    bare = [m for m, each in against.items() if each.state == "value" and math.isnan(each.half) and not each.limits]
    without = f" (none for {', '.join(bare)})" if bare else ""
    unpaired = "; the labeller's is not paired and has none, as it has no seeds" if labeller else ""
    return f"vs {baseline}: difference of the averages, paired by seed, with 95 % interval{without}{unpaired}."


def _labeller_row(block: Block, parts: list[Part], baseline: dict[int, float] | None) -> Row | None:
    """The labeller itself as a classifier of the test texts; None where no column has one."""
    columns = [(head.task, head.noise) for head, *_ in parts if head.task]
    known = {column: labeller_accuracy(labelled) for column in columns if (labelled := block.labelled(column))}
    if not known:
        return None
    entries = []
    for head, _, over in parts:
        against = not head.task and head.name.startswith("vs ")
        if not over or not set(over) <= set(known) or (against and not baseline):
            entries.append(Entry("empty"))
            continue
        mean = sum(known[column] for column in over) / len(over)
        if against and baseline:
            mean -= sum(baseline.values()) / len(baseline)
        single = len(over) == 1 and not against
        sizes = [row["n_scored"] for row in block.cells(over[0]) if row["n_scored"]] if single else []
        limits = wilson(mean / 100, min(sizes)) if sizes else None  # it has no seeds
        ids = tuple(cell for column in over for cell in _labeller_cells(block.labelled(column)))
        half = (limits[1] - limits[0]) / 2 if limits else math.nan
        entries.append(Entry("value", mean, half, cells=ids, signed=against, limits=limits))
    return Row(LABELLER, "reference", tuple(entries))


def _labeller_cells(labelled: list[dict]) -> list[str]:
    """Those of the first method."""
    return [row["cell"] for row in labelled if row["method_label"] == labelled[0]["method_label"]]


def _silent_labellers(block: Block, columns: list[Column]) -> list[str]:
    """Where the labeller left test texts without an answer, and how many: they count as wrong."""
    found = []
    for column in columns:
        shares = [row["labeller_test_no_answer"] for row in block.labelled(column)]
        if any(shares):
            found.append(f"{column[1]} {100 * sum(shares) / len(shares):.1f} %")
    return [f"No answer counts as wrong in the labeller's row; of the test texts: {', '.join(found)}."] if found else []
