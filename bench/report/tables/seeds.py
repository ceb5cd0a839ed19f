"""What is said where methods have different seeds: a mean over easy seeds is no better method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.core.texts import plural
from bench.report.tables.blocks import Block, Column, with_enough_seeds
from bench.report.tables.stats import common_seeds


def seeds_differ(block: Block, methods: Iterable[str], columns: Iterable[Column], name: str) -> bool:
    """Whether any two methods with scores `name` in one of the columns have them for different seeds."""
    methods = list(methods)
    found = ([values for method in methods if (values := block.values(method, c, name))] for c in columns)
    return any(values.keys() != by_method[0].keys() for by_method in found for values in by_method)


def seeds_sentence(block: Block, methods: Sequence[str], columns: list[Column], name: str) -> str:
    """Which seeds count in a comparison over shared ones; empty where all have the same."""
    methods, few = with_enough_seeds(block, methods, columns, name)
    left = f" Without {', '.join(few)}: fewer than half of the seeds." if few else ""
    if not seeds_differ(block, methods, columns, name):
        return left.strip()
    lost = sum(not common_seeds(block.values(method, column, name) for method in methods) for column in columns)
    without = f"; {plural(lost, 'column')} without such a seed {'is' if lost == 1 else 'are'} left out" if lost else ""
    return f"Methods have different seeds: in each column only the seeds that all of them have count{without}.{left}"


def own_seeds_sentence(
    block: Block, methods: Iterable[str], columns: Iterable[Column], name: str, differences: bool = False
) -> str:
    """That each row is over its own seeds, and what to compare methods by; empty where all that compete have the same.

    `differences`: whether the table has a column of differences from the baseline.
    """
    if not seeds_differ(block, (method for method in methods if method not in block.references), columns, name):
        return ""
    by = f"methods by differences from {block.baseline}, paired by seed" if differences else ""
    return (
        f"Methods have different seeds, and each row is over its own: compare {by or 'only methods of the same seeds'}."
    )
