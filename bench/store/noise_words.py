"""What run lines, table heads and figures say of noise, in one wording; and what a grid's data make a user think of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

NOISE_KINDS = {
    "llm": "LLM labels",
    "weak": "weak labels",
    "synthetic": "synthetic noise",
    "human": "human labels",
    "column": "own columns",
}
"""Kinds of noise sources in the order of tables and averages, and a report's name: its first word is the kind."""

PEOPLE = re.compile(r"annot.*|raters?|coders?|workers?|judges?|crowd.*|experts?|humans?|students?")
"""Words of the headers of columns that people filled in."""


def noise_kind(kind: str, labeller: str | None) -> str:
    """The key in `NOISE_KINDS` of a record's kind of noise: a column whose labellers are all named as people is human.

    `labeller` is the column's name, or those of an ensemble: `vote(rater1,rater2)`.
    """
    if kind != "column" or not labeller:
        return kind
    names = re.sub(r"^[\w-]+\((.*)\)$", r"\1", labeller).split(",")
    words = [re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).casefold()) for name in names]
    return "human" if all(any(PEOPLE.fullmatch(word) for word in each) for each in words) else kind


def noise_words(rate: float | None, no_answer: float, expected: bool = False) -> str:
    """`noise 62.1 % (85.7 % no answer)` from fractions; `≈` marks an expected rate, None is unknown."""
    shown = "noise unknown" if rate is None else f"noise {'≈ ' if expected else ''}{100 * rate:.1f} %"
    if not no_answer:
        return shown
    return f"{shown} ({'< 0.1' if no_answer < 0.0005 else f'{100 * no_answer:.1f}'} % no answer)"


def repeats_sentence(task: str, repeats: Mapping[str, int] | None, sizes: Mapping[str, int]) -> str | None:
    """Which texts of a task lie in two splits, e.g. `trec: 3 of 500 test texts are also in train`; None for none."""
    found = []
    for pair, count in (repeats or {}).items():
        one, _, other = pair.partition(" in ")
        if count:
            found.append(f"{count:,} of {sizes[one]:,} {one} texts are also in {other}")
    if not found:
        return None
    return f"{task}: {'; '.join(found)}. What a method remembers of them counts as learnt."


def told_apart(data: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A name for each of several data sets, given as (name, path): the name, after as many folders as tell them apart.

    Two files of one name in one folder, such as x.csv and x.tsv, are named by their whole paths.
    """
    by_name: dict[str, list[str]] = {}
    for name, path in dict.fromkeys(data):
        by_name.setdefault(name, []).append(path)
    shown: dict[tuple[str, str], str] = {}
    for name, paths in by_name.items():
        folders = {path: path.replace("\\", "/").split("/")[:-1] for path in paths}
        depths = range(max(map(len, folders.values())) + 1) if len(paths) > 1 else [0]
        for depth in depths:
            names = ["/".join([*(folders[path][-depth:] if depth else []), name]) for path in paths]
            if len(set(names)) == len(paths):
                break
        else:
            names = paths
        shown |= {(name, path): each for path, each in zip(paths, names, strict=True)}
    return shown
