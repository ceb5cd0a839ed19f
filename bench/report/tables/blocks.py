"""The cells of one set-up, indexed for tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.core.errors import UsageError
from bench.report.names import natural
from bench.report.tables.model import Entry, Head, Kind, Row, Table, pick
from bench.report.tables.stats import common_seeds, too_few_seeds
from bench.store.metrics.base import Metric
from bench.store.noise_words import NOISE_KINDS

if TYPE_CHECKING:
    import pandas as pd

Column = tuple[str, str]  # (task, noise)
KINDS = (*NOISE_KINDS, None)
"""Kinds of noise sources in the order of the columns."""
EARLY = "+es"
"""Ending of the row that is the baseline stopped early: at its best step on the noisy validation labels."""

OVER_TEXTS = (
    "Two limits in brackets: the 95 % interval over test texts (Wilson; of an average over columns, Wilson's limits "
    "combined, Newcombe 1998; of a difference, the bootstrap), where seeds give none."
)
EXPECTED = "≈: computed, as the records are older than the count of wrong labels among those trained on."


class Span(NamedTuple):
    """Columns that an average is over: those of one kind of noise, or all."""

    kind: str  # a key of NOISE_KINDS; "all"
    title: str  # "LLM labels"; "all"
    columns: list[Column]


@dataclass(frozen=True)
class Block:
    """The cells of one set-up, indexed for tables: what every table of that set-up is made from."""

    setup: str
    methods: list[str]  # baseline first, references last
    references: frozenset[str]  # do not compete: saw gold, with human labels, or among `readers`
    readers: frozenset[str]  # opened data files of the task by themselves
    columns: list[Column]
    kinds: dict[Column, str | None]  # keys of NOISE_KINDS
    rows: dict[tuple[str, Column], list[dict]] = field(repr=False)  # (method, column) -> cells
    humans: frozenset[str] = frozenset()  # learn from human labels as well
    superseded: frozenset[Column] = frozenset()  # of older data: in no average, test or headline
    baseline: str | None = None
    early: str | None = None  # the row of `by` that is the baseline by another rule
    _values: dict[tuple, dict[int, float]] = field(default_factory=dict, repr=False, compare=False)

    def values(self, method: str, column: Column, name: str, scale: float = 1.0) -> dict[int, float]:
        """The scores by seed of one method in one column; shared by all that ask, so not to be changed."""
        key = (method, column, name, scale)
        found = self._values.get(key)
        if found is None:
            rows = self.rows.get((method, column), ())
            found = {row["seed"]: scale * row[name] for row in rows if row[name] is not None and row[name] == row[name]}
            self._values[key] = found
        return found

    def by(self, rule: str) -> Block:
        """The block as tables by a rule show it: by the last step, the baseline stopped early is a row of its own.

        The row is computed from the baseline's own cells: what training is worth beyond early stopping on noisy
        validation labels shows only against it. By `noisy_valid` the baseline itself is that row.
        """
        if rule != "last" and self.early:
            return replace(self, methods=[each for each in self.methods if each != self.early], early=None)
        name = f"{self.baseline}{EARLY}"
        if rule != "last" or self.baseline is None or name in self.methods:
            return self
        found = {
            column: rows
            for (method, column), rows in self.rows.items()
            if method == self.baseline and any(row["accuracy_noisy_valid"] is not None for row in rows)
        }
        if not found:
            return self
        made = {(name, column): [_early(row) for row in rows] for column, rows in found.items()}
        place = self.methods.index(self.baseline) + 1
        references = self.references | ({name} if self.baseline in self.references else frozenset())
        methods = [*self.methods[:place], name, *self.methods[place:]]
        rows = self.rows | made
        return replace(self, methods=methods, references=references, rows=rows, early=name, _values={})

    def spans(self, columns: list[Column]) -> list[Span]:
        """What averages over `columns` are over: each kind of noise by itself, then all where there are several."""
        kinds = sorted({self.kinds[column] for column in columns}, key=KINDS.index)
        found = [
            Span(str(kind), NOISE_KINDS.get(str(kind), "other noise"), [c for c in columns if self.kinds[c] == kind])
            for kind in kinds
        ]
        return [*found, Span("all", "all", list(columns))] if len(found) > 1 else found

    def cells(self, column: Column) -> list[dict]:
        """The cells of every method in a column, each once."""
        return [row for name in self.methods if name != self.early for row in self.rows.get((name, column), ())]

    def finished(self, method: str, columns: Iterable[Column]) -> list[dict]:
        """The cells of a method in some columns that ran to their end."""
        return [row for c in columns for row in self.rows.get((method, c), ()) if row["status"] == "done"]

    def labelled(self, column: Column) -> list[dict]:
        """The cells of a column whose records hold the labeller's own accuracy on test."""
        return [row for row in self.cells(column) if row["labeller_test_accuracy"] is not None]

    def ids(self, method: str, columns: list[Column]) -> tuple[str, ...]:
        """Ids of a method's cells in some columns."""
        return tuple(row["cell"] for column in columns for row in self.rows.get((method, column), ()))

    def current(self, columns: list[Column] | None = None) -> list[Column]:
        """The columns, or those among `columns`, whose data are the newest of their source."""
        return [c for c in (self.columns if columns is None else columns) if c not in self.superseded]

    def of_task(self, task: str) -> list[Column]:
        """The columns of a task."""
        return [column for column in self.columns if column[0] == task]

    def noises(self) -> list[str]:
        """Noise sources in the order of the columns."""
        order = sorted(self.columns, key=lambda column: (KINDS.index(self.kinds[column]), _by_age(column[1])))
        return list(dict.fromkeys(noise for _, noise in order))

    def tasks(self) -> list[str]:
        """Tasks in order of their names."""
        return list(dict.fromkeys(task for task, _ in self.columns))

    def row(self, method: str, entries: Iterable[Entry]) -> Row:
        """The line of a method in a table."""
        return Row(method, row_kind(self, method, self.baseline), tuple(entries))

    def table(
        self,
        kind: str,
        title: str,
        heads: Iterable[Head],
        rows: Iterable[Row],
        caption: Iterable[str] = (),
        metric: Metric | None = None,
        **more: Any,
    ) -> Table:
        """A table of this set-up. Entries with fewer seeds than the fullest one are marked.

        Parameters
        ----------
        kind, title, heads, rows
            As in `Table`.
        caption
            Sentences; empty ones are left out.
        metric
            Whose scores it holds: says how many decimals there are and which way is up.
        more
            Other fields of `Table`, if they are not the usual ones: all tasks, and a name like the kind. The set-up is
            added to the name.

        Returns
        -------
        Table
        """
        heads, rows = tuple(heads), tuple(rows)
        texts = OVER_TEXTS if any(each.limits for row in rows for each in row.entries) else ""
        said = tuple(filter(None, [*caption, texts, EXPECTED if any("≈" in each.below for each in heads) else ""]))
        name = f"{more.pop('name', kind)}-{self.setup}"
        known: dict[str, Any] = {"task": "", "seeds": max((each.n for row in rows for each in row.entries), default=0)}
        if metric is not None:
            known |= {"decimals": metric.decimals, "higher_is_better": metric.higher_is_better}
        return Table(name, title, kind, self.setup, heads=heads, rows=rows, caption=said, **(known | more))


def check_baseline(cells: pd.DataFrame, baseline: str) -> str | None:
    """The method label that differences are taken to; None when the default `plain` was not run.

    Raises UsageError for another name that is not among the results.
    """
    labels = sorted(cells["method_label"].unique())
    if baseline in labels:
        return baseline
    variants = [label for label in labels if label.startswith(f"{baseline}[")]
    if len(variants) == 1:
        return variants[0]
    if variants:
        raise UsageError(f"baseline '{baseline}' matches {' and '.join(variants)}: write one of them in full")
    if baseline == "plain":
        return None
    return pick("baseline", baseline, labels)


def blocks(cells: pd.DataFrame, baseline: str | None) -> list[Block]:
    """One block per set-up, the largest first. Columns that could not be scored for want of gold are left out."""
    wanted = cells.sort_values("seed", kind="stable").astype(object)
    by_setup: dict[str, list[dict]] = defaultdict(list)
    for row in wanted.where(wanted.notna(), None).to_dict("records"):
        by_setup[row["setup"]].append(row)
    made = [_block(setup, rows, baseline) for setup, rows in by_setup.items()]
    return sorted(made, key=lambda block: (-sum(map(len, block.rows.values())), block.setup))


def _block(setup: str, rows: list[dict], baseline: str | None) -> Block:
    index: dict[tuple[str, Column], list[dict]] = defaultdict(list)
    scored: dict[Column, bool] = defaultdict(bool)
    kinds: dict[Column, int] = {}
    for row in rows:
        column = (row["task"], row["noise"])
        index[row["method_label"], column].append(row)
        scored[column] |= row["has_gold"] is not False
        kinds[column] = min(kinds.get(column, len(KINDS)), KINDS.index(row["noise_kind"]))
    readers = frozenset(row["method_label"] for row in rows if row["opened_files"])
    humans = frozenset(row["method_label"] for row in rows if row["human_labels"] is not None)
    told = readers | {row["method_label"] for row in rows if row["sees_gold"]}
    references = told | humans
    columns = sorted((c for c in scored if scored[c]), key=lambda c: (c[0], kinds[c], _by_age(c[1])))
    methods = sorted(
        {method for method, column in index if scored[column]},
        key=lambda name: (name in references, name in told, name != baseline, natural(name)),
    )
    named = {column: KINDS[kinds[column]] for column in columns}
    superseded = frozenset((row["task"], row["noise"]) for row in rows if row["age"])
    known = baseline if baseline in methods else None
    return Block(setup, methods, references, readers, columns, named, dict(index), humans - told, superseded, known)


def _early(row: dict) -> dict:
    """A cell's row with the scores of the step chosen on noisy validation labels in place of the last step's."""
    chosen = {name: row[f"{name.removesuffix('_last')}_noisy_valid"] for name in row if name.endswith("_last")}
    return row | chosen | {"rule": "noisy_valid"}


def _by_age(noise: str) -> list:
    """A sorting key that puts `gpt`, `gpt (older data)` and `gpt (older data 2)` in this order."""
    return natural(noise.rstrip(")"))


def common_columns(block: Block, columns: list[Column], name: str) -> tuple[list[Column], list[str]]:
    """The columns in which every compared method has a score, and the methods left out of that comparison.

    Columns of superseded data do not count. A method with scores in fewer than half as many columns as the fullest
    one is left out: it would shrink the average of every method to its own few columns. References do not count.
    """
    columns = block.current(columns)
    competing = [method for method in block.methods if method not in block.references]
    have = {method: {column for column in columns if block.values(method, column, name)} for method in competing}
    most = max((len(found) for found in have.values()), default=0)
    compared = {method: found for method, found in have.items() if found and 2 * len(found) >= most}
    shared = [column for column in columns if compared and all(column in found for found in compared.values())]
    return shared, [method for method, found in have.items() if found and method not in compared]


def without_average(block: Block, methods: Iterable[str], columns: list[Column], name: str) -> list[str]:
    """The methods with scores in some of the columns, none of whose seeds has all of them: they have no average."""
    scored = [method for method in methods if any(block.values(method, column, name) for column in columns)]
    return [method for method in scored if not averages(block, method, columns, name)]


def compared(block: Block, name: str) -> tuple[list[str], list[Column]]:
    """The methods that compete and the columns that all of them have, for scores `name`."""
    shared, left_out = common_columns(block, block.columns, name)
    scored = [m for m in block.methods if m not in block.references and m not in left_out]
    return [m for m in scored if shared and all(block.values(m, c, name) for c in shared)], shared


def with_enough_seeds(
    block: Block, methods: Sequence[str], columns: list[Column], name: str
) -> tuple[list[str], list[str]]:
    """The methods that are compared over the seeds that they share, and those with too few (`stats.too_few_seeds`)."""
    own = [method for method in methods if method != block.early]  # that row is the baseline's
    few = too_few_seeds({method: [block.values(method, c, name) for c in columns] for method in own}, block.baseline)
    return [method for method in methods if method not in few], few


def column_means(block: Block, methods: Sequence[str], columns: list[Column], name: str) -> np.ndarray:
    """Scores float64[methods, columns], averaged over the seeds that all of `methods` have in a column.

    NaN in a column where they share no seed. Equal but for the order of summing is equal.
    """
    means = np.full((len(methods), len(columns)), np.nan)
    for place, column in enumerate(columns):
        found = [block.values(method, column, name) for method in methods]
        if seeds := common_seeds(found):
            means[:, place] = [np.mean([values[seed] for seed in seeds]) for values in found]
    return np.round(means, 12)


def averages(block: Block, method: str, columns: list[Column], name: str, scale: float = 1.0) -> dict[int, float]:
    """By seed: the mean over `columns`, for the seeds that have all of them."""
    values = [block.values(method, column, name, scale) for column in columns]
    if not values or not all(values):
        return {}
    return {seed: sum(by_seed[seed] for by_seed in values) / len(values) for seed in common_seeds(values)}


def row_kind(block: Block, method: str, baseline: str | None) -> Kind:
    """Whether a row is the baseline, a reference or a method with human labels, which do not compete, or a method."""
    if method in block.references:
        return "human" if method in block.humans else "reference"
    return "baseline" if method in (baseline, block.early) else "method"
