"""The main tables of a report: accuracy and gain by kind of noise, the last step and early stopping side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from bench.core.texts import plural
from bench.report.tables.averages import no_seed_sentence, weights_of
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, averages, without_average
from bench.report.tables.bootstrap import RULES, Draws
from bench.report.tables.entries import (
    BOLD_TEXT,
    difference,
    few_sentence,
    mark_best,
    mean_entry,
    reference_sentences,
    small_test_sentences,
)
from bench.report.tables.headlines import Compared, Leader, compared_in, method_gains
from bench.report.tables.model import Entry, Head, Table
from bench.report.tables.seeds import own_seeds_sentence
from bench.store.metrics import METRICS, Metric

RULE_HEADS = {"last": "last step", "noisy_valid": "+es"}
BOTH_RULES = (
    "Last step: the scores of the last step. +es: those of the step with the highest accuracy on the noisy validation "
    "labels (early stopping)."
)


@register
class RulesTables(ReportTable):
    """Accuracy, and what it gains over the baseline, by kind of noise and by both rules."""

    name, order = "rules", 5
    kinds: ClassVar = {"accuracy": "accuracy", "ece": "calibration error", "gain": "difference from the baseline"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """The two tables."""
        draws, why_not = context.draws()
        for metric in SHOWN:
            yield rules_table(context.block, draws, metric)
        yield rule_gains_table(context.block, draws, why_not)


def rules_table(block: Block, draws: Draws | None, metric_name: str = "accuracy") -> Table | None:
    """Methods x kinds of noise: a score by the last step and by early stopping, side by side; None without scores."""
    metric = METRICS[metric_name]
    parts: list[tuple[Head, dict[str, Entry]]] = []
    few, other_seeds, lacking = set[str](), "", dict[str, list[str]]()
    for head, rule, each in _columns(block):
        name, entries = f"{metric_name}_{rule}", {}
        for method in without_average(each.block, each.block.methods, each.columns, name):
            lacking.setdefault(method, []).append(f"{head.group}, {head.name}")
        other_seeds = other_seeds or own_seeds_sentence(each.block, each.scores, each.columns, name)
        for method in each.scores:
            by_seed = averages(each.block, method, each.columns, name, metric.scale)
            entries[method] = mean_entry(each.block, method, each.columns, name, by_seed)
        if metric_name == "accuracy":
            leader = Leader.of(each.block, each.methods, each.columns, rule, draws)
            entries, few = mark_best(entries, leader), few | {*leader.without}
        parts.append((head, entries))
    places = [list(found) for found in dict.fromkeys(map(tuple, lacking.values()))]
    no_seed = [
        no_seed_sentence(
            [method for method in lacking if lacking[method] == where],
            "an average" if len(where) == len(parts) else f"an average ({'; '.join(where)})",
        )
        for where in places
    ]
    unit = f" ({metric.unit})" if metric.unit else ""
    return _both(block, parts, metric, metric_name, f"{metric.title}{unit}, both rules: {block.setup}", (
        "Averages over the columns (task and noise source) of each kind of noise that every compared method has: mean "
        "± 95 % t-interval over seeds.",
        *no_seed,
        other_seeds,
        BOLD_TEXT,
        few_sentence(few),
        *(small_test_sentences(block, block.current(), "last") if metric_name == "accuracy" else ()),
    ))  # fmt: skip


def rule_gains_table(block: Block, draws: Draws | None, why_no_draws: str) -> Table | None:
    """Methods x kinds of noise: what they gain over the baseline by the same rule; None without a baseline."""
    baseline = block.baseline
    parts: list[tuple[Head, dict[str, Entry]]] = []
    for head, rule, each in _columns(block):
        entries = {}
        for gain in method_gains(each, rule, draws):
            filled = difference(each.block, draws, gain.method, each.columns, rule, each.scores)
            limits = "" if gain.gap.texts is None else "{:+.1f} to {:+.1f}".format(*gain.gap.texts)
            note = "; ".join(filter(None, [filled.note, limits and f"over seeds and test texts: {limits}"]))
            sure = gain.sure and gain.gap.seeds.mean > 0
            entries[gain.method] = dataclasses.replace(filled, best=sure, note=note.replace("-", "−"))
        parts.append((head, entries))
    title = f"Accuracy: difference from {baseline} (points), both rules: {block.setup}"
    return _both(block, parts, METRICS["accuracy"], "gain", title, (
        f"Differences of the averages from {baseline} by the same rule, paired by seed: mean ± 95 % t-interval over "
        "seeds.",
        "Bold: a gain that the interval over seeds (p < 0.05 corrected for the number of methods, Holm) and the "
        "bootstrap over test texts both show.",
        f"None is bold, because there is no bootstrap: {why_no_draws}." if why_no_draws else "",
    ))  # fmt: skip


def _columns(block: Block) -> Iterator[tuple[Head, str, Compared]]:
    """The columns of such a table: each kind of noise by both rules, and what is compared there."""
    for span in block.spans(block.current()):
        for rule in RULES:
            found = compared_in(block, span, rule)
            below = weights_of(block, found.columns) if span.kind == "all" else plural(len(found.columns), "column")
            yield Head(RULE_HEADS[rule], span.title, below), rule, found


def _both(
    block: Block,
    parts: list[tuple[Head, dict[str, Entry]]],
    metric: Metric,
    kind: str,
    title: str,
    caption: Sequence[str],
) -> Table | None:
    """A table of both rules from its columns, the rows of the last step's methods; None without a number."""
    shown = block.by("last")
    methods = [method for method in shown.methods if any(method in entries for _, entries in parts)]
    if not methods or not parts:
        return None
    heads = (head for head, _ in parts)
    rows = [shown.row(each, (entries.get(each, Entry("empty")) for _, entries in parts)) for each in methods]
    early = (
        f"{shown.early}: {block.baseline} stopped early, which is what early stopping gives by itself."
        if shown.early
        else ""
    )
    said = (BOTH_RULES, *caption, early, *reference_sentences(shown, methods))
    return block.table(kind, title, heads, rows, said, metric, name=f"{kind}-both rules")
