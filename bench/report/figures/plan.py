"""A figure that can be drawn, before anything of it is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.files import slug
from bench.core.texts import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plan:
    """A figure that can be drawn: nothing is computed before `draw()`."""

    name: str  # safe as a file name
    kind: str  # ranks, improvement, pareto, accuracy, ece, kinds, reliability, memorisation, confusion
    task: str  # "" = over all tasks
    setup: str  # "" = of all set-ups
    title: str
    caption: str
    draw: Callable[[], Figure]


def make_plan(
    kind: str, what: str, caption: str, draw: Callable[[], Figure], task: str = "", setup: str = "", suffix: str = ""
) -> Plan:
    """A plan named by its kind, suffix, task and set-up; its title, which a figure without one gets, says `what`."""

    def titled() -> Figure:
        figure = draw()
        if not figure.get_suptitle():
            title = _title(short(what, 60), short(task), short(setup, 60))
            figure.suptitle(title, x=0.01, ha="left", wrap=True)
        return figure

    name = slug("-".join(filter(None, (kind, suffix, task, setup))))
    return Plan(name, kind, task, setup, _title(what, task, setup), caption, titled)


def _title(what: str, task: str, setup: str) -> str:
    where = ", ".join(filter(None, (task, setup)))
    return f"{what}{' ' if what.endswith('?') else ': '}{where}" if where else what


def short(text: str, length: int = 26) -> str:
    """`text` in one line of printable characters, cut to `length`."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= length else text[: length - 1] + "…"


def not_shown(names: list[str]) -> str:
    """A sentence on what a figure leaves out; empty for nothing."""
    return f" Not shown for lack of room: {', '.join(names)}." if names else ""
