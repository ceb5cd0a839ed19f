"""A task from a folder: WRENCH files (label.json, train/valid/test.json), or one table a split.

A WRENCH file is an object `{id: {"label": 1, "weak_labels": [-1, 0, ...], "data": {"text": "..."}}}`; relation
sets add `entity1`, `entity2`, `span1`, `span2` (character positions) to the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import UsageError
from bench.data.readers.raw import RawSplit, RawTask, encode, hold_out_valid, read_label_names
from bench.data.readers.tables import as_string, load_json, read_table
from bench.data.readers.tabular import Columns, from_tables

__all__ = ["mark_entities", "read_folder", "read_wrench"]

ENDINGS = (".json", ".csv", ".jsonl", ".tsv")


def read_folder(folder: Path, label_names: tuple[str, ...] | None, columns: Columns) -> RawTask:
    """The task in a folder. `label_names` are those of a known task, or None. Raises UsageError."""
    if (folder / "label.json").is_file():
        found = read_label_names(folder / "label.json")
        if label_names is not None and found != label_names:
            raise UsageError(
                f"{folder / 'label.json'} names the classes {', '.join(found)}; "
                f"this task has {', '.join(label_names)}, in this order"
            )
        label_names = found
    files = {split: _split_file(folder, split) for split in ("train", "valid", "test")}
    for needed in ("train", "test"):
        if files[needed] is None:
            raise UsageError(f"{folder} has no {needed} file: expected {needed}.json (WRENCH), .csv, .jsonl or .tsv")
    files = {split: path for split, path in files.items() if path is not None}
    if all(path.suffix == ".json" and _is_wrench(path) for path in files.values()):
        if label_names is None:
            raise UsageError(f"{folder} has no label.json: a WRENCH folder needs one, like {{'0': 'no', '1': 'yes'}}")
        return read_wrench(files, label_names, str(folder))
    return from_tables({s: read_table(path) for s, path in files.items()}, label_names, columns, str(folder))


def read_wrench(files: dict[str, Path], label_names: tuple[str, ...], origin: str) -> RawTask:
    """The task in WRENCH files by split; without a valid file, 20 % of train are held out. Raises UsageError."""
    splits = {split: _wrench_split(path, label_names) for split, path in files.items()}
    return RawTask(label_names, hold_out_valid(splits, origin), origin)


def mark_entities(split: RawSplit, where: str) -> tuple[str, ...]:
    """The texts with both entities marked: `<e1> cast </e1> of adorable <e2> ferrets </e2>`.

    The marks are plain text, spaces included, so that any tokenizer reads them. Raises UsageError for
    overlapping entities.
    """
    if split.entities is None:
        raise UsageError(f"{where}: mark_entities needs the fields span1 and span2, and the texts have none")
    return tuple(
        _marked(text, spans, f"{where}, row {row}")
        for row, (text, spans) in enumerate(zip(split.texts, split.entities.tolist(), strict=True), 1)
    )


def _marked(text: str, spans: list[list[int]], where: str) -> str:
    (start, end, name), (start2, end2, name2) = sorted((*span, f"e{number}") for number, span in enumerate(spans, 1))
    if end > start2:
        raise UsageError(f"{where}: the two entities overlap: {spans}")
    first, second = f"<{name}> {text[start:end]} </{name}>", f"<{name2}> {text[start2:end2]} </{name2}>"
    return f"{text[:start]}{first}{text[end:start2]}{second}{text[end2:]}"


def _split_file(folder: Path, split: str) -> Path | None:
    found = [folder / f"{split}{ending}" for ending in ENDINGS if (folder / f"{split}{ending}").is_file()]
    if len(found) > 1:
        raise UsageError(f"{folder} has {' and '.join(path.name for path in found)}: keep one of them")
    return found[0] if found else None


def _is_wrench(path: Path) -> bool:
    """Whether a JSON file is one object (WRENCH) rather than a list of rows; anything else fails when parsed."""
    with path.open("rb") as file:
        return not file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _wrench_split(path: Path, label_names: tuple[str, ...]) -> RawSplit:
    content = load_json(path)
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{path}: expected an object with at least one row, {{'0': {{'data': ..., 'label': ...}}}}")
    for name, row in content.items():
        if not isinstance(row, dict) or not isinstance(row.get("data"), dict):
            raise UsageError(f"{path}, id '{name}': expected {{'label': ..., 'data': {{'text': ...}}}}")
        if not isinstance(row["data"].get("text"), str):
            raise UsageError(f"{path}, id '{name}': the text is missing (data.text must be a string)")
    rows = list(content.values())
    return RawSplit(
        ids=tuple(content),
        texts=tuple(row["data"]["text"] for row in rows),
        gold=_gold(path, rows, label_names),
        votes=_votes(path, list(content), rows, len(label_names)),
        entities=_entities(path, content),
    )


def _gold(path: Path, rows: list[dict], label_names: tuple[str, ...]) -> np.ndarray | None:
    if all(type(row.get("label")) is int for row in rows):
        return _gold_ids(path, [row["label"] for row in rows], label_names)
    values = [as_string(row.get("label"), path, f"row {number}") for number, row in enumerate(rows, 1)]
    gold = encode(values, label_names, str(path))
    return None if (gold < 0).all() else _complete(gold, path)


def _gold_ids(path: Path, ids: list[int], label_names: tuple[str, ...]) -> np.ndarray | None:
    """In this layout a whole number is a class id, even where class names are numbers; -1 = not known."""
    for row, value in enumerate(ids, 1):
        if not -1 <= value < len(label_names):
            raise UsageError(
                f"{path}, row {row}: label '{value}' is outside the label set: class ids are 0..{len(label_names) - 1} "
                "(-1 = not known); write the names of classes as text"
            )
    gold = np.array(ids, dtype=np.int64)
    return None if (gold < 0).all() else _complete(gold, path)


def _complete(gold: np.ndarray, path: Path) -> np.ndarray:
    if (gold < 0).any():
        raise UsageError(f"{path}, row {int(np.flatnonzero(gold < 0)[0]) + 1}: no label while others have one")
    return gold


def _votes(path: Path, ids: list[str], rows: list[dict], num_classes: int) -> np.ndarray | None:
    votes: list[Any] = [row.get("weak_labels") for row in rows]
    if all(not vote for vote in votes):
        return None
    width = len(votes[0] or ())
    for name, vote in zip(ids, votes, strict=True):
        if not isinstance(vote, list) or len(vote) != width or not all(type(value) is int for value in vote):
            raise UsageError(f"{path}, id '{name}': weak_labels must be {width} whole numbers, as in the first row")
    matrix = np.array(votes, dtype=np.int64)
    outside = np.argwhere((matrix < -1) | (matrix >= num_classes))
    if outside.size:
        row, column = outside[0]
        raise UsageError(
            f"{path}, id '{ids[row]}': weak label {matrix[row, column]} is outside 0..{num_classes - 1} (-1 = abstain)"
        )
    return matrix


def _entities(path: Path, content: dict[str, dict]) -> np.ndarray | None:
    if not all({"span1", "span2"} <= row["data"].keys() for row in content.values()):
        return None
    for name, row in content.items():
        data = row["data"]
        for number in ("1", "2"):
            span, entity = data[f"span{number}"], data.get(f"entity{number}")
            whole = isinstance(span, list) and len(span) == 2 and all(type(value) is int for value in span)
            if not whole or not 0 <= span[0] < span[1] <= len(data["text"]):
                raise UsageError(f"{path}, id '{name}': span{number} {span} does not lie in the text")
            if entity is not None and data["text"][span[0] : span[1]] != entity:
                raise UsageError(
                    f"{path}, id '{name}': span{number} covers {data['text'][span[0] : span[1]]!r}, "
                    f"entity{number} is {entity!r}"
                )
    return np.array([[row["data"]["span1"], row["data"]["span2"]] for row in content.values()], dtype=np.int64)
