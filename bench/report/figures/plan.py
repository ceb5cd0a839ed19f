"""A figure that can be drawn, before anything of it is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.files import slug

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
    kind: str, task: str, setup: str, title: str, caption: str, draw: Callable[[], Figure], suffix: str = ""
) -> Plan:
    """A plan named by its kind, suffix, task and set-up."""
    name = slug("-".join(part for part in (kind, suffix, task, setup) if part))
    return Plan(name, kind, task, setup, title, caption, draw)


def not_shown(names: list[str]) -> str:
    """A sentence on what a figure leaves out; empty for nothing."""
    return f" Not shown for lack of room: {', '.join(names)}." if names else ""
