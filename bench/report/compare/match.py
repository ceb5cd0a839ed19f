"""Two results folders side by side: which cells can be compared, what changed, and whether the seeds support it.

Cells are compared where everything that identifies them but the version of the method's code is equal (texts,
labels, seed, recipe, encoder, hyper-parameters). Where a method's hyper-parameters are all that differs, they are
compared in a row of their own that names the change. Everything else is named and left out, never averaged in.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from bench.core.texts import plural
from bench.report import names as labels
from bench.report.compare.differences import apart, change, differing
from bench.report.frame import Results, load
from bench.report.places import older
from bench.report.tables import stats
from bench.store.metrics import METRICS
from bench.store.records import CellKey, Record

if TYPE_CHECKING:
    import pandas as pd

COMPARED = ("accuracy", "ece")
"""The metrics of a comparison."""

ALPHA = 0.05

Verdict = Literal["better", "worse", "no difference shown", "unchanged", "too few seeds", "not tested"]


Values = dict[str, tuple[dict[int, float], dict[int, float]]]
"""By metric: before and after by seed, in the metric's shown unit."""


class Pair(NamedTuple):
    """One cell before and after; `change` names the hyper-parameters that differ ("" = none does)."""

    before: Record
    after: Record
    change: str


@dataclass(frozen=True)
class Outcome:
    """One row of a comparison and one metric, paired by seed. In per cent."""

    before: float
    after: float
    difference: stats.Interval  # after minus before
    p: float  # paired t-test; NaN where it cannot be computed
    p_holm: float
    verdict: Verdict


@dataclass(frozen=True)
class Line:
    """A method in one column (`task`, `noise`), or its average over all of its columns (both "")."""

    setup: str
    task: str
    noise: str
    method: str
    reference: bool
    seeds: tuple[int, ...]
    columns: int
    outcomes: dict[str, Outcome]  # by metric


@dataclass(frozen=True)
class Comparison:
    """All that `bench report --compare` says.

    Attributes
    ----------
    before, after : Results
        The two folders as read.
    pairs : list of Pair
        The cells that are compared.
    lines, averages : list of Line
        One per method and column; one per method, over the columns with the same seeds.
    new, gone : list of Record
        Cells that only one of the folders has, in whatever version of the method.
    statuses : list of (Record, Record)
        The same cell, with another status.
    differing : list of str
        What differs in code, packages, devices, method versions.
    apart : list of str
        Cells of one name that differ in key, those of older versions of a method, and those that its newest version
        lacks: why they are not compared.
    """

    before: Results
    after: Results
    pairs: list[Pair]
    lines: list[Line]
    averages: list[Line]
    new: list[Record]
    gone: list[Record]
    statuses: list[tuple[Record, Record]]
    differing: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)


def compare(before: Path, after: Path, rule: str = "last") -> Comparison:
    """Compare the results in one folder with those in another, paired by seed.

    Parameters
    ----------
    before, after : Path
        Results folders, or packs of them.
    rule : str
        The step whose scores count: `last` or `noisy_valid`.

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        Where a folder holds no results, or records of a newer schema.
    """
    old, new = load(before), load(after)
    (old_cells, old_left), (new_cells, new_left) = _newest(old.records), _newest(new.records)
    pairs, gone, added = match(old_cells, new_cells)
    scored = [pair for pair in pairs if all(each.scores and getattr(each.scores, rule) for each in pair[:2])]
    lines, averages = _lines(scored, rule, new.cells)
    left_out = [*_left_out("before", old_left), *_left_out("after", new_left)]
    reasons = apart(gone, added)
    gone, not_after = _not_run(gone, new_left)
    added, not_before = _not_run(added, old_left)
    return Comparison(
        before=old,
        after=new,
        pairs=scored,
        lines=lines,
        averages=averages,
        new=added,
        gone=gone,
        statuses=[(pair.before, pair.after) for pair in pairs if pair.before.status != pair.after.status],
        differing=differing(scored),
        apart=[*left_out, *_waiting("before", not_before), *_waiting("after", not_after), *reasons],
    )


def match(before: Iterable[Record], after: Iterable[Record]) -> tuple[list[Pair], list[Record], list[Record]]:
    """Cells that can be compared, cells that are gone, cells that are new; of one version of each method a side."""
    old, new = ({_place(each.key): each for each in side} for side in (before, after))
    pairs = [Pair(old[name], new[name], "") for name in old if name in new]
    gone = [record for name, record in old.items() if name not in new]
    added = [record for name, record in new.items() if name not in old]
    left: dict[str, tuple[list[Record], list[Record]]] = defaultdict(lambda: ([], []))
    for side, records in enumerate((gone, added)):
        for record in records:
            left[_place(record.key, without=("config", "method_version"))][side].append(record)
    changed = [
        Pair(one[0], two[0], change(one[0].key.config, two[0].key.config))
        for one, two in left.values()
        if len(one) == len(two) == 1
    ]
    matched = {id(record) for pair in changed for record in pair[:2]}
    gone, added = ([each for each in records if id(each) not in matched] for records in (gone, added))
    return pairs + changed, gone, added


def _newest(records: list[Record]) -> tuple[list[Record], list[Record]]:
    """The records of each method's newest version, which reports call by its plain name, and the others."""
    ages = labels.version_ages([each.key for each in records], [each.created for each in records])
    aged = list(zip(records, ages, strict=True))
    return [record for record, age in aged if not age], [record for record, age in aged if age]


def _left_out(side: str, records: list[Record]) -> list[str]:
    """Sentences on the cells of older versions."""
    counts = sorted(Counter(record.key.method for record in records).items())
    return [
        f"{side}: {plural(count, 'cell')} of an older version of {method}: the newest version there is compared"
        for method, count in counts
    ]


def _not_run(records: list[Record], older_ones: list[Record]) -> tuple[list[Record], list[Record]]:
    """Records that the other side lacks altogether, and those that it has of an older version of the method."""
    there = {_place(each.key) for each in older_ones}
    placed = [(each, _place(each.key) in there) for each in records]
    return [each for each, older_one in placed if not older_one], [each for each, older_one in placed if older_one]


def _waiting(side: str, records: list[Record]) -> list[str]:
    """Sentences on the cells that a side has of an older version alone."""
    counts = sorted(Counter((each.key.task, each.key.noise, each.key.method) for each in records).items())
    return [
        f"{side}: {plural(count, 'cell')} on {task}, {noise} not run yet with the newest version of {method}"
        for (task, noise, method), count in counts
    ]


def _place(key: CellKey, without: tuple[str, ...] = ("method_version",)) -> str:
    return labels.canonical(key.model_dump(exclude=set(without)))


def _lines(pairs: list[Pair], rule: str, cells: pd.DataFrame) -> tuple[list[Line], list[Line]]:
    """Lines by column and averages over columns. `cells` of the folder after say which data newer ones supersede."""
    known = dict(zip(cells["cell"], zip(cells["task"], cells["age"], strict=True), strict=True))
    grouped: dict[tuple[str, str, str, str], dict[int, Pair]] = defaultdict(dict)
    superseded = set()
    for pair, setup, noise, method in zip(pairs, *_names(pairs), strict=True):
        task, age = known[pair.after.hash[:12]]
        where = (setup, task, older(noise, age), method)
        grouped[where][pair.after.key.seed] = pair
        superseded |= {where} if age else set()
    values = {where: _values(by_seed, rule) for where, by_seed in grouped.items()}
    columns: dict[tuple[str, str], list[tuple]] = defaultdict(list)
    for where in (each for each in grouped if each not in superseded):
        columns[where[0], where[3]].append(where)
    references = {
        where[3]
        for where, by_seed in grouped.items()
        if not all(record.competes for pair in by_seed.values() for record in pair[:2])
    }
    lines = [_line(where, each, 1, where[3] in references) for where, each in values.items()]
    means = [
        _line((setup, "", "", method), _averaged([values[each] for each in found]), len(found), method in references)
        for (setup, method), found in columns.items()
    ]
    return _adjusted(sorted(lines, key=_order)), _adjusted(sorted(means, key=_order))


def _order(line: Line) -> tuple:
    return line.setup, line.reference, labels.natural(line.method), line.task, labels.natural(line.noise)


def _names(pairs: list[Pair]) -> tuple[list[str], list[str], list[str]]:
    """Set-up, noise and method of each pair, named over all pairs together."""
    keys = [pair.after.key.model_copy(update={"method_version": 1}) for pair in pairs]
    methods, _ = labels.method_labels(keys, [pair.after.created for pair in pairs])
    named = [f"{pair.after.key.method} ({pair.change})" if pair.change else name
             for pair, name in zip(pairs, methods, strict=True)]  # fmt: skip
    return labels.setup_labels(keys), labels.noise_labels(keys)[0], named


def _values(by_seed: dict[int, Pair], rule: str) -> Values:
    def scores(side: Literal["before", "after"], metric: str) -> dict[int, float]:
        records = {seed: getattr(pair, side) for seed, pair in sorted(by_seed.items())}
        scale = METRICS[metric].scale
        return {seed: scale * getattr(getattr(each.scores, rule), metric) for seed, each in records.items()}

    return {metric: (scores("before", metric), scores("after", metric)) for metric in COMPARED}


def _averaged(columns: list[Values]) -> Values:
    """The mean over columns, for the seeds that every column has."""
    seeds = sorted(set.intersection(*(set(column[COMPARED[0]][0]) for column in columns)))

    def side(of: int, metric: str) -> dict[int, float]:
        return {seed: float(np.mean([column[metric][of][seed] for column in columns])) for seed in seeds}

    return {metric: (side(0, metric), side(1, metric)) for metric in COMPARED}


def _line(where: tuple[str, str, str, str], values: Values, columns: int, reference: bool) -> Line:
    outcomes = {metric: _outcome(*each, METRICS[metric].higher_is_better) for metric, each in values.items()}
    return Line(*where, reference, tuple(values[COMPARED[0]][0]), columns, outcomes)


def _outcome(before: dict[int, float], after: dict[int, float], higher_is_better: bool) -> Outcome:
    difference, p = stats.paired_difference(after, before), float("nan")
    if before and before == after:
        verdict: Verdict = "unchanged"
    elif difference.n < stats.MIN_SEEDS:
        verdict = "too few seeds"
    elif np.isnan(p := stats.paired_t_p(after, before)):
        verdict = "not tested"  # exactly the same gap in every seed: the seeds are not independent evidence
    else:
        verdict = "better" if (difference.mean > 0) == higher_is_better else "worse"
    one, two = (stats.mean_interval(list(values.values())).mean for values in (before, after))
    return Outcome(one, two, difference, p, p, verdict)


def _adjusted(lines: list[Line]) -> list[Line]:
    """Holm's correction over all lines, one family per metric; what does not survive it is not a difference."""
    for metric in COMPARED:
        for line, p in zip(lines, stats.holm([line.outcomes[metric].p for line in lines]).tolist(), strict=True):
            verdict = "no difference shown" if p >= ALPHA else line.outcomes[metric].verdict
            line.outcomes[metric] = replace(line.outcomes[metric], p_holm=p, verdict=verdict)
    return lines
