"""What is read from files, what is refused, and what is said: no row is swallowed, no value taken for another."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from bench.core.errors import UsageError
from bench.data.load import load_task
from bench.data.readers.tables import read_table

TEXTS = [f"the {thing} was {how}" for thing in ("soup", "train", "lamp", "song", "coat") for how in ("bad", "good")]
HEADER = ["text", "gold", "gpt"]
ROWS = [[text, ("neg", "pos")[i % 2], ("neg", "pos")[i % 3 % 2]] for i, text in enumerate(TEXTS)]


def lines(rows: list[list[str]], delimiter: str) -> str:
    """Rows as they are, without any quoting."""
    return "".join(delimiter.join(row) + "\n" for row in [HEADER, *rows])


def changed(changes: dict[int, str]) -> list[list[str]]:
    return [[changes.get(i, text), *labels] for i, (text, *labels) in enumerate(ROWS)]


def table(path: Path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


STRAY = [
    {2: '"the lamp', 6: 'was bad"'},  # one opens, one closes, rows between
    {2: '"the lamp', 3: 'was bad"'},  # in neighbouring rows
    {0: '"the lamp', 9: 'was bad"'},  # around all rows
    {0: '"one', 2: 'two"', 4: '"three', 8: 'four"'},
]


@pytest.mark.parametrize("changes", STRAY)
def test_stray_quotes_in_a_tsv_file_are_data_and_every_row_is_read(tmp_path, changes):
    found = table(tmp_path / "x.tsv", lines(changed(changes), "\t"))
    assert found.column("text") == [row[0] for row in changed(changes)]
    assert found.column("gpt") == [row[2] for row in ROWS]
    assert f"read as text: {sum(text[0] == chr(34) for text in changes.values())}" in found.notes[0]


@pytest.mark.parametrize("changes", STRAY)
def test_stray_quotes_in_a_csv_file_are_refused_with_the_lines(tmp_path, changes):
    first = min(changes)
    with pytest.raises(UsageError, match=f"a quote that opens in line {first + 2} closes in line .* separate rows"):
        table(tmp_path / "x.csv", lines(changed(changes), ","))


@pytest.mark.parametrize("column", [0, 1, 2])
def test_stray_quotes_are_seen_in_any_column(tmp_path, column):
    rows = [list(row) for row in ROWS]
    rows[2][column] = '"' + rows[2][column]
    rows[7][column] += '"'
    with pytest.raises(UsageError, match="line 4 closes in line 9"):
        table(tmp_path / "x.csv", lines(rows, ","))
    assert len(table(tmp_path / "x.tsv", lines(rows, "\t"))) == len(ROWS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"he said \\"bad\\""', "row 4, line 5: text follows a closing quote"),
        ('"bad" he said', "row 4, line 5: text follows a closing quote"),
        ('"bad', "row 4: the quote that opens in line 5 is never closed"),
        ("bad, very", "row 4: 4 fields where the header has 3 .line 5."),
    ],
)
def test_malformed_quotes_in_a_csv_file_are_refused_with_their_row(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        table(tmp_path / "x.csv", lines(changed({3: text}), ","))


@pytest.mark.parametrize("text", ['"bad" he said', '"bad', 'bad"', '5" screen', '"a" and "b"', '"he said \\"bad\\""'])
def test_quotes_that_do_not_enclose_a_field_are_data_in_tsv(tmp_path, text):
    if text.startswith('"he said'):
        text = '"he said \\"bad\\"" '
    assert table(tmp_path / "x.tsv", lines(changed({3: text}), "\t")).column("text")[3] == text


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize(
    "text",
    ['"quoted"', 'a "quoted" word', "two\nlines", "with, comma\nand, again", "tab\there", "\n\nlines\r\n", 'end "q"\n'],
)
def test_what_a_writer_quoted_reads_back(tmp_path, delimiter, text):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([HEADER, *changed({3: text})])
    found = table(tmp_path / ("x.csv" if delimiter == "," else "x.tsv"), out.getvalue())
    assert found.column("text") == [row[0] for row in changed({3: text})]
    assert any("rows that span several lines, inside quotes: 1 of 10" in note for note in found.notes) == ("\n" in text)


def test_a_stray_quote_is_found_in_a_file_of_texts_of_several_lines(tmp_path):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([HEADER, *changed({1: "one, two,\nthree", 8: "four\nfive"})])
    good = out.getvalue()
    assert len(table(tmp_path / "x.csv", good)) == len(ROWS)
    bad = good.replace("the train was bad", '"the train was bad').replace("the lamp was good", 'the lamp was good"')
    with pytest.raises(UsageError, match="line 5 closes in line 8"):
        table(tmp_path / "x.csv", bad)


def test_prose_of_several_lines_is_not_taken_for_rows(tmp_path):
    texts = ["I went.\nHowever, it was bad", "good, I think", "It costs 10,000\nor more", "Well, no\nreally", "ok"]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["gold", "text"], *(["pos", text] for text in texts)])
    assert table(tmp_path / "x.csv", out.getvalue()).column("text") == texts


def test_a_swallowed_row_is_seen_where_its_labels_are_nowhere_else(tmp_path):
    rows = ['"lamp,neutral', 'train",pos', "soup,neg", "coat,neg"]
    with pytest.raises(UsageError, match="line 2 closes in line 3"):
        table(tmp_path / "x.csv", "\n".join(["text,gold", *rows]))
    assert len(table(tmp_path / "x.tsv", "\n".join(["text,gold", *rows]).replace(",", "\t"))) == 4


def test_blank_lines_between_rows_are_counted(tmp_path):
    found = table(tmp_path / "x.csv", lines(ROWS, ",").replace("the lamp", "\n\nthe lamp"))
    assert len(found) == len(ROWS)
    assert found.notes == (f"{tmp_path / 'x.csv'}: blank lines between rows, ignored: 4",)


# JSON


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.jsonl.gz"])
def test_one_key_twice_is_refused_in_every_kind_of_json(tmp_path, name):
    row = '{"text": "a", "gold": "pos", "gold": "neg"}'
    content = (f"[{row}]" if name.endswith(".json") else row).encode()
    with pytest.raises(UsageError, match="duplicate id or field 'gold'"):
        table(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)


def objects(**more) -> list[dict]:
    return [dict(zip(HEADER, row, strict=True)) | more for row in ROWS]


def write_rows(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_fields_with_lists_and_objects_are_left_out_and_named_once(tmp_path, name):
    task = load_task(str(write_rows(tmp_path / name, objects(logprobs=[-0.1], meta={"a": 1}))))
    assert list(task.columns) == ["gpt"]
    assert [note for note in task.notes if "lists and objects" in note] == [
        f"{tmp_path / name}: 'logprobs', 'meta' left out: lists and objects are not read"
    ]


@pytest.mark.parametrize("field", ["text", "gold"])
@pytest.mark.parametrize("value", [["pos"], {"a": 1}])
def test_a_list_in_a_field_that_is_needed_is_refused_with_its_name(tmp_path, field, value):
    rows = objects()
    rows[3][field] = value
    with pytest.raises(UsageError, match=f"line 4: field '{field}' holds a {type(value).__name__}"):
        load_task(str(write_rows(tmp_path / "x.jsonl", rows)))
    for row in rows:
        row[field] = value
    with pytest.raises(UsageError, match=f"line 1: field '{field}' holds a {type(value).__name__}"):
        load_task(str(write_rows(tmp_path / "x.jsonl", rows)))


def test_a_number_of_thousands_of_digits_is_refused(tmp_path):
    with pytest.raises(UsageError, match="line 1: malformed JSON"):
        table(tmp_path / "x.jsonl", '{"text": "a", "gold": ' + "1" * 5000 + "}")


# other formats


@pytest.mark.parametrize("name", ["x.csv.gz", "x.tsv.gz", "x.jsonl.gz", "x.parquet", "x.xlsx"])
def test_packed_files_give_the_same_task_as_plain_ones(tmp_path, name):
    (tmp_path / "x.csv").write_text(lines(ROWS, ","))
    plain = load_task(str(tmp_path / "x.csv"))
    path = tmp_path / name
    if name.endswith(".gz"):
        made = lines(ROWS, "," if "csv" in name else "\t")
        text = "".join(json.dumps(row) + "\n" for row in objects()) if "jsonl" in name else made
        path.write_bytes(gzip.compress(text.encode()))
    elif name == "x.parquet":
        write_rows(path, objects())
    else:
        workbook(path, [HEADER, *ROWS])
    task = load_task(str(path))
    assert task.fingerprint == plain.fingerprint
    assert task.name == "x"


def workbook(path: Path, rows: list[list], sheet_two: list[list] = (), merge: str = "") -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if merge:
        book.active.merge_cells(merge)
    for row in sheet_two:
        (book["second"] if "second" in book.sheetnames else book.create_sheet("second")).append(row)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        ([HEADER, *ROWS], {"sheet_two": [["a"]]}, "2 sheets with data .Sheet, second.: keep one"),
        ([HEADER, *ROWS], {"merge": "B3:B5"}, "cells B3:B5 are merged"),
        ([HEADER, [*ROWS[0][:2], "=1+1"]], {}, "cell C2: a formula without a stored value"),
        ([HEADER, [*ROWS[0][:2], "#N/A"]], {}, "cell C2 holds the error #N/A"),
        ([HEADER[:2], *ROWS], {}, "column 3 has values but no name"),
        ([["text", "gold", "gold"], *ROWS], {}, "two columns named 'gold'"),
        ([HEADER], {}, "is empty"),
        ([], {}, "is empty"),
    ],
)
def test_a_workbook_that_could_be_read_two_ways_is_refused(tmp_path, rows, more, message):
    with pytest.raises(UsageError, match=message):
        read_table(workbook(tmp_path / "x.xlsx", rows, **more))


def test_values_of_a_workbook_and_of_parquet_are_those_of_a_csv_file(tmp_path):
    rows = [["a", 1, True, 0.5], ["b", 2.0, False, None]]
    head = ["text", "gold", "flag", "score"]
    expected = {"text": ["a", "b"], "gold": ["1", "2"], "flag": ["true", "false"], "score": ["0.5", ""]}
    assert read_table(workbook(tmp_path / "x.xlsx", [head, *rows])).columns == expected
    columns = {name: [row[at] for row in rows] for at, name in enumerate(head)}
    pyarrow.parquet.write_table(pyarrow.table(columns | {"__index_level_0__": [7, 8]}), tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet").columns == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.json"])
def test_other_unicode_encodings_have_their_own_sentence(tmp_path, encoding, name):
    with pytest.raises(UsageError, match=r"is UTF-(16|32); save the file as UTF-8 .for example: iconv"):
        table(tmp_path / name, lines(ROWS, ",").encode(encoding))


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl"])
def test_line_ends_of_old_macs_have_their_own_sentence(tmp_path, name):
    with pytest.raises(UsageError, match="ends its lines with CR alone"):
        table(tmp_path / name, lines(ROWS, ",").replace("\n", "\r"))


# folders


@pytest.mark.parametrize(
    "name", ["valid.csv", "validation.csv", "val.csv", "dev.csv", "Validation.CSV", "dev.jsonl.gz"]
)
def test_the_validation_file_of_a_folder_goes_by_every_usual_name(tmp_path, name):
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text(lines(ROWS, ","))
    text = "".join(json.dumps(row) + "\n" for row in objects()[:4])
    content = gzip.compress(text.encode()) if name.endswith(".gz") else lines(ROWS[:4], ",").encode()
    (tmp_path / name).write_bytes(content)
    task = load_task(str(tmp_path))
    assert task.valid.texts == tuple(TEXTS[:4])
    assert len(task.train) == len(ROWS), "nothing is held out of train"
    assert [note for note in task.notes if not note.startswith("gold = ")] == []


def test_two_validation_files_are_refused_and_other_files_are_named(tmp_path):
    for name in ("train", "test", "dev", "extra", "unlabelled"):
        (tmp_path / f"{name}.csv").write_text(lines(ROWS, ","))
    assert (
        "not read, because these names are not names of splits: extra.csv, unlabelled.csv"
        in load_task(str(tmp_path)).notes[0]
    )
    (tmp_path / "validation.tsv").write_text(lines(ROWS, "\t"))
    with pytest.raises(UsageError, match=r"dev\.csv and validation\.tsv: keep one"):
        load_task(str(tmp_path))


def wrench(folder: Path, votes: dict[str, list[int] | None]) -> str:
    (folder / "label.json").write_text('{"0": "no", "1": "yes"}')
    for split, vote in votes.items():
        rows = {}
        for i in range(6):
            rows[str(i)] = {"label": i % 2, "data": {"text": f"{split} {i}"}}
            rows[str(i)] |= {} if vote is None else {"weak_labels": vote}
        (folder / f"{split}.json").write_text(json.dumps(rows))
    return str(folder)


def test_votes_of_train_and_valid_suffice(tmp_path):
    task = load_task(wrench(tmp_path, {"train": [0, 1], "dev": [1, -1], "test": None}))
    assert sorted(task.votes) == ["train", "valid"]
    assert task.votes["valid"].tolist() == [[1, -1]] * 6
    task = load_task(wrench(tmp_path, {"train": [0, 1], "dev": None, "test": [0, 1]}))
    assert task.votes is None
    assert "weak votes are not used, because valid has none" in task.notes[0]


def test_votes_of_other_lengths_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"differ in length between the splits \(train 2, valid 3\)"):
        load_task(wrench(tmp_path, {"train": [0, 1], "dev": [1, -1, 0], "test": None}))
