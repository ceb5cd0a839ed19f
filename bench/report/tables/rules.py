"""The main tables of a report: accuracy and gain by kind of noise, the last step and early stopping side by side."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import ClassVar

from bench.report.tables.averages import weights_of
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, Span, averages, row_kind
from bench.report.tables.bootstrap import RULES, Draws
from bench.report.tables.entries import (
    BOLD_TEXT,
    difference,
    mark_best,
    mean_entry,
    reference_sentences,
    small_test_sentences,
    texts_half,
)
from bench.report.tables.headlines import Compared, Leader, compared_in, method_gains
from bench.report.tables.model import Entry, Head, Row, Table, plural
from bench.store.metrics import METRICS

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
            yield rules_table(context.block, context.baseline, draws, metric)
        yield rule_gains_table(context.block, context.baseline, draws, why_not)


def rules_table(block: Block, baseline: str | None, draws: Draws | None, metric_name: str = "accuracy") -> Table | None:
    """Methods x kinds of noise: a score by the last step and by early stopping, side by side; None without scores."""
    metric = METRICS[metric_name]
    parts: list[tuple[Head, dict[str, Entry]]] = []
    for span, found in _spans(block):
        for rule, each in found.items():
            name = f"{metric_name}_{rule}"
            entries = {}
            for method in each.scores:
                by_seed = averages(each.block, method, each.columns, name, metric.scale)
                half = functools.partial(texts_half, each.block, method, each.columns, name)
                entries[method] = mean_entry(by_seed, each.block.ids(method, each.columns), half)
            if metric_name == "accuracy":
                entries = mark_best(entries, Leader.of(each.block, each.methods, each.columns, rule, draws))
            parts.append((Head(RULE_HEADS[rule], span.title, _below(block, span.kind, each)), entries))
    unit = f" ({metric.unit})" if metric.unit else ""
    made = _both(block, baseline, parts, metric_name, f"{metric.title}{unit}, both rules: {block.setup}", (
        "Averages over the columns (task and noise source) of each kind of noise that every compared method has: mean "
        "± 95 % t-interval over seeds.",
        BOLD_TEXT,
        *(small_test_sentences(block, block.current(), "last") if metric_name == "accuracy" else ()),
    ))  # fmt: skip
    if made is None:
        return None
    return dataclasses.replace(made, decimals=metric.decimals, higher_is_better=metric.higher_is_better)


def rule_gains_table(block: Block, baseline: str | None, draws: Draws | None, why_no_draws: str) -> Table | None:
    """Methods x kinds of noise: what they gain over the baseline by the same rule; None without a baseline."""
    parts: list[tuple[Head, dict[str, Entry]]] = []
    for span, found in _spans(block):
        for rule, each in found.items():
            entries = {}
            for gain in method_gains(each, baseline, rule, draws):
                scores = each.scores
                filled = difference(each.block, draws, gain.method, str(baseline), each.columns, rule, scores)
                limits = "" if gain.gap.texts is None else "{:+.1f} to {:+.1f}".format(*gain.gap.texts)
                note = "; ".join(filter(None, [filled.note, limits and f"over seeds and test texts: {limits}"]))
                sure = gain.sure and gain.gap.seeds.mean > 0
                entries[gain.method] = dataclasses.replace(filled, best=sure, note=note.replace("-", "−"))
            parts.append((Head(RULE_HEADS[rule], span.title, _below(block, span.kind, each)), entries))
    title = f"Accuracy: difference from {baseline} (points), both rules: {block.setup}"
    return _both(block, baseline, parts, "gain", title, (
        f"Differences of the averages from {baseline} by the same rule, paired by seed: mean ± 95 % t-interval over "
        "seeds.",
        "Bold: a gain that the interval over seeds (p < 0.05 corrected for the number of methods, Holm) and the "
        "bootstrap over test texts both show.",
        f"None is bold, for want of the bootstrap: {why_no_draws}." if why_no_draws else "",
    ))  # fmt: skip


def _spans(block: Block) -> Iterator[tuple[Span, dict[str, Compared]]]:
    """The spans of the block's columns, with what is compared in each by both rules."""
    for span in block.spans(block.current()):
        yield span, {rule: compared_in(block, span, rule) for rule in RULES}


def _below(block: Block, kind: str, found: Compared) -> str:
    if kind == "all":
        return weights_of(block, found.columns)
    return plural(len(found.columns), "column")


def _both(
    block: Block,
    baseline: str | None,
    parts: list[tuple[Head, dict[str, Entry]]],
    kind: str,
    title: str,
    caption: tuple[str, ...],
) -> Table | None:
    """A table of both rules from its columns, the rows of the last step's methods; None without a number."""
    shown = block.by("last")
    methods = [method for method in shown.methods if any(method in entries for _, entries in parts)]
    if not methods or not parts:
        return None
    filled = {method: tuple(entries.get(method, Entry("empty")) for _, entries in parts) for method in methods}
    rows = [Row(method, row_kind(shown, method, baseline), filled[method]) for method in methods]
    early = f"{shown.early}: {baseline} stopped early, what early stopping gives by itself." if shown.early else ""
    sentences = (BOTH_RULES, *caption, early, *reference_sentences(shown, methods))
    return Table(
        name=f"{kind}-both rules-{block.setup}",
        title=title,
        kind=kind,
        setup=block.setup,
        task="",
        heads=tuple(head for head, _ in parts),
        rows=tuple(rows),
        caption=tuple(filter(None, sentences)),
        seeds=max((each.n for row in rows for each in row.entries), default=0),
    )
