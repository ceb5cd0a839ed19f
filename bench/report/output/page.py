"""One self-contained HTML page: no network, every text escaped, every number led back to its cells."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.report import words
from bench.report.figures.collect import Plan
from bench.report.frame import Results
from bench.report.gaps import Gap
from bench.report.tables.base import table_kinds
from bench.report.tables.blocks import Block
from bench.report.tables.entries import BOLD_TEXT, RULE_TEXT
from bench.report.tables.model import Table, parts

TEMPLATES = Path(__file__).parent / "templates"

COLOURS = {"#1b1f24": "var(--ink)", "#d8dde3": "var(--line)", "#ffffff": "var(--panel)"}
"""Colours of the figures' style file that follow the page's light or dark mode."""

FIGURE_KINDS = {
    "pareto": "accuracy against cost",
    "improvement": "gain by noise rate",
    "reliability": "reliability",
    "memorisation": "memorisation",
    "confusion": "noisy labels",
    "embedding": "map of the texts",
    "sidyp": "inside SiDyP",
    "against": "published numbers",
}
"""Kinds of figures, and of the tables of published numbers, by the names that the page shows; see `kind_titles`."""

CELL_FIELDS = ("cell", "status", "task", "noise", "method_label", "setup", "seed", "record", "command", "reason")
SHARED_FIELDS = ("status", "task", "noise", "method_label", "setup", "reason")
"""Fields with few different values: the page stores each value once."""


def html_page(
    results: Results,
    blocks: Sequence[Block],
    tables: Sequence[Table],
    figures: Sequence[tuple[Plan, bytes]],
    gaps: Sequence[Gap],
    lead: Sequence[str],
    rule: str,
    out: Path,
) -> str:
    """The page as text. `figures` are plans with their SVG; record links are relative to `out`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["groupby_reference"] = lambda rows: [
        (reference, [row for row in rows if (row.kind == "reference") == reference])
        for reference in (False, True)
        if any((row.kind == "reference") == reference for row in rows)
    ]
    script = (TEMPLATES / "page.js").read_text("utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    position = {cell: index for index, cell in enumerate(results.cells["cell"])}
    return environment.get_template("page.html.j2").render(
        title="Noisy-label benchmark",
        style=Markup((TEMPLATES / "page.css").read_text("utf-8")),
        script=Markup(script),
        script_digest=digest,
        lead=lead,
        said_once=(RULE_TEXT[rule], BOLD_TEXT),
        tiles=words.counts(results),
        setups=[block.setup for block in blocks],
        tasks=sorted({task for block in blocks for task in block.tasks()}),
        noises=list(dict.fromkeys(noise for block in blocks for noise in block.noises())),
        kinds=_kinds(tables, figures),
        tables=[(table, _anchor(table.name)) for table in tables],
        figures=[
            (plan, Markup(inline_svg(svg.decode(), f"f{index}-", plan.title)))
            for index, (plan, svg) in enumerate(figures)
        ],
        gaps=gaps,
        notes=results.notes,
        damaged=[(_below(each.path, results.folder), each.why) for each in results.damaged],
        parts=parts,
        indices=lambda cells: " ".join(str(position[cell]) for cell in cells),
        data=_cell_data(results, rule),
        record_base=_record_base(results.folder, out),
    )


def _kinds(tables: Sequence[Table], figures: Sequence[tuple[Plan, bytes]]) -> dict[str, str]:
    """What the page can be narrowed to: kinds of tables and figures that it has, as people call them."""
    found = [table.kind for table in tables] + [plan.kind for plan, _ in figures]
    titles = kind_titles()
    return {
        kind: titles.get(kind, kind)
        for kind in sorted(set(found), key=lambda kind: (kind not in titles, found.index(kind)))
    }


def kind_titles() -> dict[str, str]:
    """What the page calls every kind of table and figure; a figure of a table's kind is called like it."""
    return table_kinds() | FIGURE_KINDS


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _record_base(folder: Path, out: Path) -> str:
    """The relative URL of the results folder as seen from the page; empty if it has none (another drive)."""
    try:
        relative = os.path.relpath(folder, out)
    except ValueError:
        return ""
    return quote(Path(relative).as_posix(), safe="/.") + "/"


def _anchor(name: str) -> str:
    return "t-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _cell_data(results: Results, rule: str) -> dict[str, Any]:
    """The cells for the page's script: columns of equal length; shared fields as positions in `values`."""
    data: dict[str, Any] = {"values": {}}
    for name in CELL_FIELDS:
        column = [None if value != value else value for value in results.cells[name].tolist()]
        if name in SHARED_FIELDS:
            values = {value: index for index, value in enumerate(dict.fromkeys(column))}
            data["values"][name] = list(values)
            column = [values[value] for value in column]
        data[name] = column
    for metric in ("accuracy", "ece"):
        column = (100 * results.cells[f"{metric}_{rule}"]).round(2).tolist()
        data[metric] = [None if value != value else value for value in column]
    return data


def inline_svg(svg: str, prefix: str, label: str) -> str:
    """A matplotlib SVG for use inside the page: unique ids, colours of the page, no fixed size, a label.

    Comments are removed: matplotlib repeats the drawn texts in them.
    """
    from markupsafe import escape

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', body)
    body = re.sub(r'(href="#|url\(#)', rf"\1{prefix}", body)
    for colour, variable in COLOURS.items():
        body = body.replace(colour, variable)
    opening, rest = body.split(">", 1)
    points = re.search(r'\bwidth="([\d.]+)pt"', opening)
    assert points is not None  # as matplotlib writes it
    width = float(points.group(1)) * 4 / 3
    opening = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    size = f'style="--natural: {width:.0f}px" role="img" aria-label="{escape(label)}"'
    return f"<svg {size}{opening.removeprefix('<svg')}>{rest}"
