"""A user's own file: what its columns mean, how it is split, and one clear error for each thing that can be wrong."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.core.errors import UsageError
from bench.data.load import load_task
from bench.data.readers.tables import read_table
from bench.data.task import SPLITS, limit_task

N = 40


def good(columns=("text", "gold", "gpt"), n: int = N) -> list[dict[str, str]]:
    """Rows of a fine file: gold alternates, the labeller is right on two of three and silent on every tenth."""
    names = ("bad", "good")
    rows = []
    for i in range(n):
        gpt = "" if i % 10 == 9 else names[(i + (i % 3 == 0)) % 2]
        row = {"text": f"text number {i}", "gold": names[i % 2], "gpt": gpt, "id": f"r{i}", "score": f"0.{i}1"}
        row["split"] = ("train", "train", "train", "dev", "test")[i % 5]
        rows.append({name: row[name] for name in columns})
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> str:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        delimiter = "," if path.suffix == ".csv" else "\t"
        lines = [delimiter.join(rows[0]), *(delimiter.join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json"])
def test_every_format_gives_the_same_task(tmp_path, ending):
    reference = load_task(write(tmp_path / "mine.csv", good()))
    task = load_task(write(tmp_path / f"mine.{ending}", good()))
    assert task.fingerprint == reference.fingerprint
    assert task.name == "mine"
    assert task.label_names == ("bad", "good")
    assert list(task.columns) == ["gpt"]


@pytest.mark.parametrize("numbers", [[""] * N, ["0", "1"] * (N // 2)], ids=["trailing comma", "pandas.concat"])
def test_a_column_without_a_name_is_not_one_of_ids(tmp_path, numbers):
    rows = [{"": number, **row} for number, row in zip(numbers, good(columns=("text", "gold", "gpt")), strict=True)]
    task = load_task(write(tmp_path / "mine.csv", rows))
    expected = load_task(write(tmp_path / "plain.csv", good(columns=("text", "gold", "gpt"))))
    assert [task.texts(split).ids for split in SPLITS] == [expected.texts(split).ids for split in SPLITS]
    assert task.fingerprint == expected.fingerprint


def test_a_limit_that_leaves_no_gold_in_a_split_leaves_it_without(tmp_path):
    rows = good(columns=("text", "gold", "gpt", "split"))
    rows = [row | {"gold": "" if row["split"] == "test" and at < N - 8 else row["gold"]} for at, row in enumerate(rows)]
    tasks = [load_task(write(tmp_path / f"mine{number}.csv", rows)) for number in range(6)]
    assert all((task.gold.test >= 0).any() for task in tasks)
    chosen = [limit_task(task, 2).gold.test for task in tasks]  # what is chosen depends on the name
    assert {gold is None for gold in chosen} == {True, False}
    assert all(gold is None or (gold >= 0).any() for gold in chosen)


def test_rows_are_split_70_10_20_and_keep_their_labels(tmp_path):
    rows = good()
    task = load_task(write(tmp_path / "mine.csv", rows))
    assert [len(task.texts(split)) for split in SPLITS] == [28, 4, 8]
    seen = [name for split in SPLITS for name in task.texts(split).ids]
    assert sorted(map(int, seen)) == list(range(N))
    for split in SPLITS:
        for at, name in enumerate(task.texts(split).ids):
            row = rows[int(name)]
            assert task.texts(split).texts[at] == row["text"]
            assert task.label_names[task.gold.of(split)[at]] == row["gold"]
            answer = task.columns["gpt"][split][at]
            assert (task.label_names[answer] if answer >= 0 else "") == row["gpt"]


def test_a_split_column_wins(tmp_path):
    task = load_task(write(tmp_path / "mine.csv", good(("text", "gold", "split"))))
    assert [len(task.texts(split)) for split in SPLITS] == [24, 8, 8]
    assert task.test.texts[0] == "text number 4"


def test_the_split_does_not_depend_on_the_files_name(tmp_path):
    first, second = (load_task(write(tmp_path / name, good())) for name in ("a.csv", "b.csv"))
    assert first.train.ids == second.train.ids


def test_every_column_of_labels_is_a_labeller_and_others_are_not(tmp_path):
    rows = [{**row, "claude": row["gold"]} for row in good(("id", "text", "gold", "gpt", "score", "split"))]
    task = load_task(write(tmp_path / "mine.csv", rows))
    assert list(task.columns) == ["gpt", "claude"]
    assert task.train.ids[0] == "r0"


def test_columns_can_be_chosen(tmp_path):
    rows = [{"body": row["text"], "truth": row["gold"], "gpt": row["gpt"], "label": row["gold"]} for row in good()]
    task = load_task(
        write(tmp_path / "mine.csv", rows), text_column="body", gold_column="truth", label_columns=["label"]
    )
    assert list(task.columns) == ["label"]
    assert task.gold.train is not None


def test_without_gold_the_labellers_make_the_label_set(tmp_path):
    task = load_task(write(tmp_path / "mine.csv", good(("text", "gpt", "score"))))
    assert task.gold.train is task.gold.valid is task.gold.test is None
    assert task.label_names == ("bad", "good")
    assert list(task.columns) == ["gpt"]


def test_gold_may_be_declined(tmp_path):
    task = load_task(write(tmp_path / "mine.csv", good()), gold_column="none", label_columns=["gpt"])
    assert task.gold.test is None


def test_gold_may_be_known_for_test_alone(tmp_path):
    rows = [{**row, "gold": row["gold"] if i % 5 == 4 else ""} for i, row in enumerate(good(("text", "gold", "split")))]
    task = load_task(write(tmp_path / "mine.csv", rows))
    assert task.gold.train is task.gold.valid is None
    assert task.gold.test.tolist() == [0, 1] * 4


def test_label_ids_and_names_mean_the_same_with_a_label_file(tmp_path):
    (tmp_path / "label.json").write_text('{"0": "bad", "1": "good", "2": "unsure"}')
    rows = [{**row, "gpt": {"bad": "0", "good": "1", "": "-1"}[row["gpt"]]} for row in good()]
    by_id = load_task(write(tmp_path / "ids.csv", rows))
    by_name = load_task(write(tmp_path / "names.csv", good()))
    assert by_id.label_names == ("bad", "good", "unsure")
    assert all(np.array_equal(by_id.columns["gpt"][s], by_name.columns["gpt"][s]) for s in SPLITS)


def test_numbers_as_classes_are_sorted_as_numbers(tmp_path):
    rows = [{"text": row["text"], "label": str(i % 11 + 1)} for i, row in enumerate(good(n=60))]
    assert load_task(write(tmp_path / "mine.csv", rows)).label_names == tuple(map(str, range(1, 12)))


def test_a_file_named_like_a_known_task_is_not_taken_for_it(tmp_path):
    assert load_task(write(tmp_path / "trec.csv", good())).name == "trec-file"


@pytest.mark.parametrize(
    "text", ["1 MB " * 200_000, "nul \0 bell \a", 'a "quote"', "two\nlines\r\nand more", "ünïcödé 🙂"]
)
def test_unusual_texts_are_kept_as_they_are(tmp_path, text):
    rows = good()
    quoted = [
        {**row, "text": '"' + (text if i == 7 else row["text"]).replace('"', '""') + '"'} for i, row in enumerate(rows)
    ]
    path = tmp_path / "mine.csv"
    path.write_bytes("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in quoted)]).encode())
    task = load_task(str(path))
    assert text in task.train.texts + task.valid.texts + task.test.texts


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "mine.csv"
    write(path, good())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_task(str(path)).label_names == ("bad", "good")


def appended(row: str):
    return "\n".join(["text,gold,gpt", *(",".join(r.values()) for r in good()), row]) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("text,gold\n", "is empty"),
        (appended(",good,bad"), "row 41: the text is empty"),
        (appended("NaN,good,bad"), "row 41: the text is 'NaN', a missing value"),
        (appended("x" * 11_000_000 + ",good,bad"), "row 41: a text of 11000000 characters; the limit is 10 MiB"),
        (appended("x,good,bad,more"), "row 41: 4 fields where the header has 3"),
        (appended("x,good"), "row 41: 2 fields where the header has 3"),
        (appended('"x,good,bad'), "row 41: the quote that opens in line 42 is never closed"),
        (appended("x,good,goood"), "column 'gpt' looks like a labeller's, but 'goood' is outside"),
        ("txt,gold\na,b\nc,d\ne,b\n", "no text column; name one of txt, gold with --text-column"),
        ("text;gold\na;b\nc;d\ne;b\n", "only one column, 'text;gold'; separate with commas"),
        ("text;gold\nwell, a;b\nc;d\n", "only one column, 'text;gold'; separate with commas"),
        ("text;gold\na;b\nc;d\ne;b\n", "Excel, .* can save it as .xlsx, which is read as well"),
        ("text\tgold\na, b\tb\nc\td\n", "separated by tabs: rename it to mine.tsv"),
        ("sep=;\ntext;gold\nwell, a;b\n", "only one column, 'sep=;'; separate with commas"),
        ("sep=,\ntext,gold\na,b\n", "its first line, which begins with sep=, is only meant for Excel: remove it"),
        ("text,gold\na,b\nc,b\ne,b\n", "only the class 'b', and a task needs at least two"),
        ("text,gold\na,b\nc,d\n", "2 rows; at least 3"),
        ("text,note\na,1.5\nb,2.5\nc,3.5\n", "neither gold nor a labeller's column was found among text, note"),
        ("text,gold,gold\na,b,c\n", "two columns named 'gold'"),
        ("id,text,gold\n1,a,b\n2,c,d\n1,e,b\n", "row 3: duplicate id '1'"),
        ("text,gold,split\na,b,train\nc,d,train\ne,b,holdout\n", "row 3: split 'holdout'"),
        ("text,gold,split\na,b,train\nc,d,train\ne,b,dev\n", "no row has the split 'test'"),
    ],
)
def test_a_wrong_csv_is_refused_in_one_sentence(tmp_path, content, message):
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(UsageError, match=message) as raised:
        load_task(str(tmp_path / "mine.csv"))
    assert "mine.csv" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a", "gold": "b"}\n{"text": \n', "line 2, column 10: malformed JSON"),
        ('{"text": "a", "gold": "b"}\n["a"]\n', "line 2: expected an object"),
        ('{"text": {"a": 1}, "gold": "b"}\n', "line 1: field 'text' holds a dict"),
        ('{"text": NaN, "gold": "b"}\n{"text": "a", "gold": "c"}\n', "row 1: the text is empty"),
        ('{"text": "\\ud800", "gold": "b"}\n{"text": "a", "gold": "c"}\n', "half a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_wrong_json_lines_are_refused_with_their_line(tmp_path, content, message):
    (tmp_path / "mine.jsonl").write_text(content)
    with pytest.raises(UsageError, match=message):
        load_task(str(tmp_path / "mine.jsonl"))


def test_a_label_outside_the_label_file_is_refused_with_its_row(tmp_path):
    (tmp_path / "label.json").write_text('["bad", "good"]')
    with pytest.raises(UsageError, match=r"column gold, row 4: label 'ugly' is outside the label set \(bad, good\)"):
        load_task(write(tmp_path / "mine.csv", [*good()[:3], {"text": "x", "gold": "ugly", "gpt": "bad"}]))


def test_other_encodings_and_kinds_of_file_are_refused(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(appended("café,good,bad").encode("latin-1"))
    with pytest.raises(UsageError, match="line 42: byte 0xe9 is not UTF-8"):
        load_task(str(path))
    (tmp_path / "mine.feather").write_bytes(b"ARROW1")
    with pytest.raises(UsageError, match=r"unknown kind of file '\.feather'"):
        load_task(str(tmp_path / "mine.feather"))
    with pytest.raises(UsageError, match="does not exist"):
        load_task("none.csv")


def test_an_excel_workbook_that_is_named_like_text_is_to_be_renamed_and_other_archives_are_no_text(tmp_path):
    path = tmp_path / "my.own.csv"
    pd.DataFrame(good()).to_excel(tmp_path / "book.xlsx", index=False)
    path.write_bytes((tmp_path / "book.xlsx").read_bytes())
    with pytest.raises(UsageError, match=r"my\.own\.csv is an Excel workbook: rename it to my\.own\.xlsx$"):
        load_task(str(path))
    assert len(load_task(str(path.rename(tmp_path / "my.own.xlsx"))).train) > 0
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(UsageError, match=r"an old Excel workbook \(\.xls\): save it in Excel as \.xlsx, or as CSV"):
        load_task(str(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mine.csv", "text,gold\na,b\n")
    with pytest.raises(UsageError, match="is a zip archive, not text: unpack it"):
        load_task(str(path))


def test_a_column_that_was_named_must_be_there(tmp_path):
    path = write(tmp_path / "mine.csv", good())
    for option in ({"text_column": "x"}, {"gold_column": "x"}, {"label_columns": ["x"]}):
        with pytest.raises(UsageError, match=r"has no column 'x'.*it has: text, gold, gpt"):
            load_task(path, **option)


def test_the_csv_reader_agrees_with_pythons_on_a_real_file():
    import csv

    import bench

    path = Path(bench.__file__).parent / "data" / "files" / "tweets" / "train.csv"
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = read_table(path)
    assert table.column("text") == [row["text"] for row in rows]
    assert table.column("label") == [row["label"] for row in rows]
