"""The averages of a table: over each kind of noise, over all of them, and with any one task left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.core.texts import plural
from bench.report.tables.blocks import Block, Column, Span, averages, common_columns, without_average
from bench.report.tables.model import Entry, Head, number
from bench.store.metrics import Metric

GROUP = "averages"
BySeed = dict[int, float]


@dataclass(frozen=True)
class Average:
    """One average of a table."""

    span: Span
    columns: list[Column]  # those that every compared method has
    left_out: list[str]  # methods with too few of the columns
    no_seed: list[str]  # other methods, none of whose seeds has all columns
    by_seed: dict[str, BySeed]  # by method, for the seeds that have all columns
    head: Head

    @property
    def tasks(self) -> list[str]:
        """The tasks that it is over."""
        return list(dict.fromkeys(task for task, _ in self.columns))


def averages_of(block: Block, columns: list[Column], methods: Iterable[str], name: str, scale: float) -> list[Average]:
    """The averages over each kind of noise with several columns, in the order of the kinds, then over all columns."""
    current = block.current(columns)
    if len(current) < 2:
        return []
    spans = block.spans(current)
    shown = [span for span in spans if len(span.columns) > 1]
    made, methods = [], list(methods)
    for span in shown:
        shared, left_out = common_columns(block, span.columns, name)
        by_seed = {each: {} if each in left_out else averages(block, each, shared, name, scale) for each in methods}
        last = span is shown[-1]
        weights = weights_of(block, shared) if span.kind == "all" else plural(len(shared), "column")
        head = Head("average" if last else span.title, GROUP if len(shown) > 1 else "", weights)
        no_seed = without_average(block, (each for each in methods if each not in left_out), shared, name)
        made.append(Average(span, shared, left_out, no_seed, by_seed, head))
    return made


def no_seed_sentence(methods: Iterable[str], lacking: str = "an average") -> str:
    """Which methods have no average for want of a seed with all columns; empty where there are none."""
    names = ", ".join(methods)
    return f"Without {lacking}, because none of their seeds has all of the columns: {names}." if names else ""


def weights_of(block: Block, columns: list[Column]) -> str:
    """Of how many columns of each kind an average consists: `4 LLM, 2 weak`."""
    spans = [span for span in block.spans(columns) if span.kind != "all"]
    return ", ".join(f"{len(span.columns)} {span.title.split()[0]}" for span in spans)


RANGE_HEAD = Head("one task less", below="lowest to highest")
"""It stands in the group of its average."""


def range_entry(block: Block, average: Average, method: str, name: str, metric: Metric) -> Entry:
    """The lowest and the highest of a method's average, over its seeds, when any one task is left out.

    Empty for fewer than two tasks.
    """
    means, seeds = [], average.by_seed[method].keys()
    for task in average.tasks:
        others = [column for column in average.columns if column[0] != task]
        by_seed = averages(block, method, others, name, metric.scale)
        if not seeds or not by_seed:
            return Entry("empty")
        means.append(sum(by_seed[seed] for seed in seeds) / len(seeds))
    if len(means) < 2:
        return Entry("empty")
    text = " to ".join(number(limit, metric.decimals) for limit in (min(means), max(means)))
    return Entry("value", min(means), cells=block.ids(method, average.columns), text=text)
