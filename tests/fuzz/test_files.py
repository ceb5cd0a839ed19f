"""Damaged and hostile files: read as what they are, or refused with the file's name; never a traceback."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.data.load import load_task
from bench.data.task import TaskData
from bench.store.records import Damaged, Record, read_record
from llm_labels.labelsets import read_authors_files, read_card, read_label_set
from tests.conftest import review_rows
from tests.factories import cell_key, write_done
from tests.fuzz.strategies import changed, damaged, hostile, values
from tests.label_set_factory import answer, toy_task

pytestmark = pytest.mark.timeout(300)
PROFILE = settings.get_profile("fuzz")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("files")


def loaded(path: Path, **columns) -> TaskData | None:
    """The task of a file or folder, or None where it is refused with its name."""
    try:
        task = load_task(str(path), **columns)
    except BenchError as error:
        assert path.name in str(error)
        return None
    assert len(task.label_names) >= 2
    assert all(len(task.texts(split)) for split in ("train", "valid", "test"))
    return task


def as_csv(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def good_csv() -> bytes:
    rows = review_rows(24)
    return as_csv([list(rows[0]), *(list(row.values()) for row in rows)])


@PROFILE
@given(data=st.data())
def test_a_csv_file(folder, data):
    path = folder / "mine.csv"
    kind = data.draw(st.sampled_from(["damaged", "cells", "binary"]))
    if kind == "damaged":
        path.write_bytes(damaged(good_csv(), data.draw))
    elif kind == "cells":
        heads = data.draw(st.lists(st.sampled_from(["text", "gold", "ann", "id", "split", "label", ""]), max_size=5))
        width = len(heads)
        rows = data.draw(st.lists(st.lists(hostile, min_size=width, max_size=width), max_size=6))
        path.write_bytes(as_csv([heads, *rows]))
    else:
        path.write_bytes(data.draw(st.binary(max_size=200)))
    loaded(path)


def lines(documents: list) -> bytes:
    return "\n".join(json.dumps(document) for document in documents).encode()


@PROFILE
@given(data=st.data())
def test_a_jsonl_or_json_file(folder, data):
    path = folder / data.draw(st.sampled_from(["mine.jsonl", "mine.json"]))
    rows = [dict(row) for row in review_rows(24)]
    make = lines if path.suffix == ".jsonl" else lambda rows: json.dumps(rows).encode()
    kind = data.draw(st.sampled_from(["damaged", "changed", "values", "deep"]))
    if kind == "damaged":
        path.write_bytes(damaged(make(rows), data.draw))
    elif kind == "changed":
        path.write_bytes(make(changed(rows, data.draw) or [{}]))
    elif kind == "values":
        path.write_bytes(make(data.draw(st.lists(values, max_size=3))))
    else:
        path.write_bytes(b"[" * data.draw(st.integers(1, 200_000)))
    loaded(path)


def wrench() -> dict[str, object]:
    rows = review_rows(24)
    by_split: dict[str, dict] = {"train": {}, "valid": {}, "test": {}}
    for number, row in enumerate(rows):
        by_split[row["split"]][str(number)] = {
            "label": number % 2,
            "weak_labels": [number % 2, -1, (number + 1) % 2],
            "data": {"text": row["text"]},
        }
    return {"label.json": {"0": "negative", "1": "positive"}} | {f"{s}.json": part for s, part in by_split.items()}


@PROFILE
@given(data=st.data())
def test_a_wrench_folder(folder, data):
    place = folder / "wrenched"
    place.mkdir(exist_ok=True)
    files = wrench()
    victim = data.draw(st.sampled_from(sorted(files)))
    for name, document in files.items():
        text = json.dumps(document).encode()
        if name == victim:
            if data.draw(st.booleans()):
                text = json.dumps(changed(document, data.draw)).encode()
            else:
                text = damaged(text, data.draw)
        (place / name).write_bytes(text)
    loaded(place)


def test_the_files_are_good_before_they_are_damaged(folder):
    (folder / "mine.csv").write_bytes(good_csv())
    assert loaded(folder / "mine.csv").columns.keys() == {"ann", "bob"}
    (folder / "good").mkdir()
    for name, document in wrench().items():
        (folder / "good" / name).write_text(json.dumps(document))
    assert loaded(folder / "good").votes is not None


@pytest.fixture(scope="module")
def label_set(folder):
    """(folder of a label set, its two files' bytes, the task that it is for)."""
    task = toy_task(folder)
    place = answer(task, folder, "someone", 5)
    return place, {path.name: path.read_bytes() for path in place.iterdir()}, task


@PROFILE
@given(data=st.data())
def test_a_label_set(label_set, data):
    place, files, task = label_set
    victim = data.draw(st.sampled_from(sorted(files)))
    for name, content in files.items():
        text = content
        if name == victim and name.endswith(".json") and data.draw(st.booleans()):
            text = json.dumps(changed(json.loads(content), data.draw)).encode()
        elif name == victim:
            text = damaged(content, data.draw)
        (place / name).write_bytes(text)
    for read in (lambda: read_label_set(place, task.label_names, task.full_fingerprint), lambda: read_card(place)):
        try:
            read()
        except BenchError as error:
            assert str(place) in str(error)


@PROFILE
@given(data=st.data())
def test_a_label_file_of_the_papers_authors(label_set, folder, data):
    _, _, task = label_set
    texts = task.train.texts
    rows = [["true_label", "original_sent", "noisy_label"], *([["0", text, "1"] for text in texts])]
    path = folder / "train.csv"
    path.write_bytes(damaged(as_csv(rows), data.draw))
    try:
        read_authors_files({"train": path}, task.label_names, task.full_fingerprint)
    except BenchError as error:
        assert "train" in str(error)


@pytest.fixture(scope="module")
def record(folder):
    """(path of a whole record, its content)."""
    path = write_done(folder / "whole", cell_key())
    return path, json.loads(path.read_bytes())


@PROFILE
@given(data=st.data())
@example(data=None)
def test_a_record(record, folder, data):
    path = folder / "seed-1-0123456789ab.json"
    if data is None:
        path.write_bytes(b"[" * 200_000)
    elif data.draw(st.booleans()):
        path.write_text(json.dumps(changed(record[1], data.draw)))
    else:
        path.write_bytes(damaged(record[0].read_bytes(), data.draw))
    try:
        found = read_record(path)
    except BenchError as error:  # a newer schema
        assert path.name in str(error)
        return
    assert isinstance(found, Damaged) or (isinstance(found, Record) and found.hash == found.key.hash)
