"""Average ranks over the columns, by kind of noise; beside them improvability and win rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from bench.core.texts import plural
from bench.report.tables import stats
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, column_means, compared, with_enough_seeds
from bench.report.tables.entries import RULE_TEXT
from bench.report.tables.model import Entry, Head, Table
from bench.report.tables.seeds import seeds_sentence
from bench.store.metrics import METRICS


@register
class RanksTable(ReportTable):
    """Average ranks over the columns."""

    name, order = "ranks", 40
    kinds: ClassVar = {"ranks": "average ranks"}

    def make(self, context: Context) -> Iterable[Table]:
        """One table: average ranks by kind of noise and over all, improvability and win rate; the test is over all."""
        block, rule = context.block, context.rule
        found = {metric: made for metric in SHOWN if (made := ranks(block, metric, rule))}
        if not found:
            return
        name = f"accuracy_{rule}"
        methods, columns, means = ranked_means(block, name)
        parts: list[tuple[Head, dict[str, float], int]] = []
        if "accuracy" in found:
            for span in block.spans(columns):
                own = means[:, [columns.index(column) for column in span.columns]].T
                head = Head(span.title, "average rank by accuracy", plural(len(span.columns), "column"))
                parts.append((head, dict(zip(methods, stats.average_ranks(own), strict=True)), 2))
            better = (("improvability", "%, 0 is best", improvability), ("win rate", "%, 100 is best", win_rate))
            for title, below, measure in better:
                parts.append((Head(title, "by accuracy", below), dict(zip(methods, measure(means), strict=True)), 1))
        if "ece" in found:
            place = dict(zip(found["ece"][0], found["ece"][1].mean, strict=True))
            parts.append((Head("all", "average rank by ECE"), place, 2))
        first, rows = parts[0][1], []
        for method in sorted(first, key=lambda method: float(first[method])):
            ids = block.ids(method, columns)
            known = ((values.get(method), decimals) for _, values, decimals in parts)
            rows.append(block.row(method, [
                Entry("empty") if value is None else Entry("value", float(value), cells=ids, decimals=decimals)
                for value, decimals in known
            ]))  # fmt: skip
        caption = (
            *_rank_sentences(found),
            shared_texts_sentence(columns) if any(ranked.p_value is not None for _, ranked in found.values()) else "",
            seeds_sentence(block, *compared(block, name), name),
            "Improvability: how many per cent fewer errors the best method of a column makes, averaged over columns. "
            "Win rate: the share of all pairs of a column and another method in which the method is above. Neither is "
            "a test.",
            RULE_TEXT[rule],
        )
        heads, title = (head for head, _, _ in parts), f"Average ranks: {block.setup}"
        yield block.table("ranks", title, heads, rows, caption, decimals=2, higher_is_better=False)


def ranks(block: Block, metric_name: str, rule: str) -> tuple[list[str], stats.Ranks] | None:
    """The competing methods with their average ranks over the shared columns; None for fewer than two, or no column."""
    name = f"{metric_name}_{rule}"
    methods, columns, means = ranked_means(block, name)
    if len(methods) < 2 or not columns:
        return None
    return methods, stats.friedman_ranks(means.T if METRICS[metric_name].higher_is_better else -means.T)


def ranked_means(block: Block, name: str) -> tuple[list[str], list[Column], np.ndarray]:
    """The competing methods with enough seeds, the columns in which they share one, and their `column_means` there."""
    methods, columns = compared(block, name)
    methods, _ = with_enough_seeds(block, methods, columns, name)
    means = column_means(block, methods, columns, name)
    known = ~np.isnan(means).any(axis=0)
    return methods, [column for column, each in zip(columns, known, strict=True) if each], means.compress(known, axis=1)


def shared_texts_sentence(columns: list[Column], some_fewer: bool = False) -> str:
    """What tests over columns overlook where a task has several of them; empty where none has.

    `some_fewer`: a test may be over some of `columns` only.
    """
    tasks = len({task for task, _ in columns})
    if tasks == len(columns):
        return ""
    return (
        "Columns of one task share its texts, so tests over columns are too sure (p is too small): these are "
        f"{'at most ' * some_fewer}{plural(len(columns), 'column')} of {plural(tasks, 'task')}."
    )


def improvability(accuracies: np.ndarray) -> np.ndarray:
    """By how much the best method of a column lowers the error of each method, averaged over columns, per cent.

    `1 - best error / error` per column (Erickson et al. 2025, TabArena, arXiv 2506.16791); 0 for the best itself.
    Unlike a rank it tells a near miss from a large gap. `accuracies` float[methods, columns], fractions;
    float64[methods].
    """
    errors = 1 - accuracies
    best = errors.min(axis=0, keepdims=True)
    ratio = np.divide(best, errors, out=np.ones_like(errors), where=errors > 0)
    return 100 * (1 - ratio).mean(axis=1)


def win_rate(accuracies: np.ndarray) -> np.ndarray:
    """How often each method is above another one, over all columns and other methods, per cent; a tie is half a win.

    `accuracies` float[methods, columns]; float64[methods].
    """
    above = accuracies[:, None] > accuracies[None]
    equal = accuracies[:, None] == accuracies[None]
    points = (above + 0.5 * equal).mean(axis=2)
    return 100 * (points.sum(axis=1) - 0.5) / (len(accuracies) - 1)  # without the tie with itself


def _rank_sentences(found: dict[str, tuple[list[str], stats.Ranks]]) -> list[str]:
    if all(ranked.p_value is None for _, ranked in found.values()):
        return [rank_sentence(" and by ".join(METRICS[metric].short for metric in found), *next(iter(found.values())))]
    return [rank_sentence(METRICS[metric].short, *made) for metric, made in found.items()]


def rank_sentence(metric: str, methods: list[str], ranked: stats.Ranks) -> str:
    """What the Friedman and Nemenyi tests say of some ranks, or why there is no test."""
    over = f"{plural(ranked.blocks, 'column')} (task and noise source; seeds averaged first)"
    if ranked.p_value is None:
        few = f"at least {stats.MIN_BLOCKS} columns" if ranked.blocks < stats.MIN_BLOCKS else "at least 3 methods"
        return f"By {metric}, over {over}: too few for a test of ranks, which needs {few}."
    p = "p < 0.001" if ranked.p_value < 0.001 else f"p = {ranked.p_value:.3f}"
    sentence = f"By {metric}, over {over}: Friedman test (Iman and Davenport) of {len(methods)} methods, {p}"
    if ranked.critical_difference is None:
        return f"{sentence}."
    critical = f"{ranked.critical_difference:.2f}"
    return f"{sentence}; two methods differ where their ranks are more than {critical} apart (Nemenyi, 5 %)."
