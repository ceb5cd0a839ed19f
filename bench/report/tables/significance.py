"""What the numbers support: paired tests of every method against the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from bench.core.texts import plural
from bench.report.tables import stats
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import averages, column_means, compared
from bench.report.tables.bootstrap import Gap, gap
from bench.report.tables.entries import RULE_TEXT
from bench.report.tables.model import Entry, Head, Table, number
from bench.report.tables.ranks import shared_texts_sentence
from bench.report.tables.seeds import seeds_differ
from bench.report.tables.wins import outcomes, score_array
from bench.store.metrics import METRICS


@register
class SignificanceTables(ReportTable):
    """Every method against the baseline, tested."""

    name, order = "significance", 30
    kinds: ClassVar = {"significance": "is it better than the baseline"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table per shown metric."""
        return [significance_table(context, metric) for metric in SHOWN]


def significance_table(context: Context, metric_name: str) -> Table | None:
    """Every method against the baseline: difference, two intervals, two paired tests with Holm's correction.

    None where nothing can be compared with the baseline. The bootstrap is of the accuracy alone.
    """
    block, rule, baseline = context.block, context.rule, context.baseline
    name, metric = f"{metric_name}_{rule}", METRICS[metric_name]
    methods, columns = compared(block, name)
    if baseline not in methods or len(methods) < 2:
        return None
    others = [method for method in methods if method != baseline]
    average = {method: averages(block, method, columns, name, metric.scale) for method in methods}
    by_seed = stats.corrected_p(average, others, baseline)
    means = [column_means(block, [method, baseline], columns, name) for method in others]
    gaps = [(ours - theirs)[~np.isnan(ours)] for ours, theirs in means]  # without columns that share no seed
    lacking = {method: len(columns) - len(each) for method, each in zip(others, gaps, strict=True)}
    by_column = stats.holm([stats.signed_rank_p(each) for each in gaps])
    shared = np.array([~np.isnan(ours) for ours, _ in means])[np.isfinite(by_column)].any(axis=0)
    tested = [column for column, each in zip(columns, shared, strict=True) if each]
    with_draws = metric_name == "accuracy"
    draws, why_no_draws = context.draws()
    rows = []
    for place, method in enumerate(others):
        seeds = stats.paired_difference(average[method], average[baseline])
        ids = block.ids(method, columns) + block.ids(baseline, columns)
        entries = [Entry("value", *seeds, cells=ids, signed=True) if seeds.n else Entry("text", text="no shared seed")]
        if with_draws:
            entries.append(_bootstrap(gap(block, draws, method, baseline, columns, rule), ids, why_no_draws))
        few = f"too few: {plural(seeds.n, 'seed')}" if seeds.n < stats.MIN_SEEDS else "no spread"
        entries.append(_p(by_seed[method], ids, few))
        entries.append(_p(by_column[place], ids, f"too few: {plural(len(gaps[place]), 'column')}"))
        entries.append(_record_against(block, method, baseline, columns, name, metric.higher_is_better))
        rows.append(block.row(method, entries))
    heads = (
        Head("difference", f"vs {baseline}", "± t-interval, seeds"),
        *([Head("bootstrap", f"vs {baseline}", "95 %, seeds and texts")] if with_draws else []),
        Head("p, seeds", "Holm-corrected", "paired t-test"),
        Head("p, columns", "Holm-corrected", "signed ranks"),
        Head("won / tied / lost", "columns"),
    )
    better = "higher" if metric.higher_is_better else "lower"
    over = f"the average over {len(columns)} columns" if len(columns) > 1 else "the one column"
    caption = (
        f"Difference of {over} (task and noise source) from {baseline}, paired by seed, with its 95 % t-interval over "
        f"seeds; {better} is better.",
        _bootstrap_sentence(why_no_draws) if with_draws else "",
        f"p, seeds: paired t-test over seeds (at least {stats.MIN_SEEDS}). p, columns: Wilcoxon signed-rank test over "
        f"columns, seeds averaged first (at least {stats.MIN_BLOCKS}). Both two-sided and corrected (Holm) for "
        f"the comparisons of this table that have a p: {stats.comparisons(by_seed.values())} over seeds, "
        f"{stats.comparisons(by_column)} over columns.",
        shared_texts_sentence(tested, some_fewer=any(lacking.values())),
        _seeds_sentence(baseline, lacking) if seeds_differ(block, methods, columns, name) else "",
        "Won or lost: the columns in which the paired 95 % interval over seeds excludes 0; the others are tied.",
        RULE_TEXT[rule],
    )
    title = f"Is it better than {baseline}? {metric.title}: {block.setup}"
    return block.table("significance", title, heads, rows, caption, metric, name=f"significance-{metric_name}")


def _seeds_sentence(baseline: str, lacking: dict[str, int]) -> str:
    """`lacking`: by method, the columns in which it shares no seed with the baseline."""
    lost = {method: plural(count, "column") for method, count in lacking.items() if count}
    without = f"; without one, {', '.join(f'{m} lacks {c}' for m, c in lost.items())} there" if lost else ""
    return f"Methods have different seeds: p, columns, is over the seeds that a method shares with {baseline}{without}."


def _bootstrap_sentence(why_not: str) -> str:
    if why_not:
        return f"No bootstrap: {why_not}."
    return (
        f"Bootstrap: 95 % percentile interval over {stats.DRAWS:,} draws of seeds and of test texts, paired. "
        "Unlike the t-interval, it covers the choice of test texts; but where seeds are few, it is too narrow with "
        "respect to seeds."
    )


def _bootstrap(found: Gap, ids: tuple[str, ...], why_not: str) -> Entry:
    if found.texts is None:
        return Entry("empty") if why_not else Entry("text", text="no arrays")
    shown = " to ".join(number(limit, 1, signed=True) for limit in found.texts)
    return Entry("value", found.seeds.mean, cells=ids, text=shown)


def _p(value: float, ids: tuple[str, ...], why_not: str) -> Entry:
    if math.isnan(value):
        return Entry("text", text=why_not)
    return Entry("value", float(value), cells=ids, text="< 0.001" if value < 0.001 else "", decimals=3)


def _record_against(block, method, other, columns, name, higher_is_better) -> Entry:
    won, tied, lost = outcomes(score_array(block, [method, other], columns, name), higher_is_better)[:, 0, 1]
    if won + tied + lost == 0:
        return Entry("text", text="too few seeds")
    return Entry("value", float(won - lost), text=f"{won} / {tied} / {lost}", cells=block.ids(method, columns))
