"""One tidy table of all cells, and the records it came from."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import UsageError
from bench.core.texts import plural, printable
from bench.report import names as labels
from bench.report.costs import stand_alone
from bench.report.places import ages, older, task_names
from bench.store.folder import CELL_DIGITS
from bench.store.metrics import METRICS
from bench.store.metrics.base import simplex
from bench.store.noise_words import noise_kind, repeats_sentence
from bench.store.parts import CurvePoint
from bench.store.records import CellKey, Damaged, Record, read_arrays, read_records

if TYPE_CHECKING:
    import pandas as pd

ALL_RULES = ("last", "noisy_valid", "oracle_best")
"""Which step's predictions count; `oracle_best` is selected on the test set and is diagnostic only."""

COLUMNS = {
    "cell": "first 12 hex digits of the hash of the cell's full key",
    "record": "path of the record below the results folder",
    "status": "done, failed or skipped",
    "reason": "why it was skipped or failed",
    "task": "task",
    "noise": "where the noisy labels come from, with the options that vary in this folder",
    "age": "0: the newest data of this task and source; else how many newer versions there are; averaged only at 0",
    "noise_kind": "llm, weak, synthetic, human (a column named as people's) or column",
    "labeller": "the labelling model, for noise_kind llm",
    "prompting": "zero or few, for noise_kind llm",
    "method": "registered name of the method",
    "method_label": "the method with the parameters that vary in this folder",
    "method_version": "version of the method's code",
    "sees_gold": "True for the oracle and other references, and where the true noise rate is given: never compared",
    "human_labels": "train texts whose gold the method was given as bought labels; empty = it asks for none",
    "opened_files": "data files of the task that the method opened itself; if any, it is never compared; empty = none",
    "encoder": "encoder with its mode, e.g. minilm:frozen",
    "encoder_mode": "fine-tuned or frozen",
    "sentence_encoder": "model for the sentence embeddings that neighbours are found by",
    "setup": "encoder, mode, varying recipe, limit: only cells of one set-up are compared",
    "limit": "at most this many texts per split; empty = all",
    "seed": "seed",
    "until_settled": "the most seeds allowed to a run that added seeds until intervals exclude 0; else empty",
    "data": "fingerprint of texts, gold and noisy labels",
    "n_train": "texts",
    "n_valid": "texts",
    "n_test": "texts",
    "n_scored": "test texts that are scored: those with gold",
    "classes": "number of classes",
    "has_gold": "False: the test split has no gold labels, so there are no scores",
    "noise_rate_train": "share of the answered train labels that differ from gold",
    "no_answer_train": "share of the train texts that the labeller gave no label",
    "noise_rate_trained": "share of the labels trained on that are wrong: the answers, and random classes for the rest",
    "noise_rate_expected": "True: noise_rate_trained is computed from the other two, since the record is older than it",
    "labeller_test_accuracy": "accuracy of the labeller itself on test; no answer counts as wrong",
    "labeller_test_no_answer": "share of the test texts that the labeller gave no label",
    "labelling_texts": "texts that the labeller was asked for its label set; empty = its cost is not published",
    "labelling_tokens": "tokens read and written by the labeller for its label set",
    "labelling_seconds": "wall seconds of making the label set",
    "labelling_usd": "price of making the label set in US dollars",
    "seconds_marginal": "wall seconds of this cell",
    "seconds_processor": "processor seconds of this cell, all threads and child processes; empty in older records",
    "seconds_stand_alone": "seconds had nothing been shared: own time and one price per stage, medians of this folder",
    "seconds_stand_alone_low": "the same with every part at the tenth percentile of what it took",
    "seconds_stand_alone_high": "the same with every part at the ninetieth percentile of what it took",
    "seconds_unit": "what the stand-alone seconds are: processor or wall",
    "peak_memory_mb": "peak memory in MB",
    "parameters": "trainable parameters of all networks of the method",
    "device": "device",
    "precision": "numeric precision",
    "code_version": "version of the code that made the record",
    "created": "UTC time",
    "command": "a command line that reproduces this cell",
} | {
    f"{metric}_{rule}": f"{metric.replace('_', ' ')} of the step '{rule.replace('_', ' ')}'"
    for rule in ALL_RULES
    for metric in ("step", *METRICS, "absent_classes")
}
"""Every column of `cells.parquet` and `cells.csv`, and what it holds. Metrics are fractions, not percent."""


INTEGERS = (
    "limit", "human_labels", "until_settled", "n_train", "n_valid", "n_test", "n_scored", "classes", "parameters",
    *(f"step_{rule}" for rule in ALL_RULES),
)  # fmt: skip
"""Columns of whole numbers that may be empty."""


@dataclass(frozen=True)
class Results:
    """A results folder as read: one row of `cells` for each of `records`, in the same order."""

    folder: Path
    records: list[Record]
    cells: pd.DataFrame
    damaged: list[Damaged]
    notes: list[str] = field(default_factory=list)
    """What a reader must know: what bare names stand for, copies left out, mixed data."""
    cache: dict[tuple, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was computed from the arrays of many cells, for those who ask for it again."""

    @cached_property
    def by_cell(self) -> dict[str, Record]:
        """The record of each cell id."""
        return dict(zip(self.cells["cell"], self.records, strict=True))

    def arrays(self, cell: str, *names: str) -> dict[str, np.ndarray] | None:
        """The arrays `names` beside a cell's record; None unless all of them can be read."""
        found = self.some_arrays(cell, *names)
        return found if len(found) == len(names) else None

    def some_arrays(self, cell: str, *names: str) -> dict[str, np.ndarray]:
        """Those of the arrays `names` beside a cell's record that can be read."""
        try:
            return read_arrays(self.by_cell[cell].key.path(self.folder), *names)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return {}

    def bins(self, cell: str) -> dict[str, np.ndarray] | None:
        """Reliability bins of a cell's last step (`count`, `accuracy`, `confidence` float32[15]); None if unknown."""
        names = ("count", "accuracy", "confidence")
        arrays = self.arrays(cell, *(f"bins_{name}" for name in names))
        return arrays and {name: arrays[f"bins_{name}"] for name in names}

    def right(self, cell: str, rule: str = "last") -> np.ndarray | None:
        """Which test texts with gold the step of `rule` got right, bool[n]; None if unknown."""
        arrays = self.arrays(cell, f"test_{rule}", "gold")
        if arrays is None or len(arrays["gold"]) != len(arrays[f"test_{rule}"]):
            return None
        try:
            known = arrays["gold"] >= 0
            return simplex(arrays[f"test_{rule}"][known]).argmax(1) == arrays["gold"][known]
        except ValueError:  # no probabilities
            return None

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per (cell, step): the fields of `bench.store.parts.CurvePoint`."""
        import pandas as pd

        rows = [{"cell": cell} | dict(point) for cell, record in self.by_cell.items() for point in record.curve]
        return pd.DataFrame(rows, columns=["cell", *CurvePoint.model_fields])


def load(folder: Path) -> Results:
    """Read every record below `folder`. Raises UsageError when it holds none, or one of a newer schema."""
    folder = Path(folder)
    if not folder.exists():
        raise UsageError(f"results folder '{folder}' does not exist: run `bench run` first, or name one with --results")
    records: dict[str, Record] = {}
    damaged: list[Damaged] = []
    copies = 0
    for entry in read_records(folder):
        if isinstance(entry, Damaged):
            damaged.append(entry)
        else:
            copies += entry.hash in records
            records[entry.hash] = entry
    if not records:
        what = "file there is not a readable record" if len(damaged) == 1 else "files there are not readable records"
        found = f" ({len(damaged)} {what})" if damaged else ""
        raise UsageError(
            f"results folder '{folder}' holds no results below 'cells'{found}: "
            "run `bench run` first, or name another folder with --results"
        )
    ordered = list(records.values())
    cells, notes = tidy(ordered, folder)
    if copies:
        what = "record is a copy" if copies == 1 else "records are copies"
        notes.append(f"{copies} {what} of another record and counted once.")
    return Results(folder, ordered, cells, damaged, notes)


def tidy(records: list[Record], folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The frame of `COLUMNS` with one row per record, and notes on the names used in it."""
    import pandas as pd

    keys = [record.key for record in records]
    tasks = task_names(records)
    methods, bare_methods = labels.method_labels(
        keys, [record.created for record in records], [record.human_labels is not None for record in records]
    )
    noises, bare_noises = labels.noise_labels(keys)
    setups = labels.setup_labels(keys)
    notes = [f"{name} stands for {full}." for name, full in (bare_methods | bare_noises).items()]
    costs = stand_alone(records, tasks, methods, setups)
    rows = [
        _row(record, folder) | dict(zip(NAMES, map(printable, (task, method, noise, setup)), strict=True)) | cost
        for record, task, method, noise, setup, cost in zip(records, tasks, methods, noises, setups, costs, strict=True)
    ]
    cells = pd.DataFrame(rows, columns=list(COLUMNS))
    notes += _separate_older_data(cells, keys)
    notes += _repeats_notes(records, tasks)
    notes += _without_valid_answers(cells, records)
    flags = dict.fromkeys(("has_gold", "noise_rate_expected"), "boolean")
    return cells.astype(dict.fromkeys(INTEGERS, "Int64") | flags), notes


NAMES = ("task", "method_label", "noise", "setup")
"""Columns with names that people read: of files, columns and methods, whatever signs they hold."""
OF_KEY = ("task", "method", "method_version", "encoder_mode", "sentence_encoder", "limit", "seed", "data")
OF_RECORD = (
    "status", "human_labels", "until_settled", "peak_memory_mb", "parameters", "code_version", "created", "command",
)  # fmt: skip
OF_DATA = ("n_train", "n_valid", "n_test", "has_gold")
OF_NOISE = ("labeller", "prompting", "labeller_test_accuracy", "labeller_test_no_answer")
"""Columns that are called like the field they hold, by what has it."""


def _row(record: Record, folder: Path) -> dict:
    key, data, noise = record.key, record.data, record.noise
    row = {
        "cell": record.hash[:CELL_DIGITS],
        "record": key.path(folder).relative_to(folder).as_posix(),
        "reason": record.reason or (record.error.message if record.error else None),
        "sees_gold": record.is_reference,
        "opened_files": "; ".join(record.opened_files) or None,
        "encoder": labels.encoder_label(key),
        "seconds_marginal": record.seconds.get("total"),
        "seconds_processor": record.seconds.get("processor"),
        "device": record.device.get("name"),
        "precision": record.device.get("precision"),
    }
    row |= {name: getattr(record, name) for name in OF_RECORD} | {name: getattr(key, name) for name in OF_KEY}
    if data is not None:
        row |= {name: getattr(data, name) for name in OF_DATA} | {"classes": len(data.label_names)}
        row |= {"n_scored": (data.n_test if data.has_gold else 0) if data.n_scored is None else data.n_scored}
    if noise is not None and (trained := record.trained_noise) is not None:
        row |= {name: getattr(noise, name) for name in OF_NOISE}
        row |= {"noise_kind": noise_kind(noise.kind, noise.labeller)}
        row |= {"noise_rate_train": noise.rate_train, "no_answer_train": noise.no_answer_train}
        row |= {"noise_rate_trained": trained.rate, "noise_rate_expected": trained.expected}
    row |= _labelling(record)
    if record.scores is not None:
        for rule in ALL_RULES:
            row |= {f"{name}_{rule}": value for name, value in dict(getattr(record.scores, rule) or ()).items()}
    return row


def _labelling(record: Record) -> dict[str, float]:
    """The cost of the label set, as the record's diagnostics tell it."""
    cost = record.diagnostics.get("labelling")
    if not isinstance(cost, dict) or not all(isinstance(value, int | float) for value in cost.values()):
        return {}
    found = {f"labelling_{name}": float(cost[name]) for name in ("texts", "seconds", "usd") if name in cost}
    tokens = [float(cost[name]) for name in ("tokens_in", "tokens_out") if name in cost]
    return found | ({"labelling_tokens": sum(tokens)} if tokens else {})


def _separate_older_data(cells: pd.DataFrame, keys: list[CellKey]) -> list[str]:
    """Mark cells whose data newer ones of their column supersede; nothing is averaged over or tested with them."""
    columns = list(zip(cells["task"], cells["noise"], strict=True))
    cells["age"] = ages(keys, columns, cells["created"].tolist())
    cells["noise"] = [older(noise, age) for noise, age in zip(cells["noise"], cells["age"], strict=True)]
    superseded = Counter(column for column, age in zip(columns, cells["age"], strict=True) if age)
    return [
        f"{plural(count, 'cell')} of {task}, {source} saw older data (texts or labels) than the newest: "
        "shown in columns of their own, and in no average, test or headline."
        for (task, source), count in superseded.items()
    ]


def _repeats_notes(records: list[Record], tasks: list[str]) -> list[str]:
    """Which tasks have equal texts in two splits, each by its newest record."""
    newest = {}
    for record, task in sorted(zip(records, tasks, strict=True), key=lambda pair: pair[0].created):
        if record.data is not None and record.data.repeats is not None:
            newest[task] = record.data
    sizes = {task: {"train": data.n_train, "valid": data.n_valid, "test": data.n_test} for task, data in newest.items()}
    found = (repeats_sentence(task, data.repeats, sizes[task]) for task, data in sorted(newest.items()))
    return [sentence for sentence in found if sentence]


def _without_valid_answers(cells: pd.DataFrame, records: list[Record]) -> list[str]:
    """Where no step can be chosen on noisy validation labels."""
    columns = dict.fromkeys(
        (task, noise)
        for task, noise, record in zip(cells["task"], cells["noise"], records, strict=True)
        if record.noise is not None and record.noise.no_answer_valid == 1
    )
    return [f"{task}, {noise}: no valid text has an answer, so no step can be chosen there." for task, noise in columns]
