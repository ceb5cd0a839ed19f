"""The answer of a report by kind of noise: which method is best, what it gains by both rules, and how sure that is.

Both rules stand side by side: the last step, and early stopping on the noisy validation labels ("+es"), which costs
nothing and by itself gives much of what methods gain over training to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.core.texts import plural
from bench.report.frame import Results
from bench.report.tables import stats
from bench.report.tables.blocks import (
    Block,
    Column,
    Span,
    averages,
    common_columns,
    with_enough_seeds,
    without_average,
)
from bench.report.tables.bootstrap import RULES, Draws, Gap, draws_of, gap
from bench.report.tables.model import number, width

BY = {"last": "at the last step", "noisy_valid": "with early stopping on noisy validation labels"}
"""How a sentence names a rule."""


class MethodGain(NamedTuple):
    """What one method gains over the baseline by one rule, averaged over the columns of a kind of noise."""

    method: str
    rule: str
    gap: Gap
    p: float  # over seeds, corrected for all methods (Holm); NaN for too few
    sure: bool  # seeds and test texts both show a difference; p < 0.05

    @property
    def points(self) -> str:
        """`+4.2 ± 0.6`: over seeds."""
        return points(self.gap.seeds)


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
    sure, sure_es : str
        Whether the best method by the report's rule, and by early stopping, is ahead of its runner-up.
    gains : dict[str, MethodGain]
        What `best` gains over the baseline by each rule; none for the baseline itself, or where it was not run.
    es_alone : MethodGain or None
        What early stopping on noisy validation labels gives the baseline by itself.
    rows : tuple[MethodGain, ...]
        Every competing method by both rules, for a figure.
    """

    kind: str
    title: str
    columns: int
    best: str
    accuracy: float
    best_es: str
    sure: str
    sure_es: str
    gains: dict[str, MethodGain]
    es_alone: MethodGain | None
    baseline: str
    rows: tuple[MethodGain, ...]

    def unsure(self, rule: str) -> str:
        """What is said of a gain by a rule that seeds and test texts do not both show."""
        gain = self.gains.get(rule)
        corrected = gain is None or gain.p == gain.p  # else it has no p itself
        tests = corrected * stats.comparisons(row.p for row in self.rows if row.rule == rule)
        return "not shown to differ from 0" + (f", corrected for {tests} methods" if tests > 1 else "")

    @property
    def unknown(self) -> str:
        """What is said where no method is best."""
        return f"no method can be compared yet{f': {self.sure}' if self.sure else ''}"

    @property
    def sentence(self) -> str:
        """All of it in words."""
        over = f"{self.title} ({plural(self.columns, 'column')})"
        if not self.best:
            return f"{over}: {self.unknown}."
        text = f"{over}: {self.best} has the highest accuracy, {number(self.accuracy, 1)} %"
        gains = [
            f"{gain.points} {BY[rule]}{'' if gain.sure else f' ({self.unsure(rule)})'}"
            for rule, gain in self.gains.items()
        ]
        text += f"; points over {self.baseline}: {', '.join(gains)}" if gains else ""
        text += f"; {self.sure}"
        if self.best_es and (self.best_es != self.best or self.sure_es != self.sure):
            text += f". {BY['noisy_valid'].capitalize()}, {self.best_es} is highest: {self.sure_es}"
        if self.es_alone is not None:
            text += f". Early stopping alone gives {self.baseline} {self.es_alone.points} points"
        return f"{text}."


def headlines(results: Results, block: Block, rule: str = "last", full: bool = False) -> list[Headline]:
    """One headline per kind of noise present, LLM labels first; references are never among the best.

    Parameters
    ----------
    results : Results
        A results folder as read.
    block : Block
        The set-up.
    rule : str
        The step by which the best method is named: last or noisy_valid.
    full : bool
        Whether to draw the test texts however many cells there are.
    """
    draws, why_not = draws_of(results, block, full)
    spans = [span for span in block.spans(block.current()) if span.kind != "all"]
    return [headline(block, span, rule, draws, why_not) for span in spans]


def headline(block: Block, span: Span, rule: str, draws: Draws | None, why_not: str) -> Headline:
    """The headline of one kind of noise."""
    by_rule = {each: compared_in(block, span, each) for each in RULES}
    best = {
        each: Leader.of(found.block, found.methods, found.columns, each, draws, found.no_seed)
        for each, found in by_rule.items()
    }
    rows = [row for each, found in by_rule.items() for row in method_gains(found, each, draws)]
    gains = {(row.method, row.rule): row for row in rows}
    leader = best[rule]
    name = leader.name or ""
    return Headline(
        kind=span.kind,
        title=span.title,
        columns=len(by_rule[rule].columns),
        best=name,
        accuracy=leader.accuracy,
        best_es=best["noisy_valid"].name or "",
        sure=leader.words(why_not),
        sure_es=best["noisy_valid"].words(why_not),
        gains={each: gains[name, each] for each in RULES if (name, each) in gains},
        es_alone=gains.get((f"{block.by('last').early}", "last")),
        baseline=block.baseline or "",
        rows=tuple(rows),
    )


class Compared(NamedTuple):
    """What is compared in a span by one rule."""

    block: Block  # as tables by the rule show it
    columns: list[Column]  # those that every compared method has
    methods: list[str]  # those that compete
    scores: dict[str, dict[int, float]]  # by method, references too: average accuracy by seed, per cent
    no_seed: list[str]  # those that would compete, had they a seed with all columns


def compared_in(block: Block, span: Span, rule: str) -> Compared:
    """The methods with an average over a span by a rule, and the columns that all competing ones have."""
    block, name = block.by(rule), f"accuracy_{rule}"
    columns, left_out = common_columns(block, span.columns, name)
    found = {each: averages(block, each, columns, name, 100) for each in block.methods if each not in left_out}
    scores = {method: by_seed for method, by_seed in found.items() if by_seed}
    competing = [method for method in found if method not in block.references]
    no_seed = without_average(block, competing, columns, name)
    return Compared(block, columns, [method for method in competing if method in scores], scores, no_seed)


def method_gains(found: Compared, rule: str, draws: Draws | None) -> list[MethodGain]:
    """What every method but the baseline gains over it by a rule, where they share a seed."""
    baseline = found.block.baseline
    if baseline not in found.methods:
        return []
    others = [method for method in found.methods if method != baseline]
    p = stats.corrected_p(found.scores, others, baseline)
    made = []
    for method in others:
        found_gap = gap(found.block, draws, method, baseline, found.columns, rule)
        if not found_gap.seeds.n:
            continue
        sure = p[method] < 0.05 and (found_gap.sure() or found_gap.sure(-1))
        made.append(MethodGain(method, rule, found_gap, p[method], sure))
    return made


@dataclass(frozen=True)
class Leader:
    """The method of the highest average accuracy over the seeds that all have, and how it stands to the runner-up."""

    name: str | None
    runner_up: str | None
    accuracy: float
    gap: Gap | None
    only: str = ""  # "over the 3 seeds that all methods have", where some have others too
    without: Sequence[str] = ()  # methods with too few seeds
    among: int = 2  # how many methods are compared

    @classmethod
    def of(
        cls, block: Block, methods: list[str], columns: list, rule: str, draws: Draws | None, lost: Sequence[str] = ()
    ) -> Leader:
        """The leader over `columns`; `lost` are others to name, which have no average over them."""
        name = f"accuracy_{rule}"
        methods, few = with_enough_seeds(block, methods, columns, name)
        found = {each: averages(block, each, columns, name, 100) for each in methods}
        found = {each: by_seed for each, by_seed in found.items() if by_seed}
        seeds = stats.common_seeds(found.values())
        scores = {each: {seed: by_seed[seed] for seed in seeds} for each, by_seed in found.items()}
        only = f"over the {plural(len(seeds), 'seed')} that all methods have" if scores != found else ""
        for names, why in ((few, "fewer than half of the seeds"), (lost, "no seed with all columns")):
            only += f"{', ' * bool(only)}leaving out {', '.join(names)} ({why})" if names else ""
        best, second = [*stats.best_two(scores), None, None][:2]
        if best is None:
            return cls(None, None, float("nan"), None, only and "there is no seed that all methods have", few)
        mean = float(np.mean(list(scores[best].values())))
        between = gap(block, draws, best, second, columns, rule, seeds) if second else None
        return cls(best, second, mean, between, only, few, len(scores))

    def words(self, why_no_draws: str = "") -> str:
        """How sure it is that the leader is ahead; `why_no_draws` says why the test texts were not drawn."""
        standing = self._standing(why_no_draws)
        return f"{self.only}, it is {standing}" if self.only and standing else self.only or standing

    def _standing(self, why_no_draws: str) -> str:
        if self.name is None:
            return ""
        if self.runner_up is None or self.gap is None:
            return "the only method with these columns"
        seeds = self.gap.seeds
        if self.gap.sure():
            alone = ", which is not corrected for the number of methods" if self.among > 2 else ""
            return f"ahead of the runner-up {self.runner_up} over seeds and test texts{alone}"
        text = f"not shown to differ from the runner-up {self.runner_up}"
        if seeds.n < stats.MIN_SEEDS:
            return f"{text}: {plural(seeds.n, 'shared seed')}, at least {stats.MIN_SEEDS} are needed"
        if not (seeds.excludes_zero and seeds.mean > 0):
            return text
        if self.gap.texts is None:
            why = f" ({why_no_draws})" if why_no_draws else ""
            return f"{text}: it is ahead over seeds, but test texts were not resampled{why}"
        return f"{text}: it is ahead over seeds, but not when the test texts are resampled"


def points(interval: stats.Interval, signed: bool = True) -> str:
    """`+4.2 ± 0.6`; the mean alone where there is no interval."""
    half = f" ± {width(interval.half, 1)}" if interval.half > stats.NO_SPREAD else ""
    return f"{number(interval.mean, 1, signed)}{half}"
