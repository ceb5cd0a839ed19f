"""Label sets: what an LLM answered for the texts of a task, on disk and in memory.

Own format, written by `write_label_set`, a folder `<labeller>/<zero|few>/<task>/` with

    train.csv valid.csv test.csv    id,label,answer
    card.json                       a `Card`: which labeller answered, how, when, at what cost

`id` is the row number in the split (from 0), `label` a class name, empty = no answer, `answer` what the LLM wrote.
No texts and no gold labels: the rows are tied to the texts by the SHA-256 that the card holds of every split
(`methods.base.Texts.fingerprint` over all its raw texts). A split, or a row of one, that was never asked is absent.

The files of the paper's authors, `<labeller>/<zeroshot|fewshot>/<task>/{split}.csv` with the columns
`true_label,original_sent,noisy_label`, are read as they are; `true_label` is never looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from bench.core.errors import UsageError, first_problem, listed
from bench.core.files import write_atomically
from bench.core.spreadsheet import csv_bytes
from bench.core.texts import SPLITS, Prompting, Texts
from bench.data.readers.tables import read_table
from llm_labels.cache import shortened

SETS = Path(__file__).parent / "sets"
"""The label sets that come with this project."""

COLUMNS = ("id", "label", "answer")
"""Of the files of our own format."""

MAX_ANSWER = 10_000
"""Characters of an answer that are kept; an LLM that rambles on must not fill the disk."""

WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
"""What fits 64 bits, in ASCII: Python's own rule takes "1_0" and digits of other scripts too."""


class Unusable(UsageError):
    """A label set that others can be used without."""


class OtherTexts(Unusable):
    """A label set was made for other texts than those at hand."""


class SplitCounts(BaseModel, extra="forbid"):
    """What a label set covers of one split."""

    total: int = Field(ge=1, description="texts in the split")
    asked: int = Field(ge=0, description="texts that the labeller was asked; rows of the CSV")
    answered: int = Field(ge=0, description="of these, texts that got a label")
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$", description="Texts.fingerprint over the whole split's raw texts")


class Card(BaseModel, extra="forbid"):
    """The origin of a label set; enough to make it again, and to refuse it for other texts."""

    schema_version: Literal[1] = 1
    labeller: str = Field(min_length=1, description="short name, e.g. 'smollm2'")
    revision: str = Field(description="exact model: hub id and revision, server model id, or SHA-256 of the weights")
    prompting: Prompting
    task: str = Field(min_length=1)
    label_names: list[str] = Field(min_length=2, description="class id = position")
    prompt_hash: str = Field(description="SHA-256 of the whole prompt: template, label words, examples")
    decoding: dict[str, Any] = Field(description="e.g. {'kind': 'scored', 'length_normalised': True}")
    calibration: str = Field("none", description="none | contextual | batch")
    date: str = Field(description="UTC, ISO 8601")
    splits: dict[Literal["train", "valid", "test"], SplitCounts]
    readings: dict[str, int] = Field(
        default_factory=dict, description="answers by the rule of llm_labels.decode that read them, or why none did"
    )
    cost: dict[str, float] = Field(default_factory=dict, description="requests, tokens, usd, seconds: what is known")
    licence: str = Field("", description="terms of the labeller's answers")
    note: str = ""


@dataclass(frozen=True)
class SplitLabels:
    """Labels of the asked rows of one split."""

    rows: np.ndarray  # int64[K]: row numbers in the split, ascending
    labels: np.ndarray  # int64[K]: class ids, -1 = no answer
    answers: tuple[str, ...] = ()  # K answers as written; empty when they are not needed

    def spread(self, count: int) -> np.ndarray:
        """int64[count]: the labels of all texts of the split; -1 also for those that were not asked."""
        labels = np.full(count, -1, dtype=np.int64)
        labels[self.rows] = self.labels
        return labels


def write_label_set(folder: Path, card: Card, splits: Mapping[str, SplitLabels]) -> None:
    """Write a label set; each file is replaced as a whole, the card last. Longer answers are cut.

    Without its card a set counts as unfinished, so a kill in between leaves no half of two.
    Raises UsageError where the card and the labels disagree.
    """
    if set(card.splits) != set(splits):
        listed = f"the card names {sorted(card.splits)}, the labels are of {sorted(splits)}"
        raise UsageError(f"label set {folder}: {listed}")
    for name, counts in card.splits.items():
        _check_part(f"label set {folder}, {name}", counts, splits[name], len(card.label_names))
    Path(folder, "card.json").unlink(missing_ok=True)
    for split, part in splits.items():
        answers = part.answers or ("",) * len(part.rows)
        names = [card.label_names[label] if label >= 0 else "" for label in part.labels.tolist()]
        storable = [shortened(answer.encode("utf-8", "replace").decode(), MAX_ANSWER) for answer in answers]
        columns = dict(zip(COLUMNS, (part.rows.tolist(), names, storable), strict=True))
        write_atomically(Path(folder) / f"{split}.csv", csv_bytes(columns, as_they_are=COLUMNS))
    write_atomically(Path(folder) / "card.json", (card.model_dump_json(indent=1) + "\n").encode())


def read_card(folder: Path) -> Card:
    """The card of a label set in our own format. Raises UsageError naming the file and the field."""
    path = Path(folder) / "card.json"
    try:
        return Card.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"label set {folder} has no readable card.json ({error.strerror})") from None
    except ValidationError as error:
        problem = first_problem(error)
        raise UsageError(f"{path}: field {problem.where}: {problem.why}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from None


def read_label_set(
    folder: Path, label_names: tuple[str, ...], fingerprints: Mapping[str, str], *, answers: bool = False
) -> dict[str, SplitLabels]:
    """The labels in `folder`, in either format, by split (absent splits are left out).

    `fingerprints` are those of the task's whole splits (`TaskData.full_fingerprint`); a set made for other texts
    raises OtherTexts, an unfinished one Unusable; UsageError for a class that the task does not have, a row twice,
    and a malformed file.
    """
    folder = Path(folder)
    if (folder / "card.json").is_file():
        return _read_own(folder, label_names, fingerprints, answers)
    found = _files(folder)
    if not found:
        raise UsageError(f"label set {folder} has neither card.json nor train.csv, valid.csv or test.csv")
    return read_authors_files(found, label_names, fingerprints)


def _files(folder: Path) -> dict[str, Path]:
    return {split: folder / f"{split}.csv" for split in SPLITS if (folder / f"{split}.csv").is_file()}


def is_unfinished(folder: Path) -> bool:
    """Whether a folder without a card has files of our own format alone: writing them was cut off."""
    return all(tuple(read_table(path, allow_empty=True).columns) == COLUMNS for path in _files(folder).values())


def read_authors_files(
    paths: Mapping[str, Path], label_names: tuple[str, ...], fingerprints: Mapping[str, str]
) -> dict[str, SplitLabels]:
    """The labels in files of the authors' format by split; see `read_label_set`."""
    return {split: _read_authors(path, len(label_names), fingerprints[split]) for split, path in paths.items()}


def _read_own(folder: Path, label_names: tuple[str, ...], fingerprints: Mapping[str, str], answers: bool) -> dict:
    card = read_card(folder)
    if set(card.label_names) != set(label_names):
        theirs, ours = listed(card.label_names), listed(label_names)
        raise UsageError(f"label set {folder} has the classes {theirs}; the task has {ours}")
    ids = {"": -1} | {name: position for position, name in enumerate(label_names)}
    parts = {}
    for split, counts in card.splits.items():
        path = folder / f"{split}.csv"
        if counts.fingerprint != fingerprints[split]:
            raise OtherTexts(
                f"label set {folder} was made for other {split} texts than those of this task: "
                "make it again with `bench label`, or use the data that it was made for"
            )
        table = read_table(path, allow_empty=True)
        rows, names = _integers(table.column("id"), path, "id"), table.column("label")
        if wrong := [(row, name) for row, name in enumerate(names, 1) if name not in ids]:
            row, name = wrong[0]
            raise UsageError(f"{path}, row {row}: unknown label {name[:80]!r}; the classes are {listed(label_names)}")
        order = np.argsort(rows, kind="stable")
        labels = np.array([ids[names[at]] for at in order], np.int64)
        part = SplitLabels(rows[order], labels, tuple(table.column("answer")[at] for at in order) if answers else ())
        _check_part(str(path), counts, part, len(label_names))
        parts[split] = part
    return parts


def _read_authors(path: Path, num_classes: int, fingerprint: str) -> SplitLabels:
    table = read_table(path)
    if tuple(table.columns) == COLUMNS:
        raise Unusable(f"label set {path.parent} is unfinished: run the same `bench label` command to finish it")
    texts = tuple(table.column("original_sent"))
    if Texts(("",) * len(texts), texts).fingerprint != fingerprint:
        raise OtherTexts(
            f"{path}: its {len(texts)} texts are not those of this task, row by row: "
            "label sets of this format must list all texts of the split in the task's order"
        )
    labels = _integers(table.column("noisy_label"), path, "noisy_label")
    outside = np.flatnonzero((labels < -1) | (labels >= num_classes))
    if outside.size:
        raise UsageError(
            f"{path}, row {outside[0] + 1}: noisy_label {labels[outside[0]]} is outside 0..{num_classes - 1} "
            "(-1 = no answer)"
        )
    return SplitLabels(np.arange(len(labels)), labels)


def _check_part(where: str, counts: SplitCounts, part: SplitLabels, num_classes: int) -> None:
    rows, labels = part.rows, part.labels
    if len(rows) != len(labels) or (part.answers and len(part.answers) != len(rows)):
        raise UsageError(f"{where}: {len(rows)} rows, {len(labels)} labels, {len(part.answers)} answers")
    if len(rows) and (rows[0] < 0 or rows[-1] >= counts.total or np.any(np.diff(rows) <= 0)):
        raise UsageError(f"{where}: row ids must ascend, each once, within 0..{counts.total - 1}")
    if np.any((labels < -1) | (labels >= num_classes)):
        raise UsageError(f"{where}: a label is outside 0..{num_classes - 1} (-1 = no answer)")
    if (len(rows), int((labels >= 0).sum())) != (counts.asked, counts.answered):
        raise UsageError(
            f"{where}: the card says {counts.asked} asked and {counts.answered} answered, "
            f"the labels are {len(rows)} and {int((labels >= 0).sum())}"
        )


def _integers(values: list[str], path: Path, column: str) -> np.ndarray:
    for row, value in enumerate(values, 1):
        if not WHOLE.fullmatch(value.strip()):
            shown = repr(value) if len(value) <= 80 else f"{value[:80]!r}..."
            raise UsageError(f"{path}, row {row}: column {column} holds {shown}, not a whole number of usual size")
    return np.array([int(value) for value in values], np.int64)
