"""How tables stand on the page: average first, rows by it, faces of one card, groups."""

import dataclasses
import math

from bench.report.output.cards import arranged, grouped
from bench.report.tables.model import Entry, Head, Row, Table


def table(name="accuracy-all-x", kind="accuracy", means=None, heads=None, higher=True, **fields):
    means = means or {"plain": (70, 60, 65), "gce": (60, 80, 70), "cr": (50, 90, math.nan), "oracle": (99, 99, 99)}
    heads = heads or (Head("weak", "trec", "", "trec", "weak"), Head("weak", "semeval", "", "semeval", "weak"))
    whole = (*heads, Head("average")) if len(next(iter(means.values()))) > len(heads) else heads
    rows = tuple(
        Row(
            label,
            "reference" if label == "oracle" else "method",
            tuple(Entry("value", mean) if mean == mean else Entry("empty") for mean in row),
        )
        for label, row in means.items()
    )
    return Table(name, name, kind, "x", "", whole, rows, higher_is_better=higher, **fields)


def test_the_average_comes_first_and_sorts_the_rows_references_stay_last():
    face = arranged(table())
    assert [head.name for head in face.table.heads] == ["average", "weak", "weak"]
    assert [row.label for row in face.table.rows] == ["gce", "plain", "cr", "oracle"]
    assert [entry.mean for entry in face.table.rows[0].entries] == [70, 60, 80]
    assert face.lead


def test_where_less_is_better_the_smallest_comes_first():
    face = arranged(table("ece-all-x", "ece", higher=False))
    assert [row.label for row in face.table.rows] == ["plain", "gce", "cr", "oracle"]


def test_where_the_first_column_is_of_differences_the_rows_go_by_the_scores():
    """The baseline has no difference from itself; the best it is here."""
    whole = table(
        means={"gce": (-2, 68), "plain": (math.nan, 70), "cr": (-1, 69)}, heads=(Head("vs plain"), Head("weak"))
    )
    rows = [
        Row(row.label, row.kind, (dataclasses.replace(row.entries[0], signed=True), row.entries[1]))
        for row in whole.rows
    ]
    face = arranged(dataclasses.replace(whole, rows=tuple(rows)))
    assert [head.name for head in face.table.heads] == ["vs plain", "weak"]
    assert [row.label for row in face.table.rows] == ["plain", "cr", "gce"]


def test_groups_of_tasks_begin_where_the_task_changes():
    face = arranged(table())
    assert [(span.name, span.width, span.lead) for span in face.spans] == [
        ("", 1, True),
        ("trec", 1, False),
        ("semeval", 1, False),
    ]
    assert face.starts == {0, 1, 2}


def test_a_table_of_averages_alone_keeps_the_first_in_sight_with_the_name_of_its_group():
    heads = (Head("last step", "LLM labels"), Head("+es", "LLM labels"), Head("last step", "all"))
    face = arranged(table(means={"plain": (1, 2, 3), "gce": (2, 1, 3)}, heads=heads))
    assert [row.label for row in face.table.rows] == ["gce", "plain"]
    assert [(span.name, span.width, span.lead) for span in face.spans] == [
        ("LLM labels", 1, True),
        ("", 1, False),
        ("all", 1, False),
    ]
    assert face.starts == {0, 2}, "nothing parts the columns under one name"


def test_a_table_without_columns_of_a_task_stays_as_it_is():
    plain = table("ranks-x", "ranks", {"b": (1.0,), "a": (2.0,)}, (Head("accuracy"),), higher=False)
    face = arranged(plain)
    assert face.table == plain
    assert not face.lead


def test_metrics_of_one_table_share_a_card_and_the_first_stands_outside_of_the_groups():
    tables = [
        table("accuracy-all-x"),
        table("ece-all-x", "ece", higher=False),
        table("accuracy-trec-x"),
        table("gain-accuracy-x", "gain"),
        table("gain-ece-x", "gain"),
        table("cost-x", "cost"),
        table("mine-x", "of another package"),
    ]
    main, groups = grouped(tables)
    assert [face.table.name for face in main.faces] == ["accuracy-all-x", "ece-all-x"]
    assert main.kinds == "accuracy ece"
    assert [(group.title, [card.first.name for card in group.cards]) for group in groups] == [
        ("Accuracy", ["accuracy-trec-x", "gain-accuracy-x"]),
        ("Cost and provenance", ["cost-x"]),
        ("Other tables", ["mine-x"]),
    ]
