"""Where the texts come from: a folder, a user's own file, this project, another package, a repository, the hub.

`load_task` is the one way in. A known task is looked for in this order: `data_dir/<task>/`, then the sources that
its declaration lists (see `bench.data.tasks`): shipped files, another package's files, the hub at a pinned revision or
a public repository at a pinned commit with checksums; for tasks that come with LLMs' answers see
`bench.data.readers.published`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.core.errors import Unavailable, UsageError, resolve, unknown
from bench.core.selectors import there, unquoted
from bench.core.texts import Texts
from bench.data.readers import raw as raw_data
from bench.data.readers.columns import Columns, NoColumn
from bench.data.readers.fetch import read_source
from bench.data.readers.folder import mark_entities, read_folder, refuse_nested
from bench.data.readers.published import PublishedTask
from bench.data.readers.raw import RawTask, read_label_names
from bench.data.readers.tables import FORMATS, ending, read_table
from bench.data.readers.tabular import from_single_table
from bench.data.task import SPLITS, Gold, TaskData, limit_task
from bench.data.tasks import Published, TaskInfo, known


def load_task(
    selector: str,
    *,
    data_dir: Path | None = None,
    limit: int | None = None,
    text_column: str | None = None,
    gold_column: str | None = None,
    label_columns: Sequence[str] | None = None,
    no_answer: Sequence[str] = (),
) -> TaskData:
    """The task that `selector` names.

    A selector is a known name or a unique beginning of one (`trec`, `20`), with parameters in brackets
    (`semeval[mark_entities=false]`), or the path of a CSV, TSV, JSONL or JSON file or of a folder. The column
    options and `no_answer` (values that mean it) say how to read a user's own file or folder, or that of a known task
    in `data_dir` (see `bench.data.readers.tabular`); what does not need them says so in its notes.
    `limit`: at most this many texts per split, see `limit_task`.

    Raises UsageError for a wrong name or file, Unavailable (naming every way) for a known task that is nowhere.
    """
    base, parameters = _parse_selector(selector)
    if limit is not None and limit < 2:
        raise UsageError(f"--limit {limit}: at least 2 texts per split are needed")
    if data_dir is not None and not Path(data_dir).is_dir():
        raise UsageError(f"data folder '{data_dir}' does not exist: name a folder with --data-dir")
    columns = Columns(text_column, gold_column, label_columns, tuple(no_answer))
    if _is_path(base):
        raw, info = _from_path(Path(base), columns)
    else:
        info = known()[_known_name(base)]
        raw = _find(info, None if data_dir is None else Path(data_dir), columns)
    raw_data.check(raw)
    task = _assemble(raw, info, parameters)
    return task if limit is None else limit_task(task, limit)


def _parse_selector(selector: str) -> tuple[str, dict[str, bool]]:
    text = selector.strip()
    if text.lower() not in known() and there(text):  # whatever signs its name holds
        return text, {}
    match = re.fullmatch(r'(?P<base>"(?:[^"]|"")*"|[^\[\]]+)(\[(?P<inside>[^\[\]]*)\])?', text)
    if match is None:
        raise UsageError(f"task '{selector}': expected a name or a path, with parameters like name[parameter=value]")
    base, _ = unquoted(match["base"].strip())
    parameters = {}
    for part in filter(None, (match["inside"] or "").split(",")):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name != "mark_entities":
            raise unknown(f"parameter of task {base}", name, ["mark_entities"])
        if value.lower() not in ("true", "false"):
            raise UsageError(f"task {base}: mark_entities={value}: expected true or false")
        parameters[name] = value.lower() == "true"
    return base, parameters


def _is_path(base: str) -> bool:
    if base.lower() in known():
        return False
    if "/" in base or os.sep in base or base.lower().endswith(FORMATS):
        return True
    return not any(name.startswith(base.lower()) for name in known()) and there(base)


def _known_name(base: str) -> str:
    try:
        return resolve("task", base, known())
    except UsageError as error:
        raise UsageError(f"{error}; name a file or folder of your own by its path, like ./{base}.csv") from None


def _find(info: TaskInfo, data_dir: Path | None, columns: Columns) -> RawTask:
    """The first source that has the task; every failed way is named when none has."""
    if data_dir is not None and (data_dir / info.name).is_dir():
        return _known_folder(data_dir / info.name, info, columns)
    ways = [f"put a folder '{info.name}' with WRENCH or CSV files into the --data-dir folder"]
    for source in info.sources:
        try:
            if isinstance(source, Published):
                raw = PublishedTask(info, source, data_dir).texts()
            else:
                raw = read_source(info, source)
            return replace(raw, notes=columns.unused(f"task {info.name}"))
        except Unavailable as reason:
            ways.append(str(reason))
    listed = "".join(f"\n  - {way}" for way in ways)
    raise Unavailable(f"task {info.name} is not available here. Ways to get it, and what failed here:{listed}")


def _known_folder(folder: Path, info: TaskInfo, columns: Columns) -> RawTask:
    """A known task from the data folder. Options of columns may be meant for other tables of the grid."""
    gold = None if columns.gold == "none" else columns.gold  # that of a known task is known
    try:
        raw = read_folder(folder, info.label_names, replace(columns, gold=gold))
        notes = raw.notes if columns != Columns() else ()  # how it was read goes without saying
    except NoColumn as error:
        raw = read_folder(folder, info.label_names, Columns(no_answer=columns.no_answer))
        notes = (f"{error}: column options are not applied there",)
    return replace(raw, notes=notes)


def _from_path(path: Path, columns: Columns) -> tuple[RawTask, TaskInfo]:
    if not there(path):
        gone = "cannot be accessed (check the permissions of its folder)" if _hidden(path) else "does not exist"
        raise UsageError(f"task '{path}' {gone}: name a known task (`bench list tasks`), a file or a folder")
    if path.is_dir():
        raw, name = read_folder(path, None, columns), path.resolve().name
    else:
        beside = path.parent / "label.json"
        names = read_label_names(beside) if beside.is_file() else None
        table = read_table(path)
        refuse_nested(table, columns)
        raw, name = from_single_table(table, names, columns), path.name[: -len(ending(path))]
        raw = replace(raw, notes=table.notes + raw.notes)
    if name.lower() in known():  # never take a user's data for the known task of that name
        name = f"{name}-{'folder' if path.is_dir() else 'file'}"
    note = "a user's own data"
    return raw, TaskInfo(name, name, raw.label_names, 128, "the user's own", "", note=note)


def _hidden(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        pass
    return False


def _assemble(raw: RawTask, info: TaskInfo, parameters: dict[str, bool]) -> TaskData:
    wanted = parameters.get("mark_entities", info.mark_entities or False)
    splits = {split: raw.splits[split] for split in SPLITS}
    plain = {split: Texts(part.ids, part.texts) for split, part in splits.items()}
    shown = plain
    if wanted:
        shown = {s: Texts(part.ids, mark_entities(part, f"{raw.origin}, {s}")) for s, part in splits.items()}
    changed = wanted != (info.mark_entities or False)
    has_votes = all(splits[split].votes is not None for split in ("train", "valid"))
    return TaskData(
        name=f"{info.name}[mark_entities={str(wanted).lower()}]" if changed else info.name,
        info=info,
        label_names=raw.label_names,
        train=shown["train"],
        valid=shown["valid"],
        test=shown["test"],
        gold=Gold(*(splits[split].gold for split in SPLITS)),
        votes={split: part.votes for split, part in splits.items() if part.votes is not None} if has_votes else None,
        columns={name: {s: part.columns[name] for s, part in splits.items()} for name in splits["train"].columns},
        rows={split: np.arange(len(part.texts)) for split, part in splits.items()},
        full_fingerprint={split: texts.fingerprint for split, texts in plain.items()},
        origin=raw.origin,
        notes=raw.notes,
        ignored=raw.ignored,
        gold_column=raw.gold_column,
    )
