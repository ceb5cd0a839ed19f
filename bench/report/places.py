"""Which data a record speaks of: tasks of one name told apart by their files, and data that newer data supersede."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

from bench.core.selectors import shell_words
from bench.store.noise_words import told_apart
from bench.store.records import CellKey, Record


def task_names(records: Sequence[Record]) -> list[str]:
    """The task of each record by a name that no other data have: `a/x` and `b/x` for two files x.csv."""
    places = [(record.data and record.data.origin) or "" for record in records]
    said = {}  # equal data are one task, wherever a copy of them lay: what the newest record says counts
    for record, place in sorted(zip(records, places, strict=True), key=lambda pair: pair[0].created):
        if place:
            said[record.key.task, _content(record.key)] = place
    found = [
        (record.key.task, said.get((record.key.task, _content(record.key)), place))
        for record, place in zip(records, places, strict=True)
    ]
    apart = told_apart((name, place) for name, place in found if place)
    return [apart.get(pair, pair[0]) for pair in found]


def encoder_names(records: Sequence[Record]) -> list[str]:
    """The encoder of each record by a name that no other weights have: `a/tiny` and `b/tiny` for two folders tiny."""
    said = {}  # as for tasks, what the newest record says counts
    for record in sorted(records, key=lambda record: record.created):
        typed = (option_of(record, "--encoder") or "").removesuffix(f":{record.key.encoder_mode}")
        said[record.key.encoder, record.key.encoder_revision] = Path(typed).as_posix() if typed else ""
    found = [(record.key.encoder, said[record.key.encoder, record.key.encoder_revision]) for record in records]
    apart = told_apart(pair for pair in found if pair[0] == Path(pair[1]).name)
    return [apart.get(pair, pair[0]) for pair in found]


ABSOLUTE = re.compile(r"""(?<![^\s'"=(\[,])(?:~|[A-Za-z]:)?[/\\](?:[^\s'"/\\:]+[/\\])*([^\s'"/\\:,;)]+)""")


def portable(text: str) -> str:
    """A text without the folders of this machine: of an absolute path only the last part is left, `…/data`."""
    return ABSOLUTE.sub(r"…/\1", text)


def option_of(record: Record, flag: str) -> str | None:
    """The value of an option in the command that a record gives for its cell; None where it has none."""
    try:
        words = shell_words(record.command)
        return words[words.index(flag) + 1]
    except (ValueError, IndexError):
        return None


def _content(key: CellKey) -> str:
    """The part of a data fingerprint that stands for texts, gold and columns, without the noisy labels."""
    match = re.match(r"([0-9a-f]{64})-", key.data)
    return match[1] if match else key.data


def ages(keys: Sequence[CellKey], columns: Sequence[tuple[str, str]], created: Sequence[str]) -> list[int]:
    """0 for each cell on the newest data of its column (task, noise source) and limit; else how many are newer.

    Labels that are redrawn for each seed (votes) are compared within a seed; all else must be the same for all.
    """
    versions = [_content(key) if key.noise.startswith(("weak", "vote(")) else key.data for key in keys]
    places = [(*column, key.limit) for column, key in zip(columns, keys, strict=True)]
    found = ranks(places, versions, created)
    seeds = [(*place, version, key.seed) for place, version, key in zip(places, versions, keys, strict=True)]
    within = ranks(seeds, [key.data for key in keys], created)
    return [older + old for older, old in zip(found, within, strict=True)]


def ranks(groups: Sequence[tuple], versions: Sequence[Hashable], created: Sequence[str]) -> list[int]:
    """By cell: how many versions of its group have a newer cell than any of its own version."""
    newest: dict[tuple, dict[Hashable, tuple[str, int]]] = defaultdict(dict)
    for group, version, when in zip(groups, versions, created, strict=True):
        last, count = newest[group].get(version, ("", 0))
        newest[group][version] = max(last, when), count + 1
    ranked = {
        group: {version: age for age, version in enumerate(sorted(found, key=found.__getitem__, reverse=True))}
        for group, found in newest.items()
    }
    return [ranked[group][version] for group, version in zip(groups, versions, strict=True)]


def older(noise: str, age: int) -> str:
    """The name of a source with the age of its data: `gpt (older data)`, `gpt (older data 2)`."""
    return noise if not age else f"{noise} (older data{'' if age == 1 else f' {age}'})"
