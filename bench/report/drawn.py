"""The figures of a report as files: which are drawn, in which formats, and what is left out to save time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from bench.report.figures import collect as figure_plans
from bench.report.figures.text_map import HOW_TO
from bench.report.frame import Results
from bench.report.output.page import kind_titles
from bench.report.tables.blocks import Block
from bench.report.tables.bootstrap import MOST_CELLS

FIGURE_FILES = {"html": ("svg",), "md": ("png",), "figures": ("png", "svg", "pdf")}
"""Which files of a figure a report format needs."""
MOST_PANELS = 160
"""Panels that a small report may draw; the more cells, the fewer, down to the overview from `MOST_CELLS` on."""
MAP_PANELS = 20
"""What t-SNE costs, in panels."""
DRAWN_FIRST = (
    "kinds", "worth", "ranks", "improvement", "pareto", "accuracy", "ece", "sidyp", "embedding", "reliability",
    "memorisation", "confusion", "detection",
)  # fmt: skip
Drawn = tuple[figure_plans.Plan, dict[str, bytes]]
"""A figure with its files by suffix."""


def draw(read: Results, parts: list[Block], rule: str, formats: Collection[str], full: bool) -> list[Drawn]:
    """Every figure in the file formats that are needed, the most telling kinds first, as far as is quick.

    Notes in `read` what is left out.
    """
    suffixes = {suffix for name in formats for suffix in FIGURE_FILES.get(name, ())}
    if not suffixes:
        return []
    left = MOST_PANELS - len(read.cells) * MOST_PANELS // MOST_CELLS
    made = figure_plans.plans(read, parts, rule, overview=left <= 0 and not full, full=full)
    if (left > 0 or full) and all(plan.kind != "embedding" for plan in made):
        read.notes.append(HOW_TO)
    drawn, missing = {}, defaultdict(list)
    for plan in sorted(made, key=lambda plan: DRAWN_FIRST.index(plan.kind)):
        if left <= 0 and plan.task and not full:
            missing[plan.kind].append(plan.task)
            continue
        files, panels = figure_plans.render_and_count(plan, suffixes)
        left -= panels + MAP_PANELS * (plan.kind == "embedding")
        drawn[plan.name] = (plan, files)
    if missing:
        titles = kind_titles()
        listed = "; ".join(f"{titles[kind]} ({', '.join(dict.fromkeys(tasks))})" for kind, tasks in missing.items())
        read.notes.append(f"Figures left out to save time (`bench report --full` draws them): {listed}.")
    return [drawn[plan.name] for plan in made if plan.name in drawn]
