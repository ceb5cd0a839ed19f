"""A task from a folder: WRENCH files (label.json, train/valid/test.json), or one table per split.

A split's file is named like the split, validation also `validation`, `val` or `dev`, in any of the formats that
`bench.data.readers.tables` reads.

A WRENCH file is an object `{id: {"label": 1, "weak_labels": [-1, 0, ...], "data": {"text": "..."}}}`; relation
sets add `entity1`, `entity2`, `span1`, `span2` (character positions) to the data.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import UsageError
from bench.core.texts import SPLITS
from bench.data.readers.columns import GOLD_COLUMNS, SPLIT_NAMES, TEXT_COLUMNS, Columns
from bench.data.readers.objects import as_string
from bench.data.readers.raw import HELD_OUT, RawSplit, RawTask, encode, hold_out_valid, read_label_names
from bench.data.readers.tables import FORMATS, Table, decode, ending, load_json, read_table
from bench.data.readers.tabular import from_tables


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
    files, others = _split_files(folder)
    for needed in ("train", "test"):
        if needed not in files:
            raise UsageError(
                f"{folder} has no {needed} file: expected {needed}.json (WRENCH), .csv, .jsonl, .tsv, .parquet or .xlsx"
            )
    notes = (f"{folder}: not read, because these names are not names of splits: {', '.join(others)}",) if others else ()
    # an object is WRENCH's, a list one of rows; anything else fails when parsed
    if all(ending(path) in (".json", ".json.gz") and decode(path).lstrip()[:1] != "[" for path in files.values()):
        if label_names is None:
            raise UsageError(f"{folder} has no label.json: a WRENCH folder needs one, like {{'0': 'no', '1': 'yes'}}")
        raw = read_wrench(files, label_names, str(folder))
        return replace(raw, notes=notes + raw.notes + columns.unused(str(folder)))
    tables = {split: read_table(path) for split, path in files.items()}
    for table in tables.values():
        refuse_nested(table, columns)
    raw = from_tables(tables, label_names, columns, str(folder))
    return replace(raw, notes=(*notes, *(note for table in tables.values() for note in table.notes), *raw.notes))


def read_wrench(files: dict[str, Path], label_names: tuple[str, ...], origin: str) -> RawTask:
    """The task in WRENCH files by split; without a valid file, 20 % of train are held out. Raises UsageError."""
    splits = {split: _wrench_split(path, label_names) for split, path in files.items()}
    widths = {split: part.votes.shape[1] for split, part in splits.items() if part.votes is not None}
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{split} {width}" for split, width in widths.items())
        raise UsageError(f"{origin}: weak_labels differ in length between the splits ({shown})")
    # train and valid are what methods learn from; the test split needs no votes
    silent = [split for split in ("train", "valid") if split in splits and split not in widths]
    notes: tuple[str, ...] = ()
    if widths and silent:
        notes += (f"{origin}: weak votes are not used, because {silent[0]} has none while other splits do",)
    notes += (f"{origin}{HELD_OUT}",) if "valid" not in splits else ()
    return RawTask(label_names, hold_out_valid(splits, origin), origin, notes)


def mark_entities(split: RawSplit, where: str) -> tuple[str, ...]:
    """The texts with both entities marked: `<e1> cast </e1> of adorable <e2> ferrets </e2>`.

    The marks are plain text, spaces included, so that any tokenizer reads them. Raises UsageError for
    overlapping entities.
    """
    if split.entities is None:
        raise UsageError(f"{where}: mark_entities needs the fields span1 and span2, which the texts lack")
    return tuple(
        _marked(text, spans, f"{where}, row {row}")
        for row, (text, spans) in enumerate(zip(split.texts, split.entities.tolist(), strict=True), 1)
    )


def _marked(text: str, spans: list[list[int]], where: str) -> str:
    named = ((first, last, f"e{number}") for number, (first, last) in enumerate(spans, 1))
    (start, end, name), (start2, end2, name2) = sorted(named)
    if end > start2:
        raise UsageError(f"{where}: the two entities overlap: {spans}")
    first, second = f"<{name}> {text[start:end]} </{name}>", f"<{name2}> {text[start2:end2]} </{name2}>"
    return f"{text[:start]}{first}{text[end:start2]}{second}{text[end2:]}"


def refuse_nested(table: Table, columns: Columns) -> None:
    """Raise UsageError where a field that is needed holds a list or an object; other such fields do not matter."""
    present = {*table.columns, *table.nested}
    usual = [] if columns.text else [name for name in TEXT_COLUMNS if name in present][:1]
    usual += [] if columns.gold else [name for name in GOLD_COLUMNS if name in present][:1]
    named = [name for name in (columns.text, columns.gold, *(columns.labellers or ())) if name]
    table.refuse_nested([*named, *usual, "id", "split"])


def _split_files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of the splits that are there, and the names of other tables. Raises UsageError for two of a split."""
    found: dict[str, list[Path]] = {}
    others = []
    for path in sorted(folder.iterdir()):
        kind = ending(path)
        if kind not in FORMATS or path.name == "label.json" or not path.is_file():
            continue
        split = SPLIT_NAMES.get(path.name[: -len(kind)].lower())
        if split is None:
            others.append(path.name)
        else:
            found.setdefault(split, []).append(path)
    for paths in found.values():
        if len(paths) > 1:
            raise UsageError(f"{folder} has {' and '.join(path.name for path in paths)}: keep one of them")
    return {split: found[split][0] for split in SPLITS if split in found}, others


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


def _gold(path: Path, rows: list[dict[str, Any]], label_names: tuple[str, ...]) -> np.ndarray | None:
    """Class ids; None where all are unknown. Here a whole number is an id, even where class names are numbers."""
    values: list[Any] = [row.get("label") for row in rows]
    if all(type(value) is int for value in values):
        for row, value in enumerate(values, 1):
            if not -1 <= value < len(label_names):
                most = len(label_names) - 1
                raise UsageError(
                    f"{path}, row {row}: label '{value}' is outside the label set: class ids are 0..{most} "
                    "(-1 = not known); write the names of classes as text"
                )
        gold = np.array(values, dtype=np.int64)
    else:
        texts = [as_string(value, path, f"row {number}") for number, value in enumerate(values, 1)]
        gold = encode(texts, label_names, str(path))
    if (gold < 0).all():
        return None
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
