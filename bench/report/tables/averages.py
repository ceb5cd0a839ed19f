"""The averages of a table: over each kind of noise, over all of them, and with any one task left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.report.tables.blocks import Block, Column, Span, averages, common_columns
from bench.report.tables.model import Entry, Head, number, plural

GROUP = "averages"
BySeed = dict[int, float]


@dataclass(frozen=True)
class Average:
    """One average of a table."""

    span: Span
    columns: list[Column]  # those that every compared method has
    left_out: list[str]  # methods with too few of the columns
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
    made = []
    for span in shown:
        shared, left_out = common_columns(block, span.columns, name)
        by_seed = {each: {} if each in left_out else averages(block, each, shared, name, scale) for each in methods}
        last = span is shown[-1]
        weights = weights_of(block, shared) if span.kind == "all" else plural(len(shared), "column")
        head = Head("average" if last else span.title, GROUP if len(shown) > 1 else "", weights)
        made.append(Average(span, shared, left_out, by_seed, head))
    return made


def weights_of(block: Block, columns: list[Column]) -> str:
    """Of how many columns of each kind an average consists: `4 LLM, 2 weak`."""
    spans = [span for span in block.spans(columns) if span.kind != "all"]
    return ", ".join(f"{len(span.columns)} {span.title.split()[0]}" for span in spans)


def without_a_task(average: Average, mean_over: Callable[[list[Column]], float]) -> tuple[float, float] | None:
    """The lowest and the highest average with any one task left out; None for fewer than two tasks.

    `mean_over` gives a method's average over some columns, NaN where it has none.
    """
    tasks = average.tasks
    if len(tasks) < 2:
        return None
    means = [mean_over([column for column in average.columns if column[0] != task]) for task in tasks]
    return None if any(mean != mean for mean in means) else (min(means), max(means))


RANGE_HEAD = Head("one task less", GROUP, "lowest to highest")


def range_entry(block: Block, average: Average, method: str, name: str, scale: float, decimals: int) -> Entry:
    """The range of a method's average when any one task is left out."""

    def mean_over(columns: list[Column]) -> float:
        by_seed = averages(block, method, columns, name, scale)
        return sum(by_seed.values()) / len(by_seed) if by_seed else float("nan")

    if not average.by_seed[method]:
        return Entry("empty")
    limits = without_a_task(average, mean_over)
    if limits is None:
        return Entry("empty")
    text = " to ".join(number(limit, decimals) for limit in limits)
    return Entry("value", limits[0], cells=block.ids(method, average.columns), text=text)
