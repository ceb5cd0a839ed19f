"""The texts behind the numbers: their labels, and what methods say of them, where the data lie on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.core.errors import BenchError, Unavailable, UsageError
from bench.core.network import on_this_machine
from bench.core.selectors import there
from bench.core.texts import plural
from bench.data.load import TaskData, load_task
from bench.report.frame import Results
from bench.report.places import option_of
from bench.report.tables.blocks import Block
from bench.store.opinions import whole
from bench.store.records import Record

if TYPE_CHECKING:
    import pandas as pd

NO_ANSWER = "no answer"
Groups = list[tuple[str, list[int]]]
"""Rows of a frame by what they show."""
SPLITS = ("test", "train")
MOST = 3
"""Of one thing are shown."""


class Sources:
    """The tasks that records were made from, loaded once each; nothing is downloaded."""

    def __init__(self, results: Results, data_dir: Path | None = None) -> None:
        self.results, self.data_dir = results, data_dir
        self._found: dict[tuple, TaskData | str] = {}

    def task(self, record: Record) -> TaskData:
        """The task with the texts that a record's cell saw. Raises UsageError with what is missing."""
        if record.data is None:
            raise UsageError(f"no texts of {record.key.task}: its cells did not run")
        key = (record.key.task, record.key.limit, record.data.fingerprint)
        if key not in self._found:
            self._found[key] = self._load(record)
        found = self._found[key]
        if isinstance(found, str):
            raise UsageError(found)
        return found

    def _load(self, record: Record) -> TaskData | str:
        task, seen, why = record.key.task, False, ""
        assert record.data is not None
        if (origin := record.data.origin) and not there(self.results.folder / origin):
            return f"no texts of {task}: its data are not at {origin}, seen from the results folder"
        for selector, data_dir in self._places(record):
            try:
                with on_this_machine():
                    found = load_task(
                        selector,
                        data_dir=data_dir,
                        limit=record.key.limit,
                        text_column=option_of(record, "--text-column"),
                        gold_column=option_of(record, "--gold-column"),
                        label_columns=_listed(option_of(record, "--label-columns")),
                        no_answer=_listed(option_of(record, "--no-answer")) or (),
                    )
            except Unavailable:
                why = why or "its data are not on this machine (--data-dir names their folder)"
                continue
            except (BenchError, OSError) as error:
                why = why or " ".join(str(error).split())
                continue
            if found.fingerprint == record.data.fingerprint:
                return found
            seen = True
        if seen:
            return f"no texts of {task}: the data here are not those, or not all of those, that its cells saw"
        return f"no texts of {task}: {why}"

    def _places(self, record: Record) -> Iterator[tuple[str, Path | None]]:
        """Where a task may lie: what to load, and the folder of data to look in."""
        if record.data is not None and record.data.origin:
            yield os.path.normpath(self.results.folder / record.data.origin), None
            return
        typed = option_of(record, "--data-dir")
        named = [self.data_dir or os.environ.get("BENCH_DATA_DIR"), typed, typed and self.results.folder.parent / typed]
        for each in dict.fromkeys(Path(each) for each in named if each):
            if each.is_dir():
                yield record.key.task, each
        yield record.key.task, None


def _listed(value: str | None) -> list[str] | None:
    return None if value is None else [part.strip() for part in value.split(",")]


def frame_of_texts(
    sources: Sources, block: Block, task: str, noise: str, split: str = "test", rule: str = "last"
) -> pd.DataFrame:
    """One row per text of a split: see `bench.report.api.Loaded.texts`."""
    import pandas as pd

    results = sources.results
    cells = [(m, str(row["cell"])) for m in block.methods for row in block.finished(m, [(task, noise)])]
    if not cells:
        raise UsageError(f"no texts of {task}, {noise}: none of its cells ran in set-up '{block.setup}'")
    data = sources.task(results.by_cell[cells[0][1]])
    texts, names = data.texts(split), np.array([*data.label_names, NO_ANSWER], dtype=object)
    gold, name = data.gold.of(split), f"{split}_labels"
    given = next((found[name] for _, cell in cells if (found := results.arrays(cell, name))), None)
    frame = pd.DataFrame({"id": texts.ids, "text": texts.texts})
    frame["gold"] = None if gold is None else np.where(gold >= 0, names[gold], None)
    frame["given"] = None if given is None or len(given) != len(texts) else names[given]
    for method in dict.fromkeys(method for method, _ in cells):
        own = [cell for each, cell in cells if each == method]
        shape = len(texts), len(data.label_names)
        chances = _mean_chances(results, own, f"test_{rule}" if split == "test" else "train_last", shape)
        if chances is not None:
            known = np.isfinite(chances[:, 0])
            says = np.where(known, names[np.nan_to_num(chances).argmax(1)], None)
            frame[method] = pd.Series(says, dtype=object)
            frame[f"{method} sure"] = np.where(known, np.nan_to_num(chances).max(1), np.nan)
    return frame.rename_axis("row")


def _mean_chances(results: Results, cells: list[str], name: str, shape: tuple[int, int]) -> np.ndarray | None:
    """A method's probabilities float64[N, C], the mean over its seeds; NaN in rows of which it says nothing."""
    total, count = np.zeros(shape), np.zeros((shape[0], 1))
    for cell in cells:
        arrays = results.arrays(cell, name, f"{name}_classes") or results.arrays(cell, name)
        chances = None if arrays is None else whole(name, arrays, shape[1]).astype(np.float64)
        if chances is not None and chances.shape == shape:
            chances /= chances.sum(1, keepdims=True)
            count += np.isfinite(chances[:, :1])
            total += np.nan_to_num(chances)
    return np.divide(total, count, out=np.full(shape, np.nan), where=count > 0) if count.any() else None


def telling(frame: pd.DataFrame, methods: Sequence[str], baseline: str | None) -> Groups:
    """Rows of a frame of test texts that tell most, by what they show.

    `methods` are those that compete. Where gold is known: the texts at which the most accurate method and the
    baseline part, and those that all get wrong, the surest first; else those on which the methods disagree most.
    """
    methods = [method for method in methods if method in frame]
    if not methods:
        return []
    says, sure = frame[methods].to_numpy(), frame[[f"{method} sure" for method in methods]].to_numpy(np.float64)
    known = frame["gold"].notna().to_numpy()
    if not known.any():
        answers = np.array([len(set(row)) for row in says])
        chosen = np.lexsort((sure.mean(1), -answers))
        return [("The methods disagree most", [int(row) for row in chosen[:MOST] if answers[row] > 1])]
    right = says == frame["gold"].to_numpy()[:, None]
    found = [
        (
            "Every competing method is wrong" if len(methods) > 1 else f"{methods[0]} is wrong",
            known & ~right.any(1),
            sure.mean(1),
        )
    ]
    others = [at for at, method in enumerate(methods) if method != baseline]
    if baseline in methods and others:
        base, best = methods.index(baseline), max(others, key=lambda at: right[:, at].mean())
        name, both = f"{methods[best]} (most accurate here)", sure[:, best] + sure[:, base]
        found = [
            (f"{name} is right, {baseline} is wrong", right[:, best] & ~right[:, base], both),
            (f"{baseline} is right, {name} is wrong", right[:, base] & ~right[:, best], both),
            *found,
        ]
    ranked = [(title, np.flatnonzero(which), order) for title, which, order in found]
    return [
        (title, at[np.argsort(-order[at], kind="stable")][:MOST].tolist()) for title, at, order in ranked if len(at)
    ]


def confused(frame: pd.DataFrame) -> Groups:
    """Rows of a frame of train texts with wrong labels: the first of those most often confused, by gold and label."""
    wrong = frame[frame["gold"].notna() & frame["given"].notna() & (frame["gold"] != frame["given"])]
    wrong = wrong[wrong["given"] != NO_ANSWER]
    counts = wrong.groupby(["gold", "given"]).size().sort_values(ascending=False, kind="stable")[:MOST]
    return [
        (
            f"{gold} labelled {given}: {plural(count, 'text')}",
            wrong.index[(wrong["gold"] == gold) & (wrong["given"] == given)][:1].tolist(),
        )
        for (gold, given), count in counts.items()
    ]
