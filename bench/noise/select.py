"""Sources of noisy labels by name: which there are for a task, and why one that was asked for cannot be used.

Names: `weak`, synthetic noise (`sn@RATE`, `asn@RATE`, `idn@RATE`, `FILE.py@RATE`), a user's column, an LLM by (a unique
beginning of) its name, a family (`gpt-*`), `all` (every label set and column of the task), and ensembles of LLMs or
columns, `vote(a,b)`, `dawid-skene(a,b)` and `crowdlab(a,b)`, families included: `vote(gpt-*)`.

A column's full name always selects it; in double quotes (`"a,b"`, `"gpt/few"`, `"sn@0.3"`) a name is that of a column
alone. A source of a column has the quotes in its id where the plain name is that of another source.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.core.errors import UsageError, unknown
from bench.core.files import slug
from bench.core.selectors import listed, quoted, split_list, unquoted
from bench.core.texts import PROMPTINGS
from bench.data.readers.columns import ROW_NUMBERS
from bench.data.task import TaskData
from bench.noise.label_sets import LabelSetRef, find_label_sets, label_command, no_labels, unusable
from bench.noise.llm_names import ENSEMBLE, family, is_family, labeller_named, no_such_family, without_prompting
from bench.noise.source import RULES, NoiseSource, Rule, Selection, is_noise, parse_noise, why_not

MAX_SHOWN = 1000  # characters of a list of columns


class NoColumns(UsageError):
    """`all` was asked for, where there are no label sets, and all columns are ignored."""


class Member(NamedTuple):
    """A labeller that an ensemble names."""

    name: str
    prompting: str | None  # if it is named
    is_column: bool


def sources_for(
    task: TaskData,
    *,
    llms: Sequence[str] | None = None,
    prompting: Sequence[str] | None = None,
    noise: Sequence[str] | None = None,
    data_dir: Path | None = None,
    also_known: Iterable[str] = (),
) -> list[Selection]:
    """The sources that the selectors name for this task, each once; unusable ones come with the reason.

    With neither `llms` nor `noise`: every label set and column of the task, and its weak votes. `prompting` keeps
    only those label sets (None: all). `also_known` lists names that mean something for other tasks of the same
    run (their columns): here they are skipped rather than refused. Raises UsageError for an unknown name.
    """
    for name in prompting or ():
        if name not in PROMPTINGS:
            raise unknown("prompting", name, PROMPTINGS)
    if llms is None and noise is None:
        llms, noise = ["all"], ["weak"] if task.votes is not None else []
        if not task.columns and noise and not find_label_sets(data_dir, task.info.name):
            llms = []
    finder = _Finder(task, find_label_sets(data_dir), tuple(prompting or ()), tuple(also_known))
    found: dict[str, Selection] = {}
    named = [selection for name in llms or () for selection in finder.llm(name)]
    for selection in [*named, *map(finder.noise, noise or ())]:
        found.setdefault(selection.source.id, selection)
    return list(found.values())


def left_out(task: TaskData) -> str:
    """The columns of a user's table that are not read as labels, with the reasons, for a message; "" without any."""
    return ", ".join(f"{name} ({why})" for name, why in task.ignored if why != ROW_NUMBERS)[:MAX_SHOWN]


@dataclass(frozen=True)
class _Finder:
    """What there is to choose from for one task."""

    task: TaskData
    sets: list[LabelSetRef]  # of all tasks
    prompting: tuple[str, ...]  # empty: any
    also_known: tuple[str, ...]

    @functools.cached_property
    def here(self) -> dict[str, LabelSetRef]:
        """The label sets of this task by id."""
        name = self.task.info.name
        return {ref.id: ref for ref in self.sets if ref.task in (name, slug(name))}

    @functools.cached_property
    def labellers(self) -> set[str]:
        """Of all tasks."""
        return {ref.labeller for ref in self.sets}

    @functools.cached_property
    def known(self) -> set[str]:
        """Every name of a labeller or a column."""
        return self.labellers.union(self.task.columns, self.also_known)

    def noise(self, text: str) -> Selection:
        name, exact = unquoted(text)
        if not exact and is_noise(text):
            return self.checked(parse_noise(text))
        if name in self.task.columns or (exact and name not in self.also_known):
            return self.column(name)
        if name in self.also_known:
            return self.elsewhere(name)
        return self.checked(parse_noise(text))

    def llm(self, text: str) -> list[Selection]:
        name, exact = unquoted(text.strip())
        if name == "all" and not exact:
            return self.everything()
        if name in self.task.columns and (exact or not self.means_llm(name)):
            if not exact and (other := self.other_reading(name)):
                raise UsageError(
                    f"'{name}' is a column of task {self.task.name}, and {other[0]}: write '{quoted(name)}' (with the "
                    f"quotes) for the column, {other[1]} for the other"
                )
            return [self.column(name)]
        ensemble = None if exact else ENSEMBLE.fullmatch(name)
        if ensemble and name not in self.also_known:
            return self.ensemble(ensemble[1], split_list(ensemble[2]) if ensemble[2].strip() else [])
        if is_family(name) and not exact and name not in self.also_known:
            return self.family(name)
        full, wanted, _ = self.full_name(text)
        if wanted is None and full in self.task.columns and not self.means_llm(full):
            return [self.column(full)]
        if wanted and full not in self.labellers:
            raise UsageError(f"'{name}': {full} is a column of labels, which has no prompting: write {listed(full)}")
        if full in self.also_known and full not in self.labellers:
            return [self.elsewhere(full)]
        return [self.single(full, prompting) for prompting in ((wanted,) if wanted else self.promptings([full]))]

    def means_llm(self, name: str) -> bool:
        """Whether the prompting that was asked for says that a column's name is meant as that of an LLM."""
        return any(self.get(name, prompting) for prompting in self.prompting)

    def other_reading(self, name: str) -> tuple[str, str] | None:
        """What else a column's name could mean for this task, and what to write for that; None: nothing."""
        for ref in self.here.values():
            if name in (ref.id, ref.labeller):
                return f"the labels of the LLM {ref.labeller}", f"{ref.labeller} with --prompting {ref.prompting}"
        ensemble = ENSEMBLE.fullmatch(name)
        if ensemble and ensemble[1] in RULES:
            with contextlib.suppress(UsageError):
                names = split_list(ensemble[2])
                self.ensemble(ensemble[1], names)
                return "an ensemble", f"{ensemble[1]}({','.join(reversed(names))})"
        return None

    def column(self, name: str) -> Selection:
        """A column of this task; its id is in quotes where the plain name is that of another source."""
        if name not in self.task.columns:
            raise unknown(f"column of labels of task {self.task.name}", name, self.task.columns)
        ensemble = ENSEMBLE.fullmatch(name)
        taken = name in self.here or (ensemble and ensemble[1] in RULES)
        plain = not (taken or is_noise(name) or name == "all" or name.startswith('"'))
        return self.checked(NoiseSource(name if plain else quoted(name), "column", labeller=name, members=(name,)))

    def elsewhere(self, name: str) -> Selection:
        """A column that other tasks of the run have."""
        source = NoiseSource(name, "column", labeller=name, members=(name,))
        return Selection(source, f"task {self.task.name} has no column '{name}'")

    def everything(self) -> list[Selection]:
        found = [self.single(ref.labeller, ref.prompting) for ref in self.here.values() if self.wanted(ref.prompting)]
        found += [self.column(name) for name in self.task.columns]
        if found:
            return found
        make = label_command(self.task)
        if unused := left_out(self.task):
            raise NoColumns(
                f"task {self.task.name}: no column is read as a labeller's: {unused}; name the labellers' columns with "
                f"--label-columns, add noise with --noise, or make a label set with {make}"
            )
        how = f"make one with {make}, or add noise with --noise"
        return [Selection(NoiseSource("all", "llm"), f"there is no label set for task {self.task.name}: {how}")]

    def family(self, text: str) -> list[Selection]:
        """Every labeller and column of the task whose name is of a form like `gpt-*`."""
        pattern, wanted = without_prompting(text)
        asked = [wanted] if wanted else [shots for shots in PROMPTINGS if self.wanted(shots)]
        names = family(pattern, (ref.labeller for ref in self.here.values()))
        found = [self.single(name, shots) for name in names for shots in asked if self.get(name, shots)]
        found += [self.column(name) for name in (() if wanted else family(pattern, self.task.columns))]
        if not family(pattern, self.known):
            raise no_such_family(pattern, self.known)
        why = f"task {self.task.name} has no labels of an LLM like '{text}'"
        return found or [Selection(NoiseSource(text, "llm"), why)]

    def full_name(self, text: str) -> Member:
        """A labeller's or column's full name, the prompting if `text` ends in /zero or /few, and if it is a column."""
        name, exact = unquoted(text.strip())
        if exact or name in self.known:
            if name not in self.known:
                raise unknown("column or llm", name, self.known)
            return Member(name, None, name in self.task.columns)
        base, wanted = without_prompting(name)
        if base not in self.known and (why := dict(self.task.ignored).get(base)):
            raise UsageError(
                f"column '{base}' of task {self.task.name} is not read as a labeller's: {why}; "
                "name it with --label-columns if it is one"
            )
        full = labeller_named(base, self.known)
        return Member(full, wanted, wanted is None and full in self.task.columns)

    def wanted(self, prompting: str) -> bool:
        return not self.prompting or prompting in self.prompting

    def promptings(self, labellers: list[str]) -> tuple[str, ...]:
        """Those asked for; else those for which all labellers have labels of this task, or any of them of any task."""
        if self.prompting:
            return self.prompting
        sets = [{ref.prompting for ref in self.here.values() if ref.labeller == name} for name in labellers]
        both = set.intersection(*sets) or {ref.prompting for ref in self.sets if ref.labeller in labellers}
        return tuple(prompting for prompting in PROMPTINGS if prompting in both)

    def get(self, labeller: str, prompting: str) -> LabelSetRef | None:
        return self.here.get(f"{labeller}/{prompting}")

    def single(self, labeller: str, prompting: str) -> Selection:
        ref = self.get(labeller, prompting)
        source = NoiseSource(f"{labeller}/{prompting}", "llm", labeller, prompting, members=(ref,) if ref else ())
        return self.checked(source) if ref else Selection(source, no_labels(labeller, prompting, self.task))

    def ensemble(self, name: str, names: list[str]) -> list[Selection]:
        rule = next((known for known in RULES if known == name), None)
        if rule is None:
            raise unknown("ensemble", name, RULES)
        if any(is_family(each) and not unquoted(each)[1] for each in names):
            return self.ensemble_of_families(rule, names)
        members = {self.full_name(name) for name in names}
        if len(members) < 2:
            raise UsageError(f"{rule}({','.join(names)}): name at least two different labellers")
        absent = sorted(each.name for each in members if not each.is_column and each.name not in self.labellers)
        if absent:
            source = NoiseSource(f"{rule}({','.join(names)})", "column", f"{rule}({','.join(names)})", rule=rule)
            return [Selection(source, self.elsewhere(absent[0]).why)]
        plain = [each.name for each in members if each.prompting is None and not each.is_column]
        if not plain:
            return [self.combined(rule, members, None)]
        return [self.combined(rule, members, prompting) for prompting in self.promptings(plain)]

    def ensemble_of_families(self, rule: Rule, names: list[str]) -> list[Selection]:
        """An ensemble per prompting of all labellers of the task that are meant, where there are two at least."""
        found: list[Selection] = []
        for shots in self.prompting or PROMPTINGS:
            members = set[Member]()
            for text in names:
                if not is_family(text) or unquoted(text)[1]:
                    members.add(self.full_name(text))
                    continue
                pattern, wanted = without_prompting(text)
                has = (ref.labeller for ref in self.here.values() if ref.prompting == (wanted or shots))
                members |= {Member(name, wanted, False) for name in family(pattern, has)}
            members -= {Member(each.name, None, False) for each in members if each.prompting == shots}  # meant twice
            if len(members) > 1:
                plain = any(each.prompting is None and not each.is_column for each in members)
                found.append(self.combined(rule, members, shots if plain else None))
        usable = [each for each in found if not each.why]
        none = NoiseSource(f"{rule}({','.join(names)})", "llm", rule=rule)
        why = f"fewer than two labellers of task {self.task.name} match this name"
        return usable or found[:1] or [Selection(none, why)]

    def combined(self, rule: Rule, members: set[Member], prompting: str | None) -> Selection:
        ordered = sorted(members, key=lambda member: (member.name, member.prompting or ""))
        shown = ",".join(map(self.member_id, ordered))
        asked = [(each.name, None if each.is_column else each.prompting or prompting) for each in ordered]
        found = [self.get(name, shots) if shots else name for name, shots in asked]  # only columns have none
        refs = tuple(ref for ref in found if ref is not None)
        source = NoiseSource(
            id=f"{rule}({shown})" + (f"/{prompting}" if prompting else ""),
            kind="column" if refs and all(isinstance(ref, str) for ref in refs) else "llm",
            labeller=f"{rule}({shown})",
            prompting=prompting,
            members=refs,
            rule=rule,
        )
        absent = [(name, shots) for (name, shots), ref in zip(asked, found, strict=True) if shots and not ref]
        return Selection(source, no_labels(*absent[0], self.task)) if absent else self.checked(source)

    def member_id(self, member: Member) -> str:
        if member.is_column:
            return quoted(member.name) if self.other_reading(member.name) else listed(member.name)
        return member.name if member.prompting is None else f"{member.name}/{member.prompting}"

    def checked(self, source: NoiseSource) -> Selection:
        """The source, and why it cannot be used: label sets are read, so that a run does not find out hours later."""
        reasons = (unusable(ref, self.task) for ref in source.label_sets)
        return Selection(source, why_not(source, self.task) or next(filter(None, reasons), ""))
