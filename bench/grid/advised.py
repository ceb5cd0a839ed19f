"""The grid that `bench advise` runs on a user's own table: which sources, methods and sizes, and how long it takes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.core.errors import UsageError
from bench.core.selectors import there
from bench.core.texts import SPLITS
from bench.data.task import TaskData
from bench.grid.cells import Cell, Plan, plan
from bench.grid.command import llm_selector
from bench.grid.estimate import estimate, inputs_of, left_behind
from bench.grid.options import GridOptions, load_options
from bench.grid.tasks import labellers_of, load_named, without_labels
from bench.noise.select import sources_for
from bench.store.records import Record, read_records
from methods.human import CURVE, GoldRows

METHODS = ("plain", "co-teaching", "npc", "sidyp", "cleanlab")
"""One of each kind: the baseline, sample selection, a learned transition, diffusion, pruning by confident learning."""


class Cost(NamedTuple):
    """Seconds of one CPU core: those that come whatever the number of texts is, and thousandths per text."""

    fixed: float
    thousandths: float

    def of(self, texts: int) -> float:
        """The seconds for so many texts."""
        return self.fixed + self.thousandths * texts / 1000


COSTS = {
    "plain": Cost(0.15, 0.3), "co-teaching": Cost(0.9, 1.2), "npc": Cost(0.4, 0.5), "sidyp": Cost(2.0, 4.0),
    "cleanlab": Cost(0.3, 0.5), "gold": Cost(0.15, 0.3),
}  # fmt: skip
"""Training a head with a frozen MiniLM for 10 epochs, by train texts, shared stages included. Per text: rounded medians
of the reference records (`results/reference/frozen`), of thousands of texts. Fixed: what 100 and 400 texts took above
that, such as the estimate of the noise rate and steps of few texts."""
OTHER = Cost(0.5, 1.0)
"""Other methods are taken for this; at 100 texts they take 0.1 to 2.8 seconds."""
EMBEDDING = Cost(8.0, 10.0)
"""The embeddings, once, by texts of all splits; fixed: loading the encoder."""


def advised_plan(table: str, given: Mapping[str, Any]) -> Plan:
    """The cells for a table: every labeller, their vote where there are several, `METHODS`, and a learning curve.

    Options of a grid that a person gave (None: not given) come before the choices made here. Raises UsageError for a
    table that cannot be read, one without labels, methods of which none competes, or a default folder that holds the
    advice on another table.
    """
    if not there(table):
        raise UsageError(f"'{table}' does not exist: name a CSV, TSV, JSONL, JSON, Parquet or Excel file")
    defaults = {"encoder": "minilm:frozen", "methods": list(METHODS)}
    options = load_options({**defaults, **{name: v for name, v in given.items() if v is not None}, "tasks": [table]})
    if len(options.encoder) > 1:
        raise UsageError(f"--encoder {','.join(options.encoder)}: advice is for a single encoder: name one")
    task = load_named(options.tasks[0] if options.tasks else table, options)
    if not task.columns:
        raise UsageError(without_labels(task))
    found: dict[str, Any] = {"llms": _labellers(task, options), "methods": [*options.methods, *_curve(task)]}
    if given.get("results") is None:
        found["results"] = Path(f"{task.info.name}-advice")
    made = plan(options.model_copy(update=found))
    if all(cell.method.sees_gold or cell.method.human_rows() is not None for cell in made.cells):
        raise UsageError(
            f"--methods {','.join(options.methods)}: all of these are given gold or human labels, but advice needs a "
            "method that learns from the noisy labels alone: add one, such as plain"
        )
    if "results" in found:
        _refuse_another_table(made)
    return dataclasses.replace(made, cells=_curve_once(made.cells))


def _labellers(task: TaskData, options: GridOptions) -> list[str]:
    """What --llms named, else every column; with the vote of several columns, unless an ensemble was named."""
    if options.llms is None:
        return labellers_of(task)
    named = [source for source, why in sources_for(task, llms=options.llms) if not why]
    plain = all(each.kind == "column" and each.rule == "single" for each in named)
    vote = f"vote({','.join(map(llm_selector, named))})"
    return [*options.llms, vote] if plain and len(named) > 1 else options.llms


def _curve_once(cells: list[Cell]) -> list[Cell]:
    """The cells with the learning curve from human labels of one source alone: it is the same for all of them."""
    once = next((cell.key.noise for cell in cells if not cell.skip), None)
    return [cell for cell in cells if cell.key.method != GoldRows.name or cell.key.noise == once]


def _refuse_another_table(made: Plan) -> None:
    """Raise UsageError where the results folder of a plan holds cells of other data than its own."""
    folder, own = made.options.results, made.cells[0].origin
    if own is None or not folder.is_dir():
        return
    records = (each for each in read_records(folder) if isinstance(each, Record))
    origins = {each.data.origin for each in records if each.data and each.data.origin}
    for origin in sorted(origins):
        if os.path.realpath(folder / origin) != os.path.realpath(folder / own):
            raise UsageError(
                f"{folder} holds the advice on another table, {os.path.normpath(folder / origin)}: name a folder for "
                f"that on {os.path.normpath(folder / own)} with --results"
            )


def _curve(task: TaskData) -> list[str]:
    """The learning curve from human labels, as far as rows with gold in train reach; none where test has none."""
    known = {split: 0 if (gold := task.gold.of(split)) is None else int((gold >= 0).sum()) for split in SPLITS}
    if not known["test"]:
        return []
    sizes = [
        text for text in CURVE if not text.endswith("=all]") and int(text[len("gold[rows=") : -1]) < known["train"]
    ]
    return [*sizes, "gold[rows=all]"] if sizes else []


def seconds_left(plan: Plan, left: Sequence[Cell], records: Sequence[Record]) -> float | None:
    """How long the cells `left` of a plan take on one worker: by earlier records, else by `COSTS`.

    None for a fine-tuned encoder without records: its time depends on the machine by orders of magnitude.
    """
    there_is = left_behind(plan, records)
    found = estimate(left, records, there_is, shared=plan.options.stages)
    if not found.unknown:
        return found.seconds
    if any(cell.key.encoder_mode != "frozen" for cell in left):
        return None
    total = sum(COSTS.get(cell.key.method, OTHER).of(len(cell.task.train)) for cell in left)
    texts = {inputs_of(cell): sum(len(cell.task.texts(split)) for split in SPLITS) for cell in left}
    return total + sum(EMBEDDING.of(size) for key, size in texts.items() if key not in there_is)
