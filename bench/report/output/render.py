"""Tables as Markdown, LaTeX (booktabs) and CSV. Every text from data is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.core.spreadsheet import csv_bytes
from bench.report.tables.model import APART, Entry, Row, Table, parts

LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "→": r"$\to$",
}


def escape_latex(text: str) -> str:
    """`text` for LaTeX; characters beyond extended Latin become `[U+4E2D]`, so that any engine compiles it."""
    return "".join(map(_latex_character, re.sub(r"\s+", " ", text)))


def _latex_character(character: str) -> str:
    if character in LATEX:
        return LATEX[character]
    if " " <= character <= "~" or "À" <= character <= "ž":
        return character
    return f"{{[}}U+{ord(character):04X}{{]}}"


def escape_markdown(text: str) -> str:
    """`text` for GitHub Markdown, inside or outside of a table: no markup, no HTML, one line."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", re.sub(r"\s+", " ", text))


def markdown_table(table: Table) -> str:
    """One table with its title and caption."""
    grouped = len({head.group for head in table.heads} - {""}) > 1
    heads = [escape_markdown(table.first)]
    for head in table.heads:
        lines = [head.group if grouped else "", head.name, f"({head.below})" if head.below else ""]
        heads.append("<br>".join(escape_markdown(line) for line in lines if line))
    lines = [f"### {escape_markdown(table.title)}", "", _pipe(heads), _pipe([":--"] + ["--:"] * len(table.heads))]
    for row in table.rows:
        label = escape_markdown(row.label)
        label = f"*{label}*" if row.kind in APART else label
        lines.append(_pipe([label, *(_markdown_entry(entry, table) for entry in row.entries)]))
    return "\n".join([*lines, "", escape_markdown(" ".join(table.caption)), ""])


def _pipe(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _markdown_entry(entry: Entry, table: Table) -> str:
    mean, half, few = (escape_markdown(part) for part in parts(entry, table))
    return " ".join(part for part in (f"**{mean}**" if entry.best else mean, half, few) if part)


def latex_table(table: Table) -> str:
    """The bare tabular; needs the package booktabs."""
    width = len(table.heads)
    lines = [rf"\begin{{tabular}}{{l{'r' * width}}}", r"\toprule"]
    if any(head.group for head in table.heads):
        lines += _latex_groups(table)
    lines.append(_latex_row([escape_latex(table.first), *(escape_latex(head.name) for head in table.heads)]))
    if any(head.below for head in table.heads):
        below = [rf"{{\scriptsize {escape_latex(head.below)}}}" if head.below else "" for head in table.heads]
        lines.append(_latex_row(["", *below]))
    for position, (kind, rows) in enumerate(groupby(table.rows, key=lambda row: row.kind in APART and row.kind)):
        lines.append(r"\midrule")
        lines += [_latex_body(row, table, italic=bool(kind) and position > 0) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_groups(table: Table) -> list[str]:
    cells, rules, column = [""], [], 2
    for group, heads in groupby(table.heads, key=lambda head: head.group):
        span = len(list(heads))
        cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(group)}}}" if group else " & " * (span - 1))
        if group:
            rules.append(rf"\cmidrule(lr){{{column}-{column + span - 1}}}")
        column += span
    return [_latex_row(cells), " ".join(rules)]


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_body(row: Row, table: Table, italic: bool) -> str:
    label = escape_latex(row.label)
    return _latex_row([rf"\textit{{{label}}}" if italic else label, *(_latex_entry(e, table) for e in row.entries)])


def _latex_entry(entry: Entry, table: Table) -> str:
    mean, half, few = (escape_latex(part) for part in parts(entry, table))
    if entry.state not in ("value", "empty"):
        mean = rf"{{\scriptsize {mean}}}"
    texts = [rf"\textbf{{{mean}}}" if entry.best else mean]
    texts += [rf"{{\scriptsize {part}}}" for part in (half, few) if part]
    return " ".join(texts)


LATEX_HEAD = r"""\documentclass[a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage[landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\setlength{\parindent}{0pt}
\newcommand{\fit}[1]{\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{#1}}
\begin{document}
"""


def latex_document(title: str, lead: list[str], tables: list[Table], sections: list[tuple[str, list[str]]]) -> str:
    """A complete document with every table and with lists of sentences; compiles with pdflatex and tectonic."""
    pieces = [LATEX_HEAD, rf"\section*{{{escape_latex(title)}}}", ""]
    pieces += [rf"{escape_latex(sentence)}\par\smallskip" for sentence in lead]
    for table in tables:
        pieces += [rf"\subsection*{{{escape_latex(table.title)}}}", r"\nopagebreak", r"\fit{%"]
        pieces += [latex_table(table).rstrip() + "}", "", r"\smallskip"]
        pieces += [rf"{{\small {escape_latex(' '.join(table.caption))}\par}}", r"\bigskip", ""]
    for heading, sentences in sections:
        if sentences:
            pieces += [rf"\subsection*{{{escape_latex(heading)}}}", r"\begin{itemize}\raggedright"]
            pieces += [rf"\item {escape_latex(sentence)}" for sentence in sentences]
            pieces += [r"\end{itemize}", ""]
    return "\n".join([*pieces, r"\end{document}", ""])


CSV_COLUMNS = ("row", "kind", "group", "column", "below", "state", "mean", "half_width_95", "seeds", "best", "note")


def csv_table(table: Table) -> str:
    """One line per entry (`CSV_COLUMNS`), full precision, in the unit of the table."""
    return csv_text(CSV_COLUMNS, (
        (row.label, row.kind, head.group, head.name, head.below, entry.state, entry.mean, entry.half, entry.n or "",
         int(entry.best), entry.note or entry.text)
        for row in table.rows
        for head, entry in zip(table.heads, row.entries, strict=True)
    ))  # fmt: skip


def csv_text(columns: Sequence[str], rows: Iterable[tuple]) -> str:
    """CSV with a line of names, safe to open in a spreadsheet; NaN is empty."""
    values = [["" if value != value else value for value in row] for row in rows]
    return csv_bytes({name: [row[k] for row in values] for k, name in enumerate(columns)}).decode()


def markdown_document(
    title: str, lead: list[str], tables: list[Table], sections: list[tuple[str, list[str]]], figures: list[tuple]
) -> str:
    """The whole report: title, lead sentences, tables, figures as (title, relative path, caption), lists."""
    lines = [f"# {escape_markdown(title)}", "", *(f"{escape_markdown(sentence)}\n" for sentence in lead)]
    lines += [markdown_table(table) for table in tables]
    for name, path, caption in figures:
        text = escape_markdown(name)
        lines += [f"### {text}", "", f"![{text}]({path})", "", escape_markdown(caption), ""]
    for heading, sentences in sections:
        if sentences:
            lines += [f"## {escape_markdown(heading)}", "", *(f"- {escape_markdown(each)}" for each in sentences), ""]
    return "\n".join(lines)
