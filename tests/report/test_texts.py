"""From the numbers down to the texts: read from the task's own data, escaped, and never those of other data."""

import re

import numpy as np
import pytest

import bench
from bench.core.errors import UsageError
from bench.data.load import load_task
from bench.report.build import build_report
from bench.report.texts import confused, telling
from bench.store.parts import DataFacts
from bench.store.records import write_record
from tests.conftest import review_rows, write_csv
from tests.factories import cell_key, done_record

HOSTILE = "</script><img src=x onerror=alert(1)> good & sunny"
STRENGTH = {"plain": 0.7, "gce": 0.8, "oracle": 0.9}


@pytest.fixture
def place(tmp_path):
    """A user's CSV, one of its texts hostile, and results on it whose arrays are known."""
    rows = review_rows()
    first = next(row for row in rows if row["split"] == "test")
    first["text"] = HOSTILE
    write_csv(tmp_path / "reviews.csv", rows)
    write_results(tmp_path / "results", load_task(str(tmp_path / "reviews.csv")))
    return tmp_path


def write_results(folder, task, gold=True, **data):
    """Methods right on all test texts but: plain on the first two, gce on the second and the third."""
    facts = {"fingerprint": task.fingerprint, "label_names": list(task.label_names), "has_gold": gold}
    facts |= {f"n_{split}": len(task.texts(split)) for split in ("train", "valid", "test")}
    facts |= {"origin": "../reviews.csv"} | data
    wrong = {"plain": (0, 1), "gce": (1, 2), "oracle": ()}
    for method, mistaken in wrong.items():
        for seed in (1, 2):
            key = cell_key("reviews", "ann", method, seed)
            record, arrays = done_record(key, label_names=facts["label_names"], n_test=facts["n_test"], has_gold=gold)
            says = task.gold.test.copy()
            says[list(mistaken)] = 1 - says[list(mistaken)]
            chances = np.full((len(says), 2), 1 - STRENGTH[method] - 0.02 * seed)
            chances[np.arange(len(says)), says] = STRENGTH[method] + 0.02 * seed
            arrays |= {name: chances.astype(np.float16) for name in ("test_last", "test_noisy_valid")}
            if method == "gce":
                believed = np.full((len(task.train), 2), 0.25 * seed)
                believed[:, 1] = 1 - 0.25 * seed
                believed[3] = np.nan
                arrays |= {"train_last": believed.astype(np.float16)}
            arrays |= {"train_labels": task.columns["ann"]["train"].astype(np.int16)}
            arrays |= {"test_labels": task.columns["ann"]["test"].astype(np.int16)}
            changed = {"data": DataFacts(**facts), "sees_gold": method == "oracle"}
            write_record(record.model_copy(update=changed), folder, arrays)


def test_a_frame_has_one_row_per_text_with_labels_and_what_methods_say(place):
    task = load_task(str(place / "reviews.csv"))
    frame = bench.load_results(place / "results").texts("reviews", "ann")
    names = np.array(task.label_names)
    assert frame["text"].tolist() == list(task.test.texts)
    assert frame["id"].tolist() == list(task.test.ids)
    assert frame["gold"].tolist() == names[task.gold.test].tolist()
    assert frame["given"].tolist() == names[task.columns["ann"]["test"]].tolist()
    assert (frame["plain"] == frame["gold"]).tolist() == [False, False, *[True] * (len(frame) - 2)]
    assert frame["gce sure"].tolist() == pytest.approx([0.83] * len(frame), abs=1e-3), "the mean of 0.82 and 0.84"
    assert frame.index.name == "row"


def test_train_texts_have_labels_and_what_methods_say_whose_predictions_are_kept(place):
    task = load_task(str(place / "reviews.csv"))
    frame = bench.load_results(place / "results").texts("reviews", "ann", split="train")
    assert list(frame.columns) == ["id", "text", "gold", "given", "gce", "gce sure"]
    assert frame["gce sure"].drop(index=3).tolist() == pytest.approx([0.625] * (len(frame) - 1)), "of 0.75 and 0.5"
    assert set(frame["gce"].drop(index=3)) == {task.label_names[1]}
    assert (frame["gce"][3], np.isnan(frame["gce sure"][3])) == (None, True)
    wrong = task.gold.train != task.columns["ann"]["train"]
    assert (frame["gold"] != frame["given"]).tolist() == wrong.tolist()
    [(title, rows), *_] = confused(frame)
    counts = frame[wrong].groupby(["gold", "given"]).size()
    gold, given = counts.idxmax()
    assert title == f"{gold} labelled {given}: {counts.max()} texts"
    assert frame.loc[rows, ["gold", "given"]].to_numpy().tolist() == [[gold, given]]


def test_the_most_telling_texts_part_the_methods(place):
    frame = bench.load_results(place / "results").texts("reviews", "ann")
    assert telling(frame, ["plain", "gce"], "plain") == [
        ("gce (most accurate here) is right, plain is wrong", [0]),
        ("plain is right, gce (most accurate here) is wrong", [2]),
        ("Every competing method is wrong", [1]),
    ]
    assert telling(frame.assign(gold=None), ["plain", "gce"], "plain") == [("The methods disagree most", [0, 2])]


def test_other_data_of_the_same_name_are_never_shown(place):
    rows = review_rows()
    rows[0]["text"] += " changed"
    write_csv(place / "reviews.csv", rows)
    with pytest.raises(UsageError, match="no texts of reviews: the data here are not those"):
        bench.load_results(place / "results").texts("reviews", "ann")


def test_a_report_without_the_data_says_so_in_one_sentence(place):
    (place / "reviews.csv").unlink()
    done = build_report(place / "results", place / "report", formats=["html", "texts"])
    assert not (place / "report" / "texts.html").exists()
    [note] = [note for note in done.results.notes if note.startswith("No page of texts: ")]
    assert str(place) not in note
    assert "texts.html" not in done.page.read_text("utf-8")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"task": "review", "noise": "ann"}, "unknown task 'review': did you mean reviews"),
        ({"task": "reviews", "noise": "bob"}, "unknown noise source 'bob'"),
        ({"task": "reviews", "noise": "ann", "split": "valid"}, "unknown split 'valid'"),
    ],
)
def test_wrong_names_are_refused(place, call, message):
    with pytest.raises(UsageError, match=message):
        bench.load_results(place / "results").texts(**call)


def test_the_page_of_texts_is_linked_from_the_table_and_escapes_everything(place):
    done = build_report(place / "results", place / "report", formats=["html", "texts"])
    page = (place / "report" / "texts.html").read_text("utf-8")
    assert "<img" not in page
    assert "<script" not in page
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; good &amp; sunny" in page
    anchors = set(re.findall(r'id="([^"]+)"', page))
    links = re.findall(r'href="texts\.html#([^"]+)"', done.page.read_text("utf-8"))
    assert links
    assert set(links) <= anchors
    assert re.search(r"✗</span> <b>\w+</b>: plain <small>73</small>", page)


def test_records_packed_without_the_labels_of_train_are_not_called_old(place):
    for path in (place / "results").rglob("*.npz"):
        with np.load(path) as arrays:
            kept = {name: array for name, array in arrays.items() if name != "train_labels"}
        np.savez_compressed(path, **kept)
    build_report(place / "results", place / "report", formats=["texts"])
    said = "No train texts: the records are packed without their labels, or made before they were kept."
    assert said in (place / "report" / "texts.html").read_text("utf-8")


def test_without_the_format_texts_the_page_has_no_link_to_them(place):
    done = build_report(place / "results", place / "report", formats=["html"])
    assert "texts.html" not in done.page.read_text("utf-8")
    assert not (place / "report" / "texts.html").exists()


def test_the_texts_alone_bring_the_page_that_links_to_them(place):
    done = build_report(place / "results", place / "report", formats=["texts"])
    assert {"index.html", "texts.html"} <= {path.name for path in done.files}
