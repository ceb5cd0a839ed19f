"""A task as the harness holds it: texts, gold, votes and columns by split."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bench.core.arrays import read_only
from bench.core.errors import UsageError
from bench.core.seeds import named_generator
from bench.core.texts import SPLITS, Texts
from bench.data.readers.splits import repeats
from bench.data.tasks import TaskInfo, known


@dataclass(frozen=True)
class Gold:
    """Gold classes int64[n] by split, read-only, None where unknown. Only `bench.noise` and scoring may touch it."""

    train: np.ndarray | None
    valid: np.ndarray | None
    test: np.ndarray | None

    def __post_init__(self) -> None:
        for split in SPLITS:
            if (values := self.of(split)) is not None:
                object.__setattr__(self, split, read_only(values))

    def of(self, split: str) -> np.ndarray | None:
        """The gold classes of one split."""
        return getattr(self, split)


@dataclass(frozen=True)
class TaskData:
    """A task as the harness holds it; methods only ever see its texts."""

    name: str  # as in tables and records, parameters included: "semeval[mark_entities=false]"
    info: TaskInfo  # its name is the bare one: "semeval"
    label_names: tuple[str, ...]
    train: Texts
    valid: Texts
    test: Texts
    gold: Gold
    votes: dict[str, np.ndarray] | None  # split -> int64[n, F]: weak votes, -1 = abstain; test may have none
    columns: dict[str, dict[str, np.ndarray]]  # labeller -> split -> int64[n], -1 = no answer
    rows: dict[str, np.ndarray]  # split -> int64[n]: row numbers in the original split, ascending
    full_fingerprint: dict[str, str]  # split -> Texts.fingerprint over all raw (unmarked) texts of the split
    limit: int | None = None
    whole: TaskData | None = field(default=None, repr=False)  # the task before `limit`; None: this is it
    origin: str = ""  # where it was read from, for people
    notes: tuple[str, ...] = ()  # what was understood of a user's own data, a sentence each
    ignored: tuple[tuple[str, str], ...] = ()  # columns of a user's own table that are not used, with the reason
    gold_column: str = ""  # of a user's own table

    def texts(self, split: str) -> Texts:
        """The texts of one split."""
        return getattr(self, split)

    def joined(self, of: Callable[[str], np.ndarray | None], splits: Sequence[str] = SPLITS) -> np.ndarray:
        """int64[N]: what `of` gives for the texts of each split, one after the other, -1 where it gives None."""
        found = ((of(split), len(self.texts(split))) for split in splits)
        return np.concatenate([np.full(size, -1) if each is None else each for each, size in found])

    @property
    def selector(self) -> str:
        """What `--task` takes for it: the name of a known task, else where the user's own data lie."""
        name = self.info.name
        return name if name in known() else self.origin or name

    @functools.cached_property
    def repeats(self) -> dict[str, int]:
        """How many texts of one split are also in another, as "test in train"; see `bench.data.readers.splits`."""
        return repeats({split: self.texts(split).texts for split in SPLITS})

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over names, texts, gold, votes and columns: the data part of a cell's hash."""
        digest = hashlib.sha256(repr(self.label_names).encode())
        for split in SPLITS:
            digest.update(self.texts(split).fingerprint.encode())
            named = {"gold": self.gold.of(split), "votes": (self.votes or {}).get(split)}
            named |= {f"column {name}": values[split] for name, values in sorted(self.columns.items())}
            for name, values in named.items():
                digest.update(f"\x1f{name}\x1f{None if values is None else values.shape}".encode())
                if values is not None:
                    digest.update(np.ascontiguousarray(values, dtype="<i8").tobytes())
        return digest.hexdigest()


def restrict(task: TaskData, rows: Mapping[str, np.ndarray]) -> TaskData:
    """The task with only those texts whose row number in the original split is listed (absent splits stay whole)."""
    chosen = {split: np.flatnonzero(np.isin(task.rows[split], listed)) for split, listed in rows.items()}
    for split, positions in chosen.items():
        if not positions.size:
            raise UsageError(f"task {task.name}: none of its {len(task.texts(split))} {split} texts would be left")
    return _take(task, chosen)


def limit_task(task: TaskData, limit: int) -> TaskData:
    """At most `limit` texts of every split: a random choice that depends on the task's name alone, order kept.

    A smaller limit chooses a subset of a larger one's texts, for every seed, method and source of labels.
    """
    whole = task.whole or task
    chosen = {split: sample(task.info.name, split, whole.rows[split], limit) for split in SPLITS}
    return replace(_take(whole, chosen), limit=limit, whole=whole)


def sample(task_name: str, split: str, rows: np.ndarray, limit: int) -> np.ndarray:
    """Ascending positions of at most `limit` of the row numbers `rows`: those with the smallest random keys.

    The key of a row depends on the task's name, the split and the row number alone.
    """
    keys = named_generator("limit", task_name, split).random(int(rows.max()) + 1)[rows]
    return np.sort(np.argsort(keys, kind="stable")[:limit])


def _take(task: TaskData, positions: Mapping[str, np.ndarray]) -> TaskData:
    def pick(split: str, values: Any) -> Any:
        return values if values is None or split not in positions else values[positions[split]]

    def gold(split: str) -> Any:
        """None where no text has any, as it is read from a file."""
        found = pick(split, task.gold.of(split))
        return found if found is None or (found >= 0).any() else None

    texts: dict[str, Any] = {
        split: Texts(*(tuple(part[at] for at in chosen) for part in (task.texts(split).ids, task.texts(split).texts)))
        for split, chosen in positions.items()
    }
    return replace(
        task,
        **texts,
        gold=Gold(*(gold(split) for split in SPLITS)),
        votes=None if task.votes is None else {split: pick(split, votes) for split, votes in task.votes.items()},
        columns={name: {s: pick(s, v) for s, v in values.items()} for name, values in task.columns.items()},
        rows={split: pick(split, rows) for split, rows in task.rows.items()},
    )
