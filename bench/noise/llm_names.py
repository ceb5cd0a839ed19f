"""What a name of an LLM stands for: itself, a unique beginning, a family like `gpt-*`, each with `/zero` or `/few`."""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from bench.core.errors import UsageError, completed, nearest, resolve, unknown
from bench.core.selectors import split_list, unquoted
from bench.core.texts import PROMPTINGS
from bench.noise.label_sets import LabelSetRef

ENSEMBLE = re.compile(r"([\w-]+)\((.*)\)", re.DOTALL)
SHORT = {"mixtral": "mixtral-8x22b"}
"""Short names that keep their meaning although several labellers begin so."""


def labeller_named(name: str, known: Collection[str]) -> str:
    """The labeller that `name` stands for: itself, a short name, or the only one that begins so. Raises UsageError."""
    short = SHORT.get(name.lower())
    if short and short in known and name not in known:
        return completed(name, short)
    try:
        return resolve("llm", name, known)
    except UsageError as error:
        several = sum(each.lower().startswith(name.lower()) for each in known) > 1
        raise UsageError(f"{error}, or all of them: '{name}*'" if name and several else str(error)) from None


def without_prompting(name: str) -> tuple[str, str | None]:
    """A name without `/zero` or `/few` at its end, and that prompting."""
    base, slash, prompting = name.rpartition("/")
    return (base.strip(), prompting) if slash and prompting in PROMPTINGS else (name.strip(), None)


def is_family(name: str) -> bool:
    """Whether a name stands for several: `*` is any signs, `?` is one."""
    return "*" in name or "?" in name


def family(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern matches, in any case, sorted."""
    escaped = pattern.lower().replace("[", "[[]")
    return sorted({name for name in names if fnmatch.fnmatchcase(name.lower(), escaped)})


def tasks_labelled(llms: Sequence[str], sets: Sequence[LabelSetRef], prompting: Collection[str]) -> list[str]:
    """The tasks that the named LLMs have labels for, sorted; for an ensemble, two of its members at least.

    Raises UsageError for a name that no labeller has.
    """
    known = {ref.labeller for ref in sets}
    found: set[str] = set()
    for selector in llms:
        if selector == "all":
            return sorted({ref.task for ref in sets if ref.prompting in prompting})
        ensemble = ENSEMBLE.fullmatch(selector)
        by_task = defaultdict(set)
        for text in split_list(ensemble[2]) if ensemble and ensemble[2].strip() else [selector]:
            name, exact = unquoted(text)
            base, wanted = (name, None) if exact or name in known else without_prompting(name)
            named = family(base, known) if is_family(base) and not exact else [labeller_named(base, known)]
            if not named:
                raise no_such_family(base, known)
            for ref in sets:
                if ref.labeller in named and ref.prompting in ((wanted,) if wanted else prompting):
                    by_task[ref.task].add((ref.labeller, wanted))  # one LLM asked in two ways is two members
        found |= {task for task, members in by_task.items() if len(members) >= (2 if ensemble else 1)}
    return sorted(found)


def no_such_family(pattern: str, known: Collection[str]) -> UsageError:
    """The error for a pattern that matches nothing, with names like it."""
    close = nearest(pattern.strip("*?"), known)
    return UsageError(f"{unknown('llm', pattern, known)}" if close else f"no llm is named like '{pattern}'")
