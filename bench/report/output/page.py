"""One self-contained HTML page: no network, every text escaped, every number led back to its cells."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.report import words
from bench.report.figures.collect import Plan
from bench.report.frame import Results
from bench.report.gaps import Gap
from bench.report.output.cards import grouped
from bench.report.tables.base import table_kinds
from bench.report.tables.blocks import Block
from bench.report.tables.entries import BOLD_TEXT, RULE_TEXT
from bench.report.tables.model import APART, Table, parts

if TYPE_CHECKING:
    from markupsafe import Markup

TITLE = "Noisy-label benchmark"
FIRST = "kinds"
"""The kind of the figure that stands beside the answers."""

LONGEST = 600
"""Characters of a text that pages show."""
TEMPLATES = Path(__file__).parent / "templates"

COLOURS = {"#1b1f24": "var(--ink)", "#d8dde3": "var(--line)", "#ffffff": "var(--panel)"}
"""Colours of the figures' style file that follow the page's light or dark mode."""

FIGURE_KINDS = {
    FIRST: "gain by kind of noise",
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
SHARED_FIELDS = ("status", "task", "noise", "method_label", "setup", "reason", "texts")
"""Fields with few different values: the page stores each value once."""


@dataclass(frozen=True)
class Page:
    """What the page shows beside the tables and figures."""

    results: Results
    blocks: Sequence[Block]
    gaps: Sequence[Gap]
    answers: Sequence[tuple[str, Sequence[words.Answer]]]  # by set-up: the lines that stand first
    lead: Sequence[str]  # further sentences at the top
    rule: str
    texts: Mapping[tuple[str, str, str], str] = field(default_factory=dict)  # set-up, task, noise -> link to its texts


def environment():
    """The Jinja environment of the pages: every text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters["groupby_apart"] = lambda rows: [
        (apart, found)
        for apart in ("", *APART)
        if (found := [row for row in rows if (row.kind if row.kind in APART else "") == apart])
    ]
    made.filters["prose"] = prose
    made.filters["cut"] = lambda text: text if len(text) <= LONGEST else text[:LONGEST] + "…"
    made.globals["style"] = asset("page.css")
    return made


def prose(text: str) -> Markup:
    """A sentence for a page: what stands in backticks as code, and no line break between a sign and its number."""
    from markupsafe import Markup, escape

    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"(&[lg]t;) (?=\d)", "\\1\u00a0", coded))


def asset(name: str) -> Markup:
    """A style sheet or script of the pages."""
    from markupsafe import Markup

    return Markup((TEMPLATES / name).read_text("utf-8").strip())


def html_page(page: Page, tables: Sequence[Table], figures: Sequence[tuple[Plan, bytes]]) -> str:
    """The page as text. `figures` are plans with their SVG."""
    from markupsafe import Markup

    results, script = page.results, asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    position = {cell: index for index, cell in enumerate(results.cells["cell"])}
    drawn = [
        (plan, Markup(inline_svg(svg.decode(), f"f{index}-", plan.title))) for index, (plan, svg) in enumerate(figures)
    ]
    main, groups = grouped(tables)
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=TITLE,
            script=script,
            script_digest=digest,
            count=words.count_sentence(results),
            answers=page.answers,
            lead=page.lead,
            said_once=(RULE_TEXT[page.rule], BOLD_TEXT),
            setups=[block.setup for block in page.blocks],
            tasks=sorted({task for block in page.blocks for task in block.tasks()}),
            noises=list(dict.fromkeys(noise for block in page.blocks for noise in block.noises())),
            kinds=_kinds([*(table.kind for table in tables), *(plan.kind for plan, _ in drawn if plan.kind != FIRST)]),
            main=main,
            groups=groups,
            first_figures={plan.setup: (plan, svg) for plan, svg in drawn if plan.kind == FIRST},
            figures=[(plan, svg) for plan, svg in drawn if not plan.task and plan.kind != FIRST],
            by_task={
                task: [(plan, svg) for plan, svg in drawn if plan.task == task]
                for task in dict.fromkeys(plan.task for plan, _ in drawn if plan.task)
            },
            gaps=page.gaps,
            notes=results.notes,
            damaged=[(_below(each.path, results.folder), each.why) for each in results.damaged],
            parts=parts,
            natural=natural_width,
            indices=lambda cells: " ".join(str(position[cell]) for cell in cells),
            data=_cell_data(page),
            texts_link=lambda setup, head: page.texts.get((setup, head.task, head.noise), ""),
            texts_page=next(iter(page.texts.values()), "").partition("#")[0],
        )
    )


def _kinds(found: list[str]) -> dict[str, str]:
    """What the page can be narrowed to: kinds of tables and figures that it has, as people call them."""
    titles = kind_titles()
    return {kind: titles.get(kind, kind) for kind in sorted(dict.fromkeys(found), key=lambda kind: kind not in titles)}


def kind_titles() -> dict[str, str]:
    """What the page calls every kind of table and figure; a figure of a table's kind is called like it."""
    return table_kinds() | FIGURE_KINDS


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _cell_data(page: Page) -> dict[str, Any]:
    """The cells for the page's script: columns of equal length; shared fields as positions in `values`."""
    cells = page.results.cells
    data: dict[str, Any] = {"values": {}}
    columns = {name: [None if value != value else value for value in cells[name].tolist()] for name in CELL_FIELDS}
    places = zip(*(columns[name] for name in ("setup", "task", "noise")), strict=True)
    columns["texts"] = [page.texts.get(place, "") for place in places]
    for name, column in columns.items():
        if name in SHARED_FIELDS:
            values = {value: index for index, value in enumerate(dict.fromkeys(column))}
            data["values"][name] = list(values)
            column = [values[value] for value in column]
        data[name] = column
    for metric in ("accuracy", "ece"):
        column = (100 * cells[f"{metric}_{page.rule}"]).round(2).tolist()
        data[metric] = [None if value != value else value for value in column]
    return data


def inline_svg(svg: str, prefix: str, label: str) -> str:
    """A matplotlib SVG for use inside the page: unique ids, colours of the page, no fixed size, a label.

    Comments are removed: matplotlib repeats the drawn texts in them.
    """
    from markupsafe import escape

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'(<g id="patch_\d+">\s*<path [^>]*style="fill: )#ffffff', r"\1none", body)  # the card shows through
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


def natural_width(svg: str) -> str:
    """The width that `inline_svg` gave a figure, in pixels."""
    return svg.partition("--natural: ")[2].partition('"')[0]
