"""The yardstick of human labels: how many random ones alone give the same accuracy, on the same encoder and task.

The learning curve of `gold[rows=k]` is made monotone (isotonic regression: Barlow et al. 1972) and read backwards,
linearly in log k. The interval is the percentile bootstrap over seeds and test texts, drawn alike for the method and
the curve. Outside of the curve's range there is a bound and no number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bench.core.seeds import named_generator
from bench.report.frame import Results
from bench.report.names import natural
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column, averages
from bench.report.tables.bootstrap import Draws, draw, draws_of
from bench.report.tables.model import Entry

LABELLER = "labeller itself (test)"
"""The row of the labeller as a classifier of the test texts."""
CURVE = "gold[rows="
"""How the labels of the curve's cells begin."""


def isotonic(curves: np.ndarray) -> np.ndarray:
    """The non-decreasing rows nearest to `curves` float[B, K] in squares, by the max-min formula."""
    sums = np.concatenate([np.zeros((len(curves), 1)), np.cumsum(curves, axis=1)], axis=1)
    count = curves.shape[1]
    found = np.full(curves.shape, -np.inf)
    for start in range(count):
        means = (sums[:, start + 1 :] - sums[:, start : start + 1]) / np.arange(1, count - start + 1)
        smallest = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        found[:, start:] = np.maximum(found[:, start:], smallest)
    return found


def labels_for(accuracy: np.ndarray, curves: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many labels reach an accuracy.

    Parameters
    ----------
    accuracy
        float[B].
    curves
        float[B, K], accuracy after `sizes` labels, made monotone here.
    sizes
        int[K], ascending.

    Returns
    -------
    ndarray
        float64[B]: 0 where the accuracy lies below the curve, inf where it lies above.
    """
    curves, logs = isotonic(curves), np.log(sizes)
    above = (curves < accuracy[:, None]).sum(axis=1)
    right = above.clip(1, len(sizes) - 1)
    row = np.arange(len(curves))
    low, high = curves[row, right - 1], curves[row, right]
    share = ((accuracy - low) / np.where(high > low, high - low, 1)).clip(0, 1)
    found = np.exp(logs[right - 1] + share * (logs[right] - logs[right - 1]))
    found = np.where(above == 0, np.where(accuracy < curves[:, 0], 0.0, float(sizes[0])), found)
    return np.where(above == len(sizes), np.inf, found)


class Worth(NamedTuple):
    """A number of human labels with its 95 % interval: 0 is less than the curve begins with, inf more than it has."""

    labels: float
    low: float  # NaN without an interval
    high: float

    def words(self, sizes: Sequence[int]) -> str:
        """For people: `57 (41 to 80)`, `< 10 (< 10 to 14)`, `> 1,749`."""

        def one(labels: float) -> str:
            if labels == 0:
                return f"< {sizes[0]:,}"
            if math.isinf(labels):
                return f"> {sizes[-1]:,}"
            return f"{float(f'{labels:.2g}'):,.0f}" if labels >= 10 else f"{labels:.0f}"

        limits = () if math.isnan(self.low) else (one(self.low), one(self.high))
        return one(self.labels) if set(limits) <= {one(self.labels)} else f"{one(self.labels)} ({' to '.join(limits)})"


@dataclass(frozen=True)
class Curve:
    """The accuracy that human labels alone give on one task."""

    columns: list[Column]  # where its cells are
    sizes: tuple[int, ...]  # ascending
    methods: tuple[str, ...]  # the label of each size
    by_seed: tuple[dict[int, float], ...]  # accuracy in percent

    @property
    def means(self) -> np.ndarray:
        """Accuracy in percent, float64[K], mean over seeds."""
        return np.array([np.mean(list(values.values())) for values in self.by_seed])

    @property
    def whole(self) -> bool:
        """Whether its last point has all human labels that there are."""
        return self.methods[-1] == f"{CURVE}all]"


def learning_curve(block: Block, columns: Sequence[Column], rule: str) -> Curve | None:
    """The curve for accuracies averaged over columns of one task; None where no two sizes are known.

    By the last step it is that of the task's first noise source with two sizes, as training on gold does not depend on
    the source. By `noisy_valid` it is that of `columns` themselves: their noisy validation labels choose its steps too.
    """
    places = [[each] for each in block.current(block.of_task(columns[0][0]))] if rule == "last" else [list(columns)]
    for place in places:
        found: dict[int, tuple[str, dict[int, float]]] = {}
        for method in sorted(block.humans, key=natural):  # "all" comes last
            values = averages(block, method, place, f"accuracy_{rule}", 100) if method.startswith(CURVE) else {}
            if values:
                found[block.finished(method, place)[0]["human_labels"]] = (method, values)
        if len(found) > 1:
            sizes = tuple(sorted(found))
            methods, by_seed = zip(*(found[size] for size in sizes), strict=True)
            return Curve(place, sizes, methods, by_seed)
    return None


def labeller_cells(labelled: list[dict]) -> list[dict]:
    """One of the `labelled` cells per seed; one alone where the labeller scores the same with every seed."""
    cells = sorted({row["seed"]: row for row in reversed(labelled)}.values(), key=lambda row: row["seed"])
    return cells if len({row["labeller_test_accuracy"] for row in cells}) > 1 else cells[:1]


def labeller_accuracy(labelled: list[dict]) -> float:
    """The labeller's own accuracy in per cent, mean over the seeds of the `labelled` cells, of which there are some."""
    values = [100 * row["labeller_test_accuracy"] for row in labeller_cells(labelled)]
    return sum(values) / len(values)


@dataclass(frozen=True)
class Yardstick:
    """The learning curves of a set-up, and what its methods are worth by them."""

    read: Results
    block: Block
    rule: str
    full: bool = False

    @cached_property
    def curves(self) -> dict[Column, Curve]:
        """By current column, where there is one."""
        found = {column: learning_curve(self.block, [column], self.rule) for column in self.block.current()}
        return {column: curve for column, curve in found.items() if curve is not None}

    def curve(self, columns: Sequence[Column]) -> Curve | None:
        """That of some columns of one task."""
        alone = self.rule == "last" or len(columns) == 1
        return self.curves.get(columns[0]) if alone else learning_curve(self.block, columns, self.rule)

    @cached_property
    def draws(self) -> Draws | None:
        """The bootstrap of all cells on tasks with a curve; None for very many cells unless asked for."""
        competing, _ = draws_of(self.read, self.block, self.full)
        if competing is None:
            return None
        others = [*self.block.references, *filter(None, [self.block.early])]
        return Draws(competing.by_cell | draw(self.read, self.block, others).by_cell)

    @cached_property
    def columns(self) -> list[Column]:
        """The current columns with a curve on the same test texts."""
        return [column for column in self.curves if self._same_texts(column)]

    def _same_texts(self, column: Column) -> bool:
        (place,) = self.curves[column].columns
        return column == place or np.array_equal(self._gold(column), self._gold(place))

    def _gold(self, column: Column) -> np.ndarray:
        for method in self.block.methods:
            for row in self.block.finished(method, [column]):
                if (arrays := self.read.arrays(row["cell"], "gold")) is not None:
                    return arrays["gold"]
        return np.arange(0)

    def worth(self, method: str, columns: Sequence[Column]) -> Worth | None:
        """What the mean accuracy of a method over columns of one task is worth; None without a score or a curve."""
        if not columns or not set(columns) <= set(self.columns) or (curve := self.curve(columns)) is None:
            return None
        sizes = np.array(curve.sizes)
        drawn: np.ndarray | None = None
        if method == LABELLER:
            mean, drawn = self._labeller(columns)
        else:
            by_seed = averages(self.block, method, list(columns), f"accuracy_{self.rule}", 100)
            mean = float(np.mean(list(by_seed.values()))) if by_seed else math.nan
            if self.draws is not None:
                drawn = self.draws.average(self.block, method, list(columns), list(by_seed), self.rule)
        if math.isnan(mean):
            return None
        point = labels_for(np.array([mean]), curve.means[None], sizes)[0]
        low = high = math.nan
        if drawn is not None and (drawn_curve := self._drawn_curve(curve)) is not None:
            # a drawn value as limit: between a number and a bound there is none
            drawn_labels = labels_for(drawn, drawn_curve, sizes)
            low, high = np.quantile(drawn_labels, [0.025, 0.975], method="inverted_cdf")
        return Worth(float(point), float(low), float(high))

    def fewest_seeds(self, methods: Sequence[str], columns: Sequence[Column]) -> int:
        """The smallest number of seeds on which the worth of some methods over columns of one task rests."""
        own = (averages(self.block, method, list(columns), f"accuracy_{self.rule}") for method in methods)
        curve = found.by_seed if (found := self.curve(columns)) else ()
        return min((len(by_seed) for by_seed in (*own, *curve) if by_seed), default=0)

    def _drawn_curve(self, curve: Curve) -> np.ndarray | None:
        """Accuracies float64[DRAWS, K] of the curve under the drawn seeds and texts."""
        if self.draws is None:
            return None
        pairs = zip(curve.methods, curve.by_seed, strict=True)
        points = [self.draws.average(self.block, name, curve.columns, list(each), self.rule) for name, each in pairs]
        return None if any(each is None for each in points) else np.stack(points, axis=1)

    def _labeller(self, columns: Sequence[Column]) -> tuple[float, np.ndarray | None]:
        """The labeller's own accuracy in percent, mean over columns, and under the draws float64[DRAWS]."""
        means, drawn = [], []
        for column in columns:
            cells = labeller_cells(self.block.labelled(column))
            if not cells:
                return math.nan, None
            means.append(labeller_accuracy(cells))
            by_seed = [found for row in cells if (found := self._labeller_draws(row)) is not None]
            if len(by_seed) == len(cells):
                weights = stats.bootstrap_seeds(len(cells), named_generator("bootstrap", "seeds"))
                drawn.append((np.stack(by_seed, axis=1) * weights).sum(axis=1))
        return float(np.mean(means)), np.mean(drawn, axis=0) if len(drawn) == len(columns) else None

    def _labeller_draws(self, row: dict) -> np.ndarray | None:
        """The labeller's accuracy in percent with a cell's seed under the texts drawn for methods, float64[DRAWS]."""
        arrays = self.read.arrays(row["cell"], "test_labels", "gold")
        if arrays is None or self.draws is None:
            return None
        hits = (arrays["test_labels"] == arrays["gold"])[arrays["gold"] >= 0][None]
        texts = named_generator("bootstrap", "texts", row["task"], hits.shape[1])
        return 100 * stats.bootstrap_texts(hits, texts)[:, 0].astype(np.float64)

    def entry(self, method: str, columns: Sequence[Column]) -> Entry:
        """`worth` as an entry of a table."""
        found, curve = self.worth(method, columns), self.curve(columns)
        if found is None or curve is None:
            return Entry("empty")
        words = found.words(curve.sizes)
        ids = () if method == LABELLER else self.block.ids(method, list(columns))
        if 0 < found.labels < math.inf:
            return Entry("value", found.labels, cells=ids, text=words)
        return Entry("text", cells=ids, text=words)

    @property
    def measured(self) -> list[str]:
        """The methods that the curve is not made of."""
        return [method for method in self.block.methods if not method.startswith(CURVE)]
