"""Regenerate everything that a report consists of from the records alone. torch is never imported."""

from __future__ import annotations

import dataclasses
import functools
import gc
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import UsageError
from bench.core.files import slug
from bench.core.spreadsheet import frame_csv
from bench.report import words
from bench.report.drawn import FIGURE_FILES, Drawn, draw
from bench.report.frame import Results, load
from bench.report.gaps import find_gaps, gap_sentences
from bench.report.output import render
from bench.report.output.folder import write_report
from bench.report.output.page import TITLE, Page, html_page
from bench.report.output.text_page import NAME as TEXTS
from bench.report.output.text_page import text_page
from bench.report.places import portable
from bench.report.tables.against import against_sentences, against_tables
from bench.report.tables.base import Context, ReportTable, problem, report_tables
from bench.report.tables.blocks import Block, blocks, check_baseline
from bench.report.tables.bootstrap import MOST_CELLS, RULES, draws_of, too_many
from bench.report.tables.doubts import doubt_sentences
from bench.report.tables.headlines import headlines
from bench.report.tables.model import Table, pick
from bench.report.tables.published_numbers import read_published
from bench.report.tables.worth import worth_sentences
from bench.report.tables.yardstick import Yardstick

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("md", "latex", "csv", "html", "figures", "texts")
"""What can be asked for; `cells.parquet` and `cells.csv` are always written. `texts`: a page that the one
of `html` links to; it writes both."""


@dataclass(frozen=True)
class ReportSummary:
    """What a report was made from and what was written.

    Attributes
    ----------
    out, files : Path, list of Path
        The folder that was written, and every file in it.
    sentences : list of str
        The report in words.
    results : Results
        What was read; its `notes` say what a reader must know.
    """

    out: Path
    files: list[Path] = field(repr=False)
    sentences: list[str]
    results: Results = field(repr=False)

    @property
    def page(self) -> Path | None:
        """The HTML page, if it was written."""
        return next((path for path in self.files if path.name == "index.html"), None)


def build_report(
    results: Path,
    out: Path,
    *,
    formats: Collection[str] = FORMATS,
    baseline: str = "plain",
    rule: str = "last",
    against: str | None = None,
    full: bool = False,
    data_dir: Path | None = None,
) -> ReportSummary:
    """Write tables, figures, the page and the tidy cells below `out`.

    Parameters
    ----------
    results : Path
        A results folder, or a pack of one.
    out : Path
        The folder to write.
    formats : collection of str
        Some of `FORMATS`. Figures are drawn for the formats that show them (`html`, `md`) or for `figures`.
    baseline : str
        The method that differences are taken to.
    rule : str
        `last` or `noisy_valid`: the step whose scores count.
    against : str or None
        Published numbers to stand beside ours: `paper`, or a YAML file.
    full : bool
        Whether a report of very many cells also makes what is slow; else it says what it leaves out.
    data_dir : Path or None
        Where the data of known tasks lie, for the page of texts; None: `BENCH_DATA_DIR`, or the folder that the
        records' commands name.

    Returns
    -------
    ReportSummary

    Raises
    ------
    UsageError
        Before anything is written: for an unknown format, rule, baseline or set of published numbers, a folder without
        results, or records of a newer schema.
    """
    _check(formats, rule)
    formats = {*formats, "html"} if "texts" in formats else formats
    published = None if against is None else read_published(against)
    read = _portable(load(results))
    gc.freeze()  # the records stay until the end, and a collection (statsmodels asks for some) would walk over them all
    try:
        return _build(read, out, formats, baseline, rule, published, full, data_dir)
    finally:
        gc.unfreeze()


def _portable(read: Results) -> Results:
    """Results whose commands, reasons and notes name no folder of this machine: a report may be passed on."""
    texts = {name: read.cells[name].map(portable, na_action="ignore") for name in ("command", "reason")}
    damaged = [dataclasses.replace(each, why=portable(each.why)) for each in read.damaged]
    return dataclasses.replace(read, cells=read.cells.assign(**texts), damaged=damaged)


def _build(
    read: Results, out: Path, formats, baseline: str, rule: str, published, full: bool, data_dir
) -> ReportSummary:
    named = check_baseline(read.cells, baseline)
    parts = blocks(read.cells, named)
    notes = list(read.notes)
    if too_many(read, full) and FIGURE_FILES.keys() & set(formats):
        notes.append(
            f"With {MOST_CELLS:,} cells or more, only the figures over all columns are drawn, and the bootstrap is "
            "left out: `bench report --full` makes everything."
        )
    if named is None:
        notes.append(
            f"No method named '{baseline}' is among the results, so the tables show no differences from a baseline."
        )
    read = dataclasses.replace(read, notes=notes)
    tables = all_tables(read, parts, rule, full=full)
    if published is not None:
        tables += against_tables(read, parts, published, rule)
    gaps = find_gaps(read.cells, parts)
    scored = [block for block in parts if block.columns]
    found = {block.setup: headlines(read, block, rule, full) for block in scored}
    said = {block.setup: words.answer_sentences(block, found[block.setup], len(scored) > 1) for block in scored}
    more = [
        *worth_sentences((Yardstick(read, block.by(rule), rule) for block in parts), tables),
        *doubt_sentences(read.cells, parts, rule),
    ]
    more += [sentence] if (sentence := words.unscored_sentence(read)) else []
    if published is not None:
        more += against_sentences(read, parts, published, rule)
    lead = [words.count_sentence(read), *chain.from_iterable(said.values()), *more]
    drawn = draw(read, parts, rule, formats, full)
    texts, links = "", dict[tuple[str, str, str], str]()
    if "texts" in formats:
        texts, links = text_page(read, parts, rule, data_dir)
    shown = [(setup, [words.answer(each) for each in some]) for setup, some in found.items() if some]
    unshown = chain.from_iterable(said[setup] for setup, some in found.items() if not some)
    page = Page(read, parts, gaps, shown, [*unshown, *more], rule, links)
    files = _files(page, tables, drawn, lead, formats) | ({TEXTS: texts.encode()} if texts else {})
    write_report(out, files)
    return ReportSummary(out, [out / name for name in files], lead, read)


def _check(formats: Collection[str], rule: str) -> None:
    if isinstance(formats, str) or not formats:
        raise UsageError(f"formats must be a list of {', '.join(FORMATS)}, not {formats!r}")
    for name in formats:
        pick("report format", name, FORMATS)
    check_rule(rule)


def check_rule(rule: str) -> None:
    """Raises UsageError for an unknown rule, and for the one that selects on the test set."""
    if rule == "oracle_best":
        raise UsageError(
            "rule 'oracle_best' selects on the test set and is never a result: use last or noisy_valid "
            "(the selection table shows all three side by side)"
        )
    pick("selection rule", rule, RULES)


def all_tables(read: Results, parts: Sequence[Block], rule: str, *, full: bool) -> list[Table]:
    """Every table of a report, by set-up: those of all registered classes in their order.

    One of another package that fails, or that a report cannot show, is left out with a note in `read`.
    """
    made: list[Table] = []
    for block in parts:
        if not block.columns:
            continue
        draws = functools.partial(draws_of, read, block, full)
        context = Context(read, block.by(rule), rule, full, draws)
        for cls in report_tables():
            if cls.__module__.startswith("bench."):
                made += [table for table in cls().make(context) if table is not None]
            else:
                made += _of_others(cls, context, {table.name for table in made})
    return made


def _of_others(cls: type[ReportTable], context: Context, names: set[str]) -> list[Table]:
    """The tables of another package's class: its fault must not take the report away."""
    found: list[Table] = []
    try:
        for table in cls().make(context):
            if table is not None:
                if why := problem(table, names | {each.name for each in found}):
                    raise ValueError(why)
                found.append(table)
    except Exception as error:
        what = f"Report table '{cls.name}' of {cls.__module__} is left out for {context.block.setup}"
        context.read.notes.append(f"{what}: {type(error).__name__}: {error}")
        return []
    return found


def _files(
    page: Page, tables: Sequence[Table], drawn: Sequence[Drawn], lead: list[str], formats: Collection[str]
) -> dict[str, bytes]:
    """The content of every file by its path below the report folder; the page last."""
    read = page.results
    files = _tidy_files(read.cells)
    wanted = FIGURE_FILES["figures"] if "figures" in formats else FIGURE_FILES["md"] if "md" in formats else ()
    for plan, made in drawn:
        files |= {f"figures/{plan.name}.{suffix}": made[suffix] for suffix in wanted}
    sections = [
        ("What is missing, and why", gap_sentences(page.gaps)),
        ("Notes", [*read.notes, *(f"Left out: {each.path.name}: {each.why}" for each in read.damaged)]),
    ]
    if "csv" in formats:
        files |= {f"tables/{slug(table.name)}.csv": render.csv_table(table).encode() for table in tables}
    if "latex" in formats:
        files |= {f"tables/{slug(table.name)}.tex": render.latex_table(table).encode() for table in tables}
        files["report.tex"] = render.latex_document(TITLE, lead, list(tables), sections).encode()
    if "md" in formats:
        shown = [(plan.title, f"figures/{plan.name}.png", plan.caption) for plan, _ in drawn]
        files["report.md"] = render.markdown_document(TITLE, lead, list(tables), sections, shown).encode()
    if "html" in formats:
        vector = [(plan, made["svg"]) for plan, made in drawn]
        files["index.html"] = html_page(page, tables, vector).encode()
    return files


def _tidy_files(cells: pd.DataFrame) -> dict[str, bytes]:
    buffer = io.BytesIO()
    cells.to_parquet(buffer, index=False)
    return {"cells.parquet": buffer.getvalue(), "cells.csv": frame_csv(cells)}
