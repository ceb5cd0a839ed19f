"""What differs between two runs besides their scores: code, packages, devices, keys."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from bench.core.texts import plural
from bench.report import names as labels
from bench.store.records import CellKey, Record

SHORT = 7
"""Digits of a commit that are shown."""


def change(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The hyper-parameters that differ, each with its values: `k: 5 → 10`."""
    value, names = labels.value_of, labels.varying([before, after])
    return ", ".join(f"{name}: {value(before, name)} → {value(after, name)}" for name in names)


def differing(pairs: Sequence[tuple[Record, Record, str]]) -> list[str]:
    """Sentences: what differs between the two runs of the compared cells besides their scores."""
    seen: dict[str, Counter] = defaultdict(Counter)
    for pair in pairs:
        before, after = _facts(pair[0]), _facts(pair[1])
        for name in before | after:
            one, two = (facts.get(name, "absent") for facts in (before, after))
            if one != two:
                seen[name][f"{one} → {two}"] += 1
    return [
        f"{name}: {', '.join(f'{change} ({count} of {len(pairs)} cells)' for change, count in counts.most_common(5))}"
        for name, counts in sorted(seen.items())
    ]


def _facts(record: Record) -> dict[str, Any]:
    own = {"code": _short(record.code_version), f"version of {record.key.method}": record.key.method_version}
    device = {f"device ({name})": record.device.get(name, "unknown") for name in ("name", "precision", "processes")}
    return own | record.versions | device


def apart(gone: list[Record], added: list[Record]) -> list[str]:
    """Sentences: cells of one name and seed on both sides whose keys differ in more than the method."""
    there: dict[tuple, CellKey] = {}
    for record in added:
        there.setdefault(_name_and_seed(record.key), record.key)
    reasons: Counter = Counter()
    for record in gone:
        if other := there.get(_name_and_seed(record.key)):
            reasons[record.key.task, record.key.noise, _key_difference(record.key, other)] += 1
    return [
        f"{task}, {noise}: {plural(count, 'cell')} of the same name not compared: {why}"
        for (task, noise, why), count in sorted(reasons.items())
    ]


def _name_and_seed(key: CellKey) -> tuple:
    return key.task, key.noise, key.method, key.seed


def _key_difference(before: CellKey, after: CellKey) -> str:
    one, two = before.model_dump(), after.model_dump()
    parts = []
    for name in labels.varying([one, two]):
        if name == "data":
            parts.append("texts or labels")
        elif isinstance(one[name], dict):
            parts.append(change(one[name], two[name]))
        elif name != "method_version":
            parts.append(f"{name}: {labels.shown(one[name])} → {labels.shown(two[name])}")
    return "; ".join(parts)


def _short(version: str) -> str:
    """A code version with a commit cut to `SHORT` digits; `+` stays: changed since."""
    return re.sub(rf"\b([0-9a-f]{{{SHORT}}})[0-9a-f]+(?=\+|$)", r"\1", version) or "unknown"
