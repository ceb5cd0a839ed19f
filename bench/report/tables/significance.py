"""What the numbers support: paired tests against the baseline, average ranks, columns won and lost by pair."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from bench.report.tables import stats
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, averages, common_columns, row_kind
from bench.report.tables.bootstrap import Draws
from bench.report.tables.entries import RULE_TEXT
from bench.report.tables.model import Entry, Head, Row, Table, number
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


@register
class RanksTable(ReportTable):
    """Average ranks over the columns."""

    name, order = "ranks", 40
    kinds: ClassVar = {"ranks": "average ranks"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table by all shown metrics."""
        return [ranks_table(context.block, context.rule, context.baseline)]


@register
class WinsTable(ReportTable):
    """In how many columns each method beats each other one."""

    name, order = "wins", 50
    kinds: ClassVar = {"wins": "won / tied / lost"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table, by accuracy."""
        return [wins_table(context.block, context.rule, context.baseline)]


def compared(block: Block, name: str) -> tuple[list[str], list[Column]]:
    """The methods that compete and the columns that all of them have, for scores `name`."""
    shared, left_out = common_columns(block, block.columns, name)
    scored = [m for m in block.methods if m not in block.references and m not in left_out]
    return [m for m in scored if shared and all(block.values(m, c, name) for c in shared)], shared


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
    means = {method: _column_means(block, method, columns, name) for method in methods}
    by_column = stats.holm([stats.signed_rank_p(means[method] - means[baseline]) for method in others])
    with_draws = metric_name == "accuracy"
    rows = []
    for place, method in enumerate(others):
        gap = stats.paired_difference(average[method], average[baseline])
        ids = block.ids(method, columns) + block.ids(baseline, columns)
        entries = [Entry("value", *gap, cells=ids, signed=True) if gap.n else Entry("text", text="no shared seed")]
        if with_draws:
            entries.append(_bootstrap(block, method, baseline, columns, average, draws, rule))
        few = f"too few: {gap.n} seed{'s' * (gap.n != 1)}"
        entries.append(_p(by_seed[method], ids, few if gap.n < stats.MIN_SEEDS else "no spread"))
        entries.append(_p(by_column[place], ids, f"too few: {len(columns)} column{'s' * (len(columns) != 1)}"))
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
        f"columns, seeds averaged first (at least {stats.MIN_BLOCKS}). Both two-sided and corrected for the {tests} "
        f"comparison{'s' * (tests != 1)} of this table (Holm).",
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


def _column_means(block: Block, method: str, columns: list[Column], name: str) -> np.ndarray:
    return np.array([np.mean(list(block.values(method, column, name).values())) for column in columns])


def _record_against(block, method, other, columns, name, higher_is_better) -> Entry:
    won, tied, lost = outcomes(score_array(block, [method, other], columns, name), higher_is_better)[:, 0, 1]
    if won + tied + lost == 0:
        return Entry("text", text="too few seeds")
    return Entry("value", float(won - lost), text=f"{won} / {tied} / {lost}", cells=block.ids(method, columns))


def score_array(block: Block, methods: list[str], columns: list[Column], name: str) -> np.ndarray:
    """Scores float64[methods, columns, seeds]; NaN where a seed has none."""
    values = [[block.values(method, column, name) for column in columns] for method in methods]
    seeds = sorted({seed for by_column in values for by_seed in by_column for seed in by_seed})
    found = [[[by_seed.get(seed, math.nan) for seed in seeds] for by_seed in by_column] for by_column in values]
    return np.array(found, dtype=np.float64).reshape(len(methods), len(columns), len(seeds))


def outcomes(scores: np.ndarray, higher_is_better: bool = True) -> np.ndarray:
    """Columns won, tied, lost: int64[3, methods, methods] of `scores` float64[methods, columns, seeds].

    A column is won or lost where the paired 95 % t-interval over seeds excludes 0, else tied; columns with fewer
    than `stats.MIN_SEEDS` shared seeds are not counted.
    """
    from scipy import special

    gaps = scores[:, None] - scores[None]  # [methods, methods, columns, seeds]
    count = np.isfinite(gaps).sum(-1)
    total = np.nansum(gaps, axis=-1)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    squares = np.nansum((gaps - mean[..., None]) ** 2, axis=-1)
    rest = np.maximum(count - 1, 1)
    half = special.stdtrit(rest, 0.975) * np.sqrt(squares / rest / np.maximum(count, 1))
    enough = count >= stats.MIN_SEEDS
    sign = 1 if higher_is_better else -1
    clear = enough & (np.abs(mean) > half) & (half > stats.NO_SPREAD)
    won, lost = clear & (sign * mean > 0), clear & (sign * mean < 0)
    return np.stack([won.sum(-1), (enough & ~clear).sum(-1), lost.sum(-1)])


def ranks(block: Block, metric_name: str, rule: str) -> tuple[list[str], stats.Ranks] | None:
    """The competing methods with their average ranks over the shared columns; None for fewer than two."""
    name = f"{metric_name}_{rule}"
    methods, columns = compared(block, name)
    if len(methods) < 2:
        return None
    means = np.array([_column_means(block, method, columns, name) for method in methods]).T
    return methods, stats.friedman_ranks(means if METRICS[metric_name].higher_is_better else -means)


def ranks_table(block: Block, rule: str, baseline: str | None) -> Table | None:
    """Average ranks by accuracy and by calibration error, with the Friedman test or why it was not done."""
    found = {metric: made for metric in SHOWN if (made := ranks(block, metric, rule))}
    if not found:
        return None
    place = {metric: dict(zip(methods, ranked.mean, strict=True)) for metric, (methods, ranked) in found.items()}
    first = next(iter(found.values()))[0]
    _, columns = compared(block, f"accuracy_{rule}")
    rows = [
        Row(
            method,
            row_kind(block, method, baseline),
            tuple(
                Entry("value", float(place[metric][method]), cells=block.ids(method, columns))
                if method in place[metric]
                else Entry("empty")
                for metric in found
            ),
        )
        for method in sorted(first, key=lambda method: next(iter(place.values()))[method])
    ]
    return Table(
        f"ranks-{block.setup}",
        f"Average ranks: {block.setup}",
        "ranks",
        block.setup,
        "",
        tuple(Head(METRICS[metric].short, "average rank", "1 is best") for metric in found),
        tuple(rows),
        2,
        (*_rank_sentences(found), RULE_TEXT[rule]),
        higher_is_better=False,
    )


def _rank_sentences(found: dict[str, tuple[list[str], stats.Ranks]]) -> list[str]:
    if all(ranked.p_value is None for _, ranked in found.values()):
        return [rank_sentence(" and by ".join(METRICS[metric].short for metric in found), *next(iter(found.values())))]
    return [rank_sentence(METRICS[metric].short, *made) for metric, made in found.items()]


def rank_sentence(metric: str, methods: list[str], ranked: stats.Ranks) -> str:
    """What the Friedman and Nemenyi tests say of some ranks, or why there is no test."""
    over = f"{ranked.blocks} column{'s' * (ranked.blocks != 1)} (task and noise source; seeds averaged first)"
    if ranked.p_value is None:
        few = f"at least {stats.MIN_BLOCKS} columns" if ranked.blocks < stats.MIN_BLOCKS else "at least 3 methods"
        return f"By {metric}, over {over}: too few for a test of ranks, which needs {few}."
    p = "p < 0.001" if ranked.p_value < 0.001 else f"p = {ranked.p_value:.3f}"
    sentence = f"By {metric}, over {over}: Friedman test (Iman and Davenport) of {len(methods)} methods, {p}"
    if ranked.critical_difference is None:
        return f"{sentence}."
    critical = f"{ranked.critical_difference:.2f}"
    return f"{sentence}; two methods differ where their ranks are more than {critical} apart (Nemenyi, 5 %)."


def wins_table(block: Block, rule: str, baseline: str | None) -> Table | None:
    """In how many columns the method of a row wins against, ties with and loses to that of a column head."""
    name = f"accuracy_{rule}"
    methods = [m for m in block.methods if m not in block.references]
    current = block.current()
    methods = [m for m in methods if any(block.values(m, column, name) for column in current)]
    if len(methods) < 2:
        return None
    counted = outcomes(score_array(block, methods, current, name))
    if not counted.sum():
        return None
    rows = []
    for i, method in enumerate(methods):
        entries, ids = [], block.ids(method, current)
        for j in range(len(methods)):
            won, tied, lost = counted[:, i, j]
            if i == j or won + tied + lost == 0:
                entries.append(Entry("empty"))
            else:
                entries.append(Entry("value", float(won - lost), cells=ids, text=f"{won}/{tied}/{lost}"))
        rows.append(Row(method, row_kind(block, method, baseline), tuple(entries)))
    caption = (
        "Columns (task and noise source) that the method of the row won / tied / lost in accuracy against the method "
        "of the head. Won or lost: the paired 95 % t-interval over seeds excludes 0 (not corrected for the number of "
        f"pairs); columns with fewer than {stats.MIN_SEEDS} shared seeds are not counted.",
        RULE_TEXT[rule],
    )
    heads = tuple(Head(method) for method in methods)
    title = f"Won / tied / lost: {block.setup}"
    return Table(f"wins-{block.setup}", title, "wins", block.setup, "", heads, tuple(rows), 0, caption)
