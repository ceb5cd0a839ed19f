"""The cells of an advised grid, and what can be read off them: by `bench.running.advice` put into words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.core.errors import UsageError
from bench.core.selectors import unquoted
from bench.core.texts import SPLITS
from bench.data.task import TaskData
from bench.grid.cells import Cell, Plan
from bench.grid.command import llm_selector
from bench.report.frame import Results, load, tidy
from bench.report.tables import stats
from bench.report.tables.blocks import Block, blocks, check_baseline
from bench.report.tables.yardstick import Yardstick
from bench.running.cell import labels_for
from bench.store.folder import CELL_DIGITS, ResultsFolder
from bench.store.intervals import Estimate, wilson
from bench.store.opinions import whole
from bench.store.records import Record
from bench.training.stages import StageStore
from methods.stages import NOISE_RATE

FEWEST_TEST = 100
"""With fewer test rows with gold an accuracy is known to about ±10 points at best: they do not choose the method."""


@dataclass(frozen=True)
class Source:
    """One source of labels of the table."""

    name: str
    selector: str  # what --llms takes
    cells: tuple[Cell, ...]
    rate: Estimate | None  # share of wrong answers among rows with gold and an answer
    rows: int  # these rows
    right: float  # share of right answers among all rows with gold: no answer is none
    hits: dict[tuple[str, int], bool]  # by split and row, with gold and an answer: whether that is right
    silent: float  # share of all rows without an answer
    valid: bool  # whether a validation row has one


@dataclass(frozen=True)
class Adviser:
    """The cells of a plan and what became of them."""

    plan: Plan

    @cached_property
    def results(self) -> Results:
        """The records of this plan alone. Raises UsageError with the reasons where no competing method is done."""
        folder = self.plan.options.results
        wanted = {cell.key.hash for cell in self.plan.cells}
        records = [record for record in load(folder).records if record.hash in wanted]
        if not any(record.status == "done" and record.competes for record in records):
            why = {
                f"{r.key.method}, {r.key.noise}: {r.status}, {r.reason}": None for r in records if r.status != "done"
            }
            raise UsageError(
                "no method that learns from the noisy labels alone has finished, so there is no advice to give: "
                f"{'; '.join([*why][:5]) or f'`bench status --results {folder}` says why'}"
            )
        return Results(folder, records, *tidy(records, folder)[:1], [])

    @cached_property
    def records(self) -> dict[str, Record]:
        """Finished cells by their hash."""
        return {record.hash: record for record in self.results.records if record.status == "done"}

    @cached_property
    def block(self) -> Block:
        """The cells, indexed for tables."""
        cells = self.results.cells
        return blocks(cells, check_baseline(cells, "plain"))[0]

    @cached_property
    def task(self) -> TaskData:
        """The table."""
        return self.plan.cells[0].task

    @property
    def path(self) -> str:
        """Where the table lies, as it was named."""
        return unquoted((self.plan.options.tasks or [self.task.name])[0])[0]

    @cached_property
    def sources(self) -> list[Source]:
        """Every source with a finished cell of a method that competes, in the order of the plan."""
        made = []
        for name in dict.fromkeys(cell.key.noise for cell in self.plan.cells):
            cells = tuple(cell for cell in self.plan.cells if cell.key.noise == name and cell.key.hash in self.records)
            if any(self.records[cell.key.hash].competes for cell in cells):
                made.append(self._source(name, cells))
        return made

    def _source(self, name: str, cells: tuple[Cell, ...]) -> Source:
        """A source, with what its answers and the gold labels of all splits say of it."""
        task, labels = cells[0].task, labels_for(cells[0], StageStore(ResultsFolder(self.plan.options.results).stages))
        given, gold = task.joined(lambda split: getattr(labels, split)), task.joined(task.gold.of)
        both, right = (given >= 0) & (gold >= 0), int(((given == gold) & (gold >= 0)).sum())
        rows = int(both.sum())
        rows_at = [(split, int(row)) for split in SPLITS for row in task.rows[split]]
        return Source(
            name,
            llm_selector(cells[0].source),
            cells,
            rate=wilson(rows - right, rows),
            rows=rows,
            right=right / max(1, int((gold >= 0).sum())),
            hits={rows_at[at]: bool(given[at] == gold[at]) for at in np.flatnonzero(both)},
            silent=float((given < 0).mean()),
            valid=bool((labels.valid >= 0).any()),
        )

    @cached_property
    def main(self) -> Source:
        """The labels to use: those that are right for most rows with gold; without gold the vote, or the only ones.

        Those that mostly have no answer, or none in valid, only where there are no others.
        """
        usable = [each for each in self.sources if each.valid and each.silent <= 0.5] or self.sources
        if any(each.rate for each in usable):
            return max(usable, key=lambda each: each.right)
        return next((each for each in usable if each.cells[0].source.rule != "single"), usable[0])

    @cached_property
    def competing(self) -> dict[str, dict[int, Record]]:
        """Finished records of the main source by method and seed: those that learn from noisy labels alone."""
        found: dict[str, dict[int, Record]] = {}
        label = dict(zip(self.results.cells["cell"], self.results.cells["method_label"], strict=True))
        for cell in self.main.cells:
            record = self.records[cell.key.hash]
            if record.competes:
                found.setdefault(label[record.hash[:CELL_DIGITS]], {})[cell.key.seed] = record
        return found

    @cached_property
    def column(self) -> tuple[str, str]:
        """The main source's column in tables."""
        row = self.results.cells.set_index("cell").loc[self.main.cells[0].key.hash[:CELL_DIGITS]]
        return str(row["task"]), str(row["noise"])

    @cached_property
    def tested(self) -> int:
        """Test rows with gold."""
        gold = self.main.cells[0].task.gold.test
        return 0 if gold is None else int((gold >= 0).sum())

    @property
    def by_gold(self) -> bool:
        """Whether test rows with gold choose the method."""
        return self.tested >= FEWEST_TEST

    @cached_property
    def yardstick(self) -> Yardstick:
        """The learning curve from human labels, where there is one."""
        return Yardstick(self.results, self.block, "last")

    @cached_property
    def agreements(self) -> dict[str, dict[int, float]]:
        """Accuracy on the noisy validation labels after the last step, per cent, by method and seed."""
        found = {
            method: {seed: 100 * a for seed, each in by_seed.items() if (a := _agreement(each)) is not None}
            for method, by_seed in self.competing.items()
        }
        return {method: by_seed for method, by_seed in found.items() if by_seed}

    @cached_property
    def accuracies(self) -> dict[str, dict[int, float]]:
        """Accuracy on test rows with gold after the last step, per cent, by method and seed."""
        return {
            method: found
            for method in self.competing
            if (found := self.block.values(method, self.column, "accuracy_last", 100))
        }

    @cached_property
    def ranked(self) -> list[str]:
        """The competing methods, the best first: by gold where there is enough, else by noisy validation labels."""
        scores = self.accuracies if self.by_gold else self.agreements
        means = shared_means(scores)
        return stats.best_first({method: means.get(method, -1.0) for method in self.competing})

    def exportable(self) -> tuple[str, Record] | None:
        """The best method whose model can be taken away, with its cell of the first seed."""
        able = {cell.key.hash for cell in self.main.cells if cell.exportable}
        for method in self.ranked:
            record = next(iter(self.competing[method].values()))
            if record.hash in able:
                return method, record
        return None

    def estimates(self, source: Source) -> list[float]:
        """Noise rates that cells estimated without gold, one per seed."""
        by_seed = {}
        for cell in source.cells:
            rate = self.records[cell.key.hash].diagnostics.get("noise_rate_estimate")
            if isinstance(rate, float) and NOISE_RATE in cell.method.shared_stages(cell.recipe.epochs):
                by_seed[cell.key.seed] = rate
        return list(by_seed.values())

    def valid_hits(self, record: Record) -> np.ndarray:
        """Which answered validation texts the last step predicts as labelled, float64[n]."""
        arrays = self.results.arrays(record.hash[:CELL_DIGITS], "valid_labels", "valid_last") or {}
        if not arrays:
            raise UsageError(
                f"cell {record.hash[:CELL_DIGITS]} lacks its arrays: run the same command with another --results"
            )
        labels = arrays["valid_labels"].astype(np.int64)
        predicted = whole("valid_last", arrays, len(self.task.label_names)).argmax(axis=1)
        return (predicted == labels)[labels >= 0].astype(np.float64)


def shared_means(scores: dict[str, dict[int, float]]) -> dict[str, float]:
    """The means of `scores[method][seed]` over the seeds that all have; over a method's own where none is shared.

    Methods with too few seeds to compare have none.
    """
    few = stats.too_few_seeds({method: [by_seed] for method, by_seed in scores.items()}, "plain")
    scores = {method: by_seed for method, by_seed in scores.items() if method not in few}
    seeds = stats.common_seeds(scores.values())
    return {method: float(np.mean([by_seed[seed] for seed in seeds or by_seed])) for method, by_seed in scores.items()}


def _agreement(record: Record) -> float | None:
    return record.curve[-1].noisy_valid_accuracy if record.curve else None
