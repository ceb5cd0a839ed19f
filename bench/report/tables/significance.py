"""What the numbers support: paired tests of every method against the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from bench.report.tables import stats
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, averages, column_means, compared, row_kind
from bench.report.tables.bootstrap import Draws
from bench.report.tables.entries import RULE_TEXT
from bench.report.tables.model import Entry, Head, Row, Table, number, plural
from bench.report.tables.wins import outcomes, score_array
from bench.store.metrics import METRICS


@register
class SignificanceTables(ReportTable):
    """Every method against the baseline, tested."""

    name, order = "significance", 30
    kinds: ClassVar = {"significance": "is it better than the baseline"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table per shown metric."""
        draws, why_not = context.draws()
        return [
            significance_table(context.block, metric, context.rule, context.baseline, draws, why_not)
            for metric in SHOWN
        ]


def significance_table(
    block: Block, metric_name: str, rule: str, baseline: str | None, draws: Draws | None, why_no_draws: str = ""
) -> Table | None:
    """Every method against the baseline: difference, two intervals, two paired tests with Holm's correction.

    None where nothing can be compared with the baseline. `draws` gives the bootstrap of the accuracy.
    """
    name, metric = f"{metric_name}_{rule}", METRICS[metric_name]
    methods, columns = compared(block, name)
    if baseline not in methods or len(methods) < 2:
        return None
    others = [method for method in methods if method != baseline]
    average = {method: averages(block, method, columns, name, metric.scale) for method in methods}
    by_seed = stats.corrected_p(average, others, baseline)
    means = {method: column_means(block, method, columns, name) for method in methods}
    by_column = stats.holm([stats.signed_rank_p(means[method] - means[baseline]) for method in others])
    with_draws = metric_name == "accuracy"
    rows = []
    for place, method in enumerate(others):
        gap = stats.paired_difference(average[method], average[baseline])
        ids = block.ids(method, columns) + block.ids(baseline, columns)
        entries = [Entry("value", *gap, cells=ids, signed=True) if gap.n else Entry("text", text="no shared seed")]
        if with_draws:
            entries.append(_bootstrap(block, method, baseline, columns, average, draws, rule))
        few = f"too few: {plural(gap.n, 'seed')}"
        entries.append(_p(by_seed[method], ids, few if gap.n < stats.MIN_SEEDS else "no spread"))
        entries.append(_p(by_column[place], ids, f"too few: {plural(len(columns), 'column')}"))
        entries.append(_record_against(block, method, baseline, columns, name, metric.higher_is_better))
        rows.append(Row(method, row_kind(block, method, baseline), tuple(entries)))
    heads = [Head("difference", f"vs {baseline}", "± t-interval, seeds")]
    if with_draws:
        heads.append(Head("bootstrap", f"vs {baseline}", "95 %, seeds and texts"))
    heads += [
        Head("p, seeds", "Holm-corrected", "paired t-test"),
        Head("p, columns", "Holm-corrected", "signed ranks"),
        Head("won / tied / lost", "columns"),
    ]
    caption = _caption(len(others), len(columns), metric, rule, baseline)
    if with_draws:
        caption.insert(1, _bootstrap_sentence(draws, why_no_draws))
    return Table(
        f"significance-{metric_name}-{block.setup}",
        f"Is it better than {baseline}? {metric.title}: {block.setup}",
        "significance",
        block.setup,
        "",
        tuple(heads),
        tuple(rows),
        metric.decimals,
        tuple(caption),
        max((entry.n for row in rows for entry in row.entries), default=0),
        metric.higher_is_better,
    )


def _caption(tests: int, columns: int, metric, rule: str, baseline: str) -> list[str]:
    better = "higher" if metric.higher_is_better else "lower"
    over = f"the average over {columns} columns" if columns > 1 else "the one column"
    sentences = [
        f"Difference of {over} (task and noise source) to {baseline}, paired by seed, with its 95 % t-interval over "
        f"seeds; {better} is better.",
        f"p, seeds: paired t-test over seeds (at least {stats.MIN_SEEDS}). p, columns: Wilcoxon signed-rank test over "
        f"columns, seeds averaged first (at least {stats.MIN_BLOCKS}). Both two-sided and corrected for the "
        f"{plural(tests, 'comparison')} of this table (Holm).",
        "Won or lost: the columns in which the paired 95 % interval over seeds excludes 0; the others are tied.",
        RULE_TEXT[rule],
    ]
    return sentences


def _bootstrap_sentence(draws: Draws | None, why_not: str) -> str:
    if draws is None:
        return f"No bootstrap: {why_not}."
    return (
        f"Bootstrap: 95 % percentile interval over {stats.DRAWS:,} draws of seeds and of test texts, paired. "
        "Unlike the t-interval it covers the choice of test texts; unlike the t-interval it is too narrow in the seeds "
        "where these are few."
    )


def _bootstrap(block, method, baseline, columns, average, draws: Draws | None, rule: str) -> Entry:
    if draws is None:
        return Entry("empty")
    seeds = sorted(average[method].keys() & average[baseline].keys())
    limits = draws.interval(block, method, baseline, columns, seeds, rule)
    if limits is None:
        return Entry("text", text="no arrays")
    low, high = limits
    middle = float(np.mean([average[method][seed] - average[baseline][seed] for seed in seeds]))
    ids = block.ids(method, columns) + block.ids(baseline, columns)
    shown = f"{number(low, 1, signed=True)} to {number(high, 1, signed=True)}"
    return Entry("value", middle, cells=ids, text=shown)


def _p(value: float, ids: tuple[str, ...], why_not: str) -> Entry:
    if math.isnan(value):
        return Entry("text", text=why_not)
    return Entry("value", float(value), cells=ids, text="< 0.001" if value < 0.001 else "", decimals=3)


def _record_against(block, method, other, columns, name, higher_is_better) -> Entry:
    won, tied, lost = outcomes(score_array(block, [method, other], columns, name), higher_is_better)[:, 0, 1]
    if won + tied + lost == 0:
        return Entry("text", text="too few seeds")
    return Entry("value", float(won - lost), text=f"{won} / {tied} / {lost}", cells=block.ids(method, columns))
