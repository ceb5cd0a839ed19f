"""The answer of a report by kind of noise: which method is best, what it gains by both rules, and how sure that is.

Both rules stand side by side: the last step, and early stopping on the noisy validation labels ("+es"), which costs
nothing and by itself gives much of what methods gain over training to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.report.frame import Results
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column, Span, averages, blocks, check_baseline, common_columns
from bench.report.tables.bootstrap import RULES, Draws, Gap, draws_of, gap
from bench.report.tables.model import number, plural, width

if TYPE_CHECKING:
    import pandas as pd

BY = {"last": "by the last step", "noisy_valid": "by early stopping on noisy validation labels"}
"""How a sentence names a rule."""


class MethodGain(NamedTuple):
    """What one method gains over the baseline by one rule, averaged over the columns of a kind of noise."""

    method: str
    rule: str
    gap: Gap
    sure: bool  # seeds and test texts both show a difference; over seeds p < 0.05 corrected for all methods (Holm)
    columns: int


@dataclass(frozen=True)
class Headline:
    """What a report says first of one kind of noise. Gains are in points of accuracy, paired by seed.

    Attributes
    ----------
    kind, title : str
        A key of `bench.store.noise_words.NOISE_KINDS` and what it is called.
    columns : int
        Tasks with a noise source that the averages are over.
    best : str
        The competing method of the highest accuracy by the report's rule; empty where there is none.
    accuracy : float
        Its accuracy in per cent.
    best_es : str
        The same at the step with the highest accuracy on the noisy validation labels.
    gain_last, gain_es : Interval or None
        What `best` gains over the baseline by either rule; None for the baseline itself, or where it was not run.
    es_alone : Interval or None
        What early stopping on noisy validation labels gives the baseline by itself.
    sure, sure_es : str
        Whether the best method by the report's rule, and by early stopping, is ahead of its runner-up.
    gain_sure, gain_es_sure : bool
        Whether seeds and test texts both show a gain, with p < 0.05 over seeds as corrected for all methods (Holm).
    rows : tuple[MethodGain, ...]
        Every competing method by both rules, for a figure.
    """

    kind: str
    title: str
    columns: int
    best: str
    accuracy: float
    best_es: str
    gain_last: stats.Interval | None
    gain_es: stats.Interval | None
    es_alone: stats.Interval | None
    sure: str
    sure_es: str
    gain_sure: bool
    gain_es_sure: bool
    baseline: str
    rows: tuple[MethodGain, ...]

    @property
    def unsure(self) -> str:
        """What is said of a gain that seeds and test texts do not both show."""
        tests = len({row.method for row in self.rows})
        return "not shown to differ from 0" + (f", corrected for {tests} methods" if tests > 1 else "")

    @property
    def sentence(self) -> str:
        """All of it in words."""
        over = f"{self.title} ({plural(self.columns, 'column')})"
        if not self.best:
            return f"{over}: no method can be compared yet."
        text = f"{over}: {self.best} has the highest accuracy, {number(self.accuracy, 1)} %"
        gains = [
            f"{points(gain)} {BY[rule]}{'' if sure else f' ({self.unsure})'}"
            for rule, gain, sure in (
                ("last", self.gain_last, self.gain_sure),
                ("noisy_valid", self.gain_es, self.gain_es_sure),
            )
            if gain is not None
        ]
        text += f"; points over {self.baseline}: {', '.join(gains)}" if gains else ""
        text += f"; {self.sure}"
        if self.sure_es and (self.best_es != self.best or self.sure_es != self.sure):
            text += f". {BY['noisy_valid'].capitalize()} {self.best_es} is highest, {self.sure_es}"
        if self.es_alone is not None:
            text += f". Early stopping alone gives {self.baseline} {points(self.es_alone)} points"
        return f"{text}."


def headlines(
    results: Results, block: Block | None = None, rule: str = "last", *, baseline: str = "plain", full: bool = False
) -> list[Headline]:
    """One headline per kind of noise present, LLM labels first.

    Parameters
    ----------
    results : Results
        A results folder as read.
    block : Block or None
        The set-up; None: the one with most cells, with `baseline` as its baseline.
    rule : str
        The step by which the best method is named: last or noisy_valid.
    baseline : str
        What gains are over.
    full : bool
        Whether to draw the test texts however many cells there are.

    Returns
    -------
    list[Headline]
        References such as the oracle are never among the best.
    """
    if block is None:
        made = [each for each in blocks(results.cells, check_baseline(results.cells, baseline)) if each.columns]
        if not made:
            return []
        block = made[0]
    draws, why_not = draws_of(results, block, full)
    spans = [span for span in block.spans(block.current()) if span.kind != "all"]
    return [headline(block, span, rule, draws, why_not) for span in spans]


def gains_by_kind(results: Results, block: Block | None = None, *, full: bool = False) -> pd.DataFrame:
    """What every competing method gains over the baseline by kind of noise and rule, for a figure.

    Returns
    -------
    DataFrame
        Columns kind, method, rule (last or noisy_valid), gain (points of accuracy), low and high (95 % t-interval over
        seeds; NaN with one seed), low_texts and high_texts (95 % bootstrap over seeds and test texts; NaN where it was
        not drawn), sure (see `MethodGain`), n_columns, n_seeds. Kinds in the order of the headlines, methods by their
        gain at the last step.
    """
    import pandas as pd

    rows = []
    for each in headlines(results, block, full=full):
        order = {row.method: -row.gap.seeds.mean for row in each.rows if row.rule == "last"}
        for row in sorted(each.rows, key=lambda row: (order.get(row.method, np.inf), row.rule)):
            mean, half, n = row.gap.seeds
            low, high = row.gap.texts or (np.nan, np.nan)
            limits = (mean - half, mean + half, low, high)
            rows.append((each.kind, row.method, row.rule, mean, *limits, row.sure, row.columns, n))
    names = ["kind", "method", "rule", "gain", "low", "high", "low_texts", "high_texts", "sure", "n_columns", "n_seeds"]
    return pd.DataFrame(rows, columns=names)


def headline(block: Block, span: Span, rule: str, draws: Draws | None, why_not: str) -> Headline:
    """The headline of one kind of noise."""
    base = block.baseline
    by_rule = {each: compared_in(block, span, each) for each in RULES}
    best = {each: Leader.of(found.block, found.methods, found.columns, each, draws) for each, found in by_rule.items()}
    rows = [row for each, found in by_rule.items() for row in method_gains(found, each, draws)]
    gains = {(row.method, row.rule): row for row in rows}
    leader = best[rule]
    name = leader.name or ""
    alone = gains.get((f"{block.by('last').early}", "last"))
    last, chosen = gains.get((name, "last")), gains.get((name, "noisy_valid"))
    return Headline(
        kind=span.kind,
        title=span.title,
        columns=len(by_rule[rule].columns),
        best=name,
        accuracy=leader.accuracy,
        best_es=best["noisy_valid"].name or "",
        gain_last=last.gap.seeds if last else None,
        gain_es=chosen.gap.seeds if chosen else None,
        es_alone=alone.gap.seeds if alone else None,
        sure=leader.words(why_not),
        sure_es=best["noisy_valid"].words(why_not),
        gain_sure=bool(last and last.sure),
        gain_es_sure=bool(chosen and chosen.sure),
        baseline=base or "",
        rows=tuple(rows),
    )


class Compared(NamedTuple):
    """What is compared in a span by one rule."""

    block: Block  # as tables by the rule show it
    columns: list[Column]  # those that every compared method has
    methods: list[str]  # those that compete
    scores: dict[str, dict[int, float]]  # by method, references too: average accuracy by seed, per cent


def compared_in(block: Block, span: Span, rule: str) -> Compared:
    """The methods with an average over a span by a rule, and the columns that all competing ones have."""
    block, name = block.by(rule), f"accuracy_{rule}"
    columns, left_out = common_columns(block, span.columns, name)
    found = {each: averages(block, each, columns, name, 100) for each in block.methods if each not in left_out}
    scores = {method: by_seed for method, by_seed in found.items() if by_seed}
    return Compared(block, columns, [method for method in scores if method not in block.references], scores)


def method_gains(found: Compared, rule: str, draws: Draws | None) -> list[MethodGain]:
    """What every method but the baseline gains over it by a rule."""
    baseline = found.block.baseline
    if baseline not in found.methods:
        return []
    others = [method for method in found.methods if method != baseline]
    p = stats.corrected_p(found.scores, others, baseline)
    made = []
    for method in others:
        found_gap = gap(found.block, draws, method, baseline, found.columns, rule)
        sure = p[method] < 0.05 and (found_gap.sure() or found_gap.sure(-1))
        made.append(MethodGain(method, rule, found_gap, sure, len(found.columns)))
    return made


@dataclass(frozen=True)
class Leader:
    """The method of the highest average accuracy, and how it stands against the runner-up."""

    name: str | None
    runner_up: str | None
    accuracy: float
    gap: Gap | None

    @classmethod
    def of(cls, block: Block, methods: Sequence[str], columns: list, rule: str, draws: Draws | None) -> Leader:
        """The leader over `columns`."""
        scores = {each: averages(block, each, columns, f"accuracy_{rule}", 100) for each in methods}
        best, second = [*stats.best_two(scores), None, None][:2]
        if best is None:
            return cls(None, None, float("nan"), None)
        mean = float(np.mean(list(scores[best].values())))
        if second is None:
            return cls(best, None, mean, None)
        return cls(best, second, mean, gap(block, draws, best, second, columns, rule))

    def words(self, why_no_draws: str = "") -> str:
        """How sure it is that the leader is ahead; `why_no_draws` says why the test texts were not drawn."""
        if self.name is None:
            return ""
        if self.runner_up is None or self.gap is None:
            return "the only method with these columns"
        seeds = self.gap.seeds
        if self.gap.sure():
            return f"ahead of the runner-up {self.runner_up} in seeds and texts"
        text = f"not shown to differ from the runner-up {self.runner_up}"
        if seeds.n < stats.MIN_SEEDS:
            return f"{text}: {plural(seeds.n, 'shared seed')}, at least {stats.MIN_SEEDS} are needed"
        if not seeds.excludes_zero:
            return text
        if self.gap.texts is None:
            return f"{text}: in seeds it is ahead, test texts were not drawn{f' ({why_no_draws})' * bool(why_no_draws)}"
        return f"{text}: in seeds it is ahead, but not where the test texts are drawn anew"


def points(interval: stats.Interval) -> str:
    """`+4.2 ± 0.6`; the mean alone where there is no interval."""
    half = f" ± {width(interval.half, 1)}" if interval.half > stats.NO_SPREAD else ""
    return f"{number(interval.mean, 1, signed=True)}{half}"
