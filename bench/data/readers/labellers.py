"""Which columns of a user's table are labellers', and what they answered.

A column of words that are classes is a labeller's. Numbers and words like yes and no fit by chance too (flags, folds,
years): such a column is taken if it is named by `--label-columns`, if its header reads like a labeller's, or if it
agrees with gold (without gold: with another column) far more than chance would; never if its header reads like
metadata. Every other column is left out with a reason, and one that looks like a labeller's but has values that are
not classes is refused.
"""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.core.errors import UsageError
from bench.data.readers.columns import is_labellers_header, is_metadata_header
from bench.data.readers.label_values import (
    SILENT_WORDS,
    LabelSet,
    Reading,
    complaint,
    inferred,
    is_decimal,
    is_number,
    key,
    quoted,
    read,
    silent,
)

GENERIC = frozenset(("yes", "no", "y", "n", "true", "false", "t", "f", "on", "off"))
"""Words that are values of flags as often as classes; numbers are, too."""
MANY = 50
"""A column with more different values than this, and than half its rows, holds texts; without gold, than this alone."""


@dataclass
class Found:
    """The labellers' columns with what their values mean, and the columns left out with the reason."""

    readings: dict[str, Reading] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)


Values = Mapping[str, list[str]]
"""Column -> its values in all splits, one after the other; "" where a split's table has no such column."""
Place = Callable[[str, int], str]
"""File, column and row for a message, from a column and a position in its values."""


def chosen(values: Values, labels: LabelSet, gold: np.ndarray | None, named: bool, place: Place) -> Found:
    """The labellers among columns, with the classes known. `gold` int64[n]: class ids by row, -1 = unknown.

    `named`: the columns were named by the user, so all of them are labellers. Raises UsageError for values that are
    not classes in a column that is named or looks like a labeller's, and for two possible readings.
    """
    found = Found()
    for name, column in values.items():
        counts = Counter(column)
        if not named and (reason := _no_labels(counts, labels)):
            found.ignored[name] = reason
            continue
        reading = read(counts, labels)
        wrong = complaint(reading, labels) or _other_order(reading, column, labels, gold)
        if not named:
            reason = _left_out(name, reading, wrong, column, gold)
            if reason:
                found.ignored[name] = reason
                continue
        if wrong:
            where = place(name, reading.first_outside(column))
            if named:
                raise UsageError(f"{where}: {wrong}")
            raise UsageError(
                f"{where}: column '{name}' looks like a labeller's, but {wrong}; or choose the labellers with "
                "--label-columns"
            )
        found.readings[name] = reading
    return found


def _given(counts: Counter[str], no_answer: frozenset[str] = frozenset()) -> Counter[str]:
    """The values of a column that are answers."""
    return Counter({value: rows for value, rows in counts.items() if not silent(value, no_answer)})


def _no_labels(counts: Counter[str], labels: LabelSet | None = None) -> str:
    """Why a column cannot hold labels, whatever the classes are if they are not known; "" where it can."""
    given = _given(counts)
    if len(given) > MANY and len(given) > given.total() / 2:
        return f"{len(given)} different values, such as {quoted(given, 1)}"
    decimals = Counter({value: rows for value, rows in given.items() if is_decimal(value)})
    known = labels is not None and any(key(value) in labels.by_key for value in decimals)
    if decimals and not known and all(is_number(value) for value in given):
        return f"decimal numbers, such as {quoted(decimals, 2)}"
    return ""


def _left_out(name: str, reading: Reading, wrong: str, column: list[str], gold: np.ndarray | None) -> str:
    """Why a column that was not named is left out; "" for a labeller, and for what looks like one but is `wrong`."""
    inside, outside = reading.inside, reading.outside
    if not inside and not outside:
        return "" if is_labellers_header(name) and not wrong else "no values"
    misfit = (
        f"{outside.total()} of {outside.total() + inside.total()} values, such as {quoted(outside, 2)}, are not classes"
    )
    if not inside:
        return misfit if outside else "no values"
    if _generic(inside):
        if is_metadata_header(name):
            return misfit if outside else f"{quoted(inside, 2)} match the classes, but the header reads like metadata"
        if not is_labellers_header(name) and not _agrees(reading.encode(column), gold):
            why = "nothing says that it holds labels" if gold is None else "it agrees with gold no more than by chance"
            fit = misfit if outside else f"{quoted(inside, 2)} match the classes, but {why}"
            return f"{fit}; if it is a labeller's, name it with --label-columns"
    looks_like_one = outside.total() <= inside.total() or 2 <= len(inside) > len(outside)
    return "" if looks_like_one else misfit


def _generic(values: Counter[str]) -> bool:
    return all(is_number(value) or key(value) in GENERIC for value in values)


def _agrees(one: np.ndarray, other: np.ndarray | None) -> bool:
    """Whether two columns of class ids agree far more than chance: Cohen's kappa of 0.2, and 2.5 standard errors."""
    if other is None:
        return False
    both = (one >= 0) & (other >= 0)
    count, classes = int(both.sum()), int(max(one.max(initial=0), other.max(initial=0))) + 1
    if not count:
        return False
    shares = [np.bincount(each[both], minlength=classes) / count for each in (one, other)]
    expected, observed = float(shares[0] @ shares[1]), float((one[both] == other[both]).mean())
    if expected >= 1:
        return False
    kappa, error = (observed - expected) / (1 - expected), np.sqrt(expected / (1 - expected) / count)
    return kappa >= max(0.2, 2.5 * error - 1e-9)


def _other_order(reading: Reading, column: list[str], labels: LabelSet, gold: np.ndarray | None) -> str:
    """Why ids may number the classes in another order than the alphabet's; "" where nothing says so.

    label.json says what an id is. Without it the alphabet's order is taken, unless another agrees better with gold.
    """
    if labels.declared or not reading.numbered or gold is None:
        return ""
    from scipy.optimize import linear_sum_assignment

    ids, size = reading.encode(column), len(labels.names)
    both = (ids >= 0) & (gold >= 0)
    counts = np.bincount(ids[both] * size + gold[both], minlength=size**2).reshape(size, size)
    rows, best = linear_sum_assignment(counts, maximize=True)
    if counts[rows, best].sum() <= np.trace(counts):
        return ""
    other = mapping([labels.names[position] for position in best])
    return (
        f"it numbers the classes: {mapping(labels.names)} agrees with gold in {np.trace(counts)} of {both.sum()} rows, "
        f"{other} in {counts[rows, best].sum()}; say in a label.json beside the file which number is which class"
    )


def mapping(names) -> str:
    """Class ids and names for a message."""
    shown = ", ".join(f"{position} = {name}" for position, name in enumerate(names[:10]))
    return shown + (", ..." if len(names) > 10 else "")


def chosen_without_gold(
    values: Values, no_answer: frozenset[str], named: bool, origin: str, place: Place
) -> tuple[LabelSet | None, Found]:
    """Label set and labellers where neither gold nor label.json says what the classes are.

    The classes are the values of the columns that overlap; None where no column may hold labels. Raises UsageError
    where only a guess is left.
    """
    counts = {name: Counter(column) for name, column in values.items()}
    ignored = {} if named else {name: why for name in values if (why := _unlikely(name, counts[name]))}
    keys = {name: {*map(key, _given(counts[name], no_answer))} - {"-1"} for name in values if name not in ignored}
    defining = {name: found for name, found in keys.items() if len(found) > 1 or (named and found)}
    if not defining:
        for name in keys:
            given = _given(counts[name], no_answer)
            ignored[name] = f"only one value, {quoted(given, 1)}" if given else "no values"
        return None, Found(ignored={name: ignored[name] for name in values})
    groups = _overlapping(defining)
    if named and len(groups) > 1:
        raise UsageError(
            f"{origin}: {_shown(groups, counts)} share no value: list the classes in a label.json beside the file, or "
            "name only columns that answer the same question"
        )
    group = groups[0] if named else _credible(groups, counts, values, origin)
    for name in defining:
        if name not in group:
            linked = any(keys[name] & keys[each] for each in group)
            why = "agrees with no other column" if linked else f"no value in common with {', '.join(group)}"
            ignored[name] = f"{quoted(counts[name], 2)}: {why}"
    together: Counter[str] = Counter()
    for name in group:
        together.update(counts[name])
    where = f"{origin}, {', '.join(group)}"
    _refuse_doubtful(together, no_answer, where)
    labels = inferred(together, no_answer | {"-1"}, where)
    found = chosen({name: values[name] for name in group}, labels, None, True, place)
    rest = {name: values[name] for name in values if name not in ignored and name not in group}
    more = chosen(rest, labels, None, named, place)
    readings = found.readings | more.readings
    return labels, Found({name: readings[name] for name in values if name in readings}, ignored | more.ignored)


def _unlikely(name: str, counts: Counter[str]) -> str:
    if reason := _no_labels(counts):
        return reason
    given = _given(counts)
    if not given:
        return "" if is_labellers_header(name) else "no values"
    if len(given) > MANY or len(given) > max(given.total() / 2, 3):
        limit = f"more than {MANY}" if len(given) > MANY else f"in {given.total()} rows"
        return f"{len(given)} different values, {limit}, such as {quoted(given, 1)}"
    if _generic(given) and is_metadata_header(name):
        return f"{quoted(given, 2)}, and the header reads like metadata"
    return ""


def _overlapping(keys: Mapping[str, set[str]]) -> list[list[str]]:
    """Columns in groups that are linked by values in common."""
    groups: list[tuple[list[str], set[str]]] = []
    for name, found in keys.items():
        linked = [group for group in groups if group[1] & found]
        groups = [group for group in groups if group not in linked]
        groups.append(([each for group in linked for each in group[0]] + [name], found.union(*(g[1] for g in linked))))
    order = list(keys)
    return [sorted(names, key=order.index) for names, _ in groups]


def _credible(groups: list[list[str]], counts: Mapping[str, Counter[str]], values: Values, origin: str) -> list[str]:
    """The one group of columns that are labellers' by more than fitting values. Raises UsageError where none is."""
    several = [kept for group in groups if len(kept := _with_evidence(group, counts, values)) > 1]
    if len(several) == 1:
        return several[0]
    only = groups[0][0]
    if len(groups) == 1 and len(groups[0]) == 1 and is_labellers_header(only):
        return groups[0]
    raise UsageError(
        f"{origin} has no gold, and nothing says which columns are labellers': {_shown(groups, counts)}; name the "
        "labellers' columns with --label-columns, or list the classes in a label.json beside the file"
    )


def _with_evidence(group: list[str], counts: Mapping[str, Counter[str]], values: Values) -> list[str]:
    """The columns of a group but for those of numbers and the like that agree with no other."""
    position = {each: at for at, each in enumerate({key(value) for name in group for value in counts[name]})}
    ids = {
        name: np.array([-1 if silent(value, frozenset()) else position[key(value)] for value in values[name]])
        for name in group
    }
    agreeing = {
        name for pair in itertools.combinations(group, 2) if _agrees(ids[pair[0]], ids[pair[1]]) for name in pair
    }
    given = {name: _given(counts[name]) for name in group}
    return [name for name in group if name in agreeing or is_labellers_header(name) or not _generic(given[name])]


def _shown(groups: list[list[str]], counts: Mapping[str, Counter[str]]) -> str:
    return ", ".join(f"'{name}' ({quoted(counts[name])})" for group in groups for name in group)


def _refuse_doubtful(counts: Counter[str], no_answer: frozenset[str], where: str) -> None:
    """Raise UsageError for values that may be classes or no answer, where no gold tells."""
    given = [value for value in counts if not silent(value, no_answer)]
    doubtful = [value for value in given if key(value) in SILENT_WORDS]
    if any(is_number(value) and key(value) != "-1" for value in given):
        doubtful += [value for value in given if key(value) == "-1"]
    if doubtful:
        rows, first = sum(counts[value] for value in doubtful), shlex.quote(doubtful[0].strip()[:80])
        raise UsageError(
            f"{where}: {quoted(sorted(doubtful))} in {rows} of {counts.total()} rows may mean no answer or be a "
            f"class: give --no-answer {first} if it means no answer, or list the classes in a label.json beside the "
            "file if it is a class"
        )
