"""Tables in a terminal: nothing is cut; what is too wide comes in parts."""

import dataclasses

from rich.console import Console

from bench.report.build import build_report
from bench.report.frame import load
from bench.report.output.console import in_parts, main_table, rich_table
from bench.report.tables.model import Entry, Head, Row, Table
from tests.factories import cell_key, write_done


def wide(columns):
    heads = tuple(Head(f"sn@0.{index}", below="noise 30.0 %") for index in range(columns))
    entries = tuple(Entry("value", mean=70 + index, half=1.5, n=3) for index in range(columns))
    rows = (Row("plain", "baseline", entries), Row("labeller itself (test)", "reference", entries))
    return Table("t", "Accuracy (%)", "accuracy", "s", "", heads, rows, seeds=3)


def test_a_wide_table_comes_in_parts_that_fit_and_together_hold_every_column():
    table = wide(9)
    found = in_parts(table, 80)
    assert len(found) > 1
    assert [head for part in found for head in part.heads] == list(table.heads)
    console = Console(width=80)
    with console.capture() as text:
        for part in found:
            console.print(rich_table(part, 80))
    lines = text.get().splitlines()
    assert max(map(len, lines)) <= 80
    for index in range(9):
        assert sum(f"{70 + index}.0 ± 1.5" in line for line in lines) == 2
    assert sum("(continued)" in line for line in lines) == len(found) - 1


def test_every_entry_is_whole_in_a_terminal_of_any_width():
    """Names of rows and columns may be broken, numbers not: half of one looks like another."""
    heads = [Head(name, below="noise 30.0 % (0.1 % no answer)") for name in ("last", "instance-dependent@0.4", "all")]
    heads += [Head(f"{group}\n{name}") for group in ("LLM labels", "injected noise") for name in ("last step", "+es")]
    labels = "plain", "gold[rows=1000]", "sidyp[mode=paper,width=full]", "labeller itself (test)"
    rows, texts = [], []
    for at, label in enumerate(labels):
        means = [10 + 10 * at + index for index in range(len(heads))]
        entries = [Entry("value", mean=mean, half=12.5, n=3) for mean in means]
        entries[at] = dataclasses.replace(entries[at], limits=(means[at] - 5, means[at] + 5))
        rows.append(Row(label, "method", tuple(entries)))
        texts += [f"{mean}.0 ({mean - 5}.0 to {mean + 5}.0)" if k == at else f"{mean}.0 ± 12.5"
                  for k, mean in enumerate(means)]  # fmt: skip
    table = Table("t", "Accuracy (%)", "accuracy", "s", "", tuple(heads), tuple(rows), seeds=3)
    for width in range(40, 131):
        console = Console(width=width)
        with console.capture() as text:
            for part in in_parts(table, width):
                console.print(rich_table(part, width))
        assert not [each for each in texts if text.get().count(each) != 1], width
        if width > 50:  # else the longest word of a name and a number have no room beside each other
            assert all(word in text.get() for label in labels for word in label.split()), width


def test_signs_that_a_terminal_obeys_are_shown_and_not_sent(tmp_path):
    """A column of labels may be called anything; figures are XML, which may not hold such signs either."""
    for method in ("plain", "gce"):
        write_done(tmp_path, cell_key(task="my\x1b[2Jtask", noise="gpt\x1b[31m\u202e4", method=method))
    console = Console(width=200, force_terminal=False)
    with console.capture() as text:
        console.print(main_table(load(tmp_path)))
    assert "gpt\\x1b[31m\\u202e4" in text.get()
    assert "\x1b" not in text.get()
    build_report(tmp_path, tmp_path / "report", formats=("md", "html"))
    for path in (tmp_path / "report").rglob("*.*"):
        if path.suffix in (".md", ".html", ".svg"):
            assert "\x1b" not in path.read_text("utf-8"), path


def test_a_table_that_fits_is_one_part_and_so_is_one_without_a_limit():
    assert [part.heads for part in in_parts(wide(3), 80)] == [wide(3).heads]
    assert len(in_parts(wide(30), None)) == 1
