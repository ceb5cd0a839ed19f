"""Names for what differs: methods with their parameters, noise sources with their options, set-ups.

A name shows only what varies among the records at hand, in the selector language of the command line
(`sidyp[mode=official]`). Two things that differ never get the same name, so they are never averaged.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from bench.report.places import ranks
from bench.store.records import CellKey


def canonical(value: Any) -> str:
    """A text that is equal exactly for equal JSON values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


K = TypeVar("K", bound=Hashable)
UNSET = "unset"
"""How a label writes a parameter that one variant has and another has not."""


def shown(value: Any) -> str:
    """A JSON value as a selector writes it: `8`, `official`, `0.3`, `true`; quoted where it could be misread."""
    if not isinstance(value, str):
        return canonical(value)
    misread = (UNSET, "true", "false", "null", "NaN", "Infinity")
    return value if re.fullmatch(r"[A-Za-z_][\w.@:/+-]*", value) and value not in misread else canonical(value)


def value_of(parameters: Mapping[str, Any], name: str) -> str:
    """The value of a parameter as a label writes it."""
    return shown(parameters[name]) if name in parameters else UNSET


def natural(text: str) -> list:
    """A sorting key that reads numbers as numbers (`method-2` before `method-10`) and ignores case."""
    pieces = re.split(r"(\d+(?:\.\d+)?)", text.lower())
    return [(float(piece), "") if index % 2 else (-1.0, piece) for index, piece in enumerate(pieces)]


def varying(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    """The parameters that take more than one value (being absent is a value too), in order of their names."""
    distinct = {canonical(each): each for each in parameters}.values()
    names = sorted({name for each in distinct for name in each})
    return [name for name in names if len({canonical(each[name]) if name in each else "" for each in distinct}) > 1]


def bracketed(name: str, parameters: Mapping[str, Any], names: Sequence[str]) -> str:
    """`name[a=1,b=x]` with the parameters among `names`."""
    inside = ",".join(f"{each}={value_of(parameters, each)}" for each in names)
    return f"{name}[{inside}]" if inside else name


def parameter_labels(
    names: Sequence[str],
    parameters: Sequence[Mapping[str, Any]],
    spelled_out: Mapping[str, str] | None = None,
    deciding: Collection[int] = (),
) -> tuple[list[str], dict[str, str]]:
    """A label for each (name, parameters), and what a bare name stands for where parameters vary.

    A label names the parameters in which a variant differs from the commonest value; where two values are equally
    common, every variant names its own, as do all of a name in `spelled_out` for the parameter there. What is common
    those at the positions `deciding` say, where a name has some.
    """
    labels = list(names)
    bare: dict[str, str] = {}
    for name, indices in _grouped(names).items():
        differing = varying([parameters[i] for i in indices])
        always = (spelled_out or {}).get(name)
        differing = sorted({*differing, always}) if always else differing
        if not differing:
            continue
        say = [i for i in indices if i in deciding] or indices
        usual = {each: _commonest(_value(parameters[i], each) for i in say) for each in differing if each != always}
        for i in indices:
            own = [each for each in differing if _value(parameters[i], each) != usual.get(each)]
            labels[i] = bracketed(name, parameters[i], own)
            if not own:
                bare[name] = bracketed(name, parameters[i], differing)
    return labels, bare


def _value(parameters: Mapping[str, Any], name: str) -> str:
    return canonical(parameters[name]) if name in parameters else ""


def _commonest(values: Iterable[str]) -> str | None:
    """The commonest value; None where two are equally common."""
    (first, most), *others = Counter(values).most_common(2)
    return first if all(most > count for _, count in others) else None


def method_labels(
    keys: Sequence[CellKey], created: Sequence[str], human: Sequence[bool] = ()
) -> tuple[list[str], dict[str, str]]:
    """A label for each cell's method, e.g. `sidyp[mode=official]+ts`, and what the bare names stand for.

    `human` says which cells learn from human labels: how many is always shown, `gold[rows=100]`. Where a folder holds
    results of several versions of a method, that of the newest cell has the bare name; the others are marked `(older)`,
    `(older 2)`. Parameters are compared among equal names, whatever wrappers are around them; those without say what is
    common.
    """
    marks = [f" (older{'' if age == 1 else f' {age}'})" if age else "" for age in version_ages(keys, created)]
    parts = [key.method.partition("+") for key in keys]
    names = [name + mark for (name, *_), mark in zip(parts, marks, strict=True)]
    asking = {
        name: "rows" for name, key, asks in zip(names, keys, human, strict=False) if asks and "rows" in key.config
    }
    plain = {i for i, (_, plus, _) in enumerate(parts) if not plus}
    found, stands_for = parameter_labels(names, [key.config for key in keys], asking, plain)

    def whole(i: int, label: str) -> str:
        name, plus, wrappers = parts[i]
        return f"{name}{label.removeprefix(names[i])}{plus}{wrappers}{marks[i]}"

    labels = [whole(i, label) for i, label in enumerate(found)]
    bare = {labels[i]: whole(i, stands_for[names[i]]) for i, label in enumerate(found) if label in stands_for}
    return labels, bare


def version_ages(keys: Sequence[CellKey], created: Sequence[str]) -> list[int]:
    """By cell: how many versions of its method have a newer cell than any of its own version."""
    return ranks([(key.method,) for key in keys], [key.method_version for key in keys], created)


def noise_labels(keys: Sequence[CellKey]) -> tuple[list[str], dict[str, str]]:
    """A label for each cell's noise source, e.g. `weak[uncovered=drop]`, and what the bare names stand for.

    Options are compared within a task and a source only: a source without a given option is not a variant.
    """
    labels = [""] * len(keys)
    bare: dict[str, str] = {}
    for indices in _grouped(key.task for key in keys).values():
        part, part_bare = parameter_labels([keys[i].noise for i in indices], [keys[i].options for i in indices])
        bare |= part_bare
        for i, label in zip(indices, part, strict=True):
            labels[i] = label
    return labels, bare


def encoder_label(key: CellKey) -> str:
    """The encoder with its mode, e.g. `minilm:frozen` or `minilm:fine-tuned`."""
    return f"{key.encoder}:{key.encoder_mode}"


def setup_labels(keys: Sequence[CellKey]) -> list[str]:
    """What must be equal for two cells to be compared: encoder and mode, recipe, limit.

    Beside the encoder a label names only what varies among that encoder's cells, e.g.
    `minilm:frozen, epochs=3, limit=200`. The maximal text length is a property of the task where it does
    not vary within a task, and is then not part of the set-up.
    """
    labels = [""] * len(keys)
    for encoder, indices in _grouped(encoder_label(key) for key in keys).items():
        group = [keys[i] for i in indices]
        facts = [_setup_facts(key) for key in group]
        names = varying(facts)
        if "max_length" in names and not _varies_within_a_task(group, facts, "max_length"):
            names.remove("max_length")
        for i, fact in zip(indices, facts, strict=True):
            parts = [f"{name}={value_of(fact, name)}" for name in names if name != "limit"]
            if keys[i].limit is not None:
                parts.append(f"limit={keys[i].limit}")
            labels[i] = ", ".join([encoder, *parts])
    return labels


def _setup_facts(key: CellKey) -> dict[str, Any]:
    own = {"sentence_encoder": key.sentence_encoder, "revision": key.encoder_revision[:12]}
    return key.recipe | own | {"limit": key.limit}


def _varies_within_a_task(keys: Sequence[CellKey], facts: Sequence[Mapping[str, Any]], name: str) -> bool:
    seen: dict[str, Any] = {}
    return any(
        seen.setdefault(key.task, fact.get(name)) != fact.get(name) for key, fact in zip(keys, facts, strict=True)
    )


def _grouped(values: Iterable[K]) -> dict[K, list[int]]:
    """The positions of each distinct value, in order of first appearance."""
    groups: dict[K, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        groups[value].append(index)
    return groups
