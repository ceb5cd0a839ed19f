"""Markdown, LaTeX and CSV of tables, with every text from data escaped."""

import csv
import io
import re
import shutil
import subprocess

import pytest

from bench.report.output import render
from bench.report.tables.blocks import blocks
from bench.report.tables.model import Entry, Head, Row, Table, number, parts
from bench.report.tables.result import result_table

HOSTILE = "a\\b{c}$d$&#%_^~<script>alert(1)</script>|`x`'\"[y](http://z)*!*\n\\end{document} 中 é ±"


def hostile_table():
    entry = Entry("value", 81.25, 1.5, 3, best=True)
    return Table(
        "n", HOSTILE, "accuracy", "s", "t",
        (Head(HOSTILE, group=HOSTILE, below=HOSTILE), Head("average")),
        (Row(HOSTILE, "method", (entry, Entry("text", text=HOSTILE))), Row("o", "reference", (entry, Entry("failed")))),
        caption=(HOSTILE,),
        seeds=3,
    )  # fmt: skip


def test_numbers_have_a_true_minus_and_no_negative_zero():
    assert number(-1.26, 1) == "−1.3"
    assert number(-0.04, 1) == "0.0"
    assert number(-0.04, 1, signed=True) == "0.0"
    assert number(2, 1, signed=True) == "+2.0"


def test_fewer_seeds_than_usual_are_marked():
    table = hostile_table()
    assert parts(Entry("value", 50, 2, 2), table) == ("50.0", "± 2.0", "(n=2)")
    assert parts(Entry("value", 50, n=1), table) == ("50.0", "", "(n=1)")
    assert parts(Entry("skipped"), table) == ("skipped", "", "")


def test_a_markdown_table_is_one_line_a_row_with_equal_columns():
    lines = [line for line in render.markdown_table(hostile_table()).splitlines() if line.startswith("|")]
    pipes = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert len(lines) == 4
    assert set(pipes) == {4}
    assert "**81.2** ± 1.5" in lines[2]


def test_markdown_has_no_live_markup_from_data():
    text = render.markdown_table(hostile_table()).replace("<br>", "")
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"(?<!\\)\[", text)
    assert not re.search(r"(?<!\\)`", text)


def test_latex_leaves_no_special_character_bare():
    text = render.escape_latex(HOSTILE)
    assert "\\end{document}" not in text
    assert not re.search(r"(?<!\\)[#%_&]", text)
    assert "{[}U+4E2D{]}" in text  # what pdflatex cannot set is named, not dropped
    assert text.isascii() or set(re.sub(r"[ -~]", "", text)) == {"é"}


def test_latex_rows_have_as_many_cells_as_columns(results):
    table = result_table(blocks(results.cells, "plain")[0], "", "accuracy", "last")
    text = render.latex_table(table)
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text).group(1))
    for line in text.splitlines():
        if line.endswith(r"\\"):
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
            assert len(re.findall(r"(?<!\\)&", line)) + 1 + spans == columns


@pytest.mark.skipif(not (shutil.which("pdflatex") or shutil.which("tectonic")), reason="no LaTeX engine is installed")
def test_the_latex_document_compiles(results, tmp_path):
    tables = [result_table(blocks(results.cells, "plain")[0], "", "accuracy", "last"), hostile_table()]
    text = render.latex_document(HOSTILE, [HOSTILE], tables, [(HOSTILE, [HOSTILE])])
    (tmp_path / "report.tex").write_text(text, "utf-8")
    engine = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    command = engine if shutil.which("pdflatex") else ["tectonic"]
    done = subprocess.run([*command, "report.tex"], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "report.pdf").stat().st_size > 5000


def test_csv_holds_every_entry_in_full_precision(results):
    table = result_table(blocks(results.cells, "plain")[0], "trec", "accuracy", "last")
    rows = list(csv.DictReader(io.StringIO(render.csv_table(table))))
    assert len(rows) == len(table.rows) * len(table.heads)
    flat = [entry for row in table.rows for entry in row.entries]
    for row, entry in zip(rows, flat, strict=True):
        assert row["state"] == entry.state
        if entry.state == "value":
            assert float(row["mean"]) == entry.mean
            assert bool(int(row["best"])) == entry.best
        else:
            assert row["mean"] == ""
