"""Label sets on disk: what is written is read back, and what does not fit the texts is refused."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import UsageError
from bench.core.texts import Texts
from llm_labels.labelsets import MAX_ANSWER, Card, SplitCounts, SplitLabels, read_card, read_label_set, write_label_set

NAMES = ("no", "yes")
TEXTS = Texts(("0", "1", "2", "3"), ("a", "b", "c", "d"))
PRINTS = {split: TEXTS.fingerprint for split in ("train", "valid", "test")}


def card(part: SplitLabels, split: str = "train", **changes) -> Card:
    counts = SplitCounts(
        total=len(TEXTS),
        asked=len(part.rows),
        answered=int((part.labels >= 0).sum()),
        fingerprint=TEXTS.fingerprint,
    )
    facts = dict(
        labeller="tiny",
        revision="r1",
        prompting="zero",
        task="toy",
        label_names=list(NAMES),
        prompt_hash="0" * 64,
        decoding={"kind": "scored"},
        date="2025-01-01T00:00:00Z",
        splits={split: counts},
    )
    return Card(**{**facts, **changes})


def part(rows=(0, 2, 3), labels=(1, -1, 0), answers=("yes", "dunno", "no")) -> SplitLabels:
    return SplitLabels(np.array(rows, np.int64), np.array(labels, np.int64), tuple(answers))


def write(folder, labels=None, **changes):
    labels = labels or part()
    write_label_set(folder, card(labels, **changes), {"train": labels})
    return folder


def test_what_is_written_is_read_back(tmp_path):
    write(tmp_path)
    found = read_label_set(tmp_path, NAMES, PRINTS, answers=True)
    assert list(found) == ["train"]
    assert found["train"].rows.tolist() == [0, 2, 3]
    assert found["train"].labels.tolist() == [1, -1, 0]
    assert found["train"].answers == ("yes", "dunno", "no")
    assert read_card(tmp_path).labeller == "tiny"
    assert (tmp_path / "train.csv").read_text() == "id,label,answer\n0,yes,yes\n2,,dunno\n3,no,no\n"


def test_the_files_hold_neither_texts_nor_gold(tmp_path):
    write(tmp_path)
    with open(tmp_path / "train.csv", newline="") as file:
        assert next(csv.reader(file)) == ["id", "label", "answer"]
    assert "gold" not in (tmp_path / "card.json").read_text()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_answer_survives(tmp_path_factory, answer):
    folder = tmp_path_factory.mktemp("set")
    write(folder, part(rows=[1], labels=[0], answers=[answer]))
    assert read_label_set(folder, NAMES, PRINTS, answers=True)["train"].answers == (answer,)


@pytest.mark.parametrize("answer", ['<script>"\x1b[31m\0\r\n,\\', "=1+1", "\r", '"', "a\r\nb", "", " "])
def test_hostile_answers_survive(tmp_path, answer):
    write(tmp_path, part(rows=[1], labels=[0], answers=[answer]))
    assert read_label_set(tmp_path, NAMES, PRINTS, answers=True)["train"].answers == (answer,)


def test_an_endless_answer_is_cut_and_broken_unicode_replaced(tmp_path):
    write(tmp_path, part(rows=[0, 1], labels=[0, 0], answers=["x" * 1_000_000 + "the label", "\ud800"]))
    first, second = read_label_set(tmp_path, NAMES, PRINTS, answers=True)["train"].answers
    assert first.startswith("xxx")
    assert " […] " in first
    assert first.endswith("the label")
    assert len(first) == MAX_ANSWER + len(" […] ")
    assert second == "?"


def test_class_names_may_stand_in_another_order_than_the_tasks(tmp_path):
    write(tmp_path)
    assert read_label_set(tmp_path, ("yes", "no"), PRINTS)["train"].labels.tolist() == [0, -1, 1]


def test_a_set_made_for_other_texts_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(UsageError, match="made for other train texts"):
        read_label_set(tmp_path, NAMES, {**PRINTS, "train": "0" * 64})


def test_a_set_with_other_classes_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(UsageError, match="the task has"):
        read_label_set(tmp_path, ("no", "maybe"), PRINTS)


def test_a_card_that_disagrees_with_its_labels_is_not_written(tmp_path):
    facts = card(part())
    with pytest.raises(UsageError, match="the card says 3 asked and 2 answered"):
        write_label_set(tmp_path / "set", facts, {"train": part(labels=(1, 1, 0))})
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,label,answer\n0,yes,\n0,,\n3,no,\n", "row ids must ascend, each once"),
        ("id,label,answer\n0,yes,\n2,,\n9,no,\n", r"within 0\.\.3"),
        ("id,label,answer\n0,yes,\n2,,\n3,perhaps,\n", "row 3: unknown label 'perhaps'"),
        ("id,label,answer\n0,yes,\ntwo,,\n3,no,\n", "row 2: column id holds 'two'"),
        ("id,label,answer\n0,yes,\n", "the card says 3 asked"),
        ("id,answer\n0,yes\n", "no column 'label'"),
        ("", "is empty"),
    ],
)
def test_a_damaged_set_is_refused_with_its_place(tmp_path, content, message):
    write(tmp_path)
    (tmp_path / "train.csv").write_text(content)
    with pytest.raises(UsageError, match=message):
        read_label_set(tmp_path, NAMES, PRINTS)


def test_a_damaged_card_is_refused_with_its_field(tmp_path):
    write(tmp_path)
    facts = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**facts, "prompting": "some"}))
    with pytest.raises(UsageError, match=r"card\.json: field prompting"):
        read_card(tmp_path)
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(UsageError, match="is not valid JSON"):
        read_card(tmp_path)


# the authors' format


def authors(folder, labels="1,0,-1,1", texts="abcd", gold="0000"):
    folder.mkdir(exist_ok=True)
    rows = zip(gold, texts, labels.split(","), strict=True)
    lines = ["true_label,original_sent,noisy_label", *(",".join(row) for row in rows)]
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_authors_files_are_read_as_they_are(tmp_path):
    found = read_label_set(authors(tmp_path / "set"), NAMES, PRINTS)["train"]
    assert found.labels.tolist() == [1, 0, -1, 1]
    assert found.rows.tolist() == [0, 1, 2, 3]


def test_the_authors_gold_labels_are_never_looked_at(tmp_path):
    first = read_label_set(authors(tmp_path / "a", gold="0000"), NAMES, PRINTS)["train"]
    second = read_label_set(authors(tmp_path / "b", gold="?x9 "), NAMES, PRINTS)["train"]
    assert np.array_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": "abdc"}, "not those of this task"),
        ({"labels": "1,0,2,1"}, r"row 3: noisy_label 2 is outside 0\.\.1"),
        ({"labels": "1,0,-2,1"}, "row 3: noisy_label -2 is outside"),
        ({"labels": "1,0,x,1"}, "row 3: column noisy_label holds 'x'"),
    ],
)
def test_authors_files_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        read_label_set(authors(tmp_path / "set", **changes), NAMES, PRINTS)


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"neither card\.json nor"):
        read_label_set(tmp_path, NAMES, PRINTS)


@pytest.mark.parametrize("value", ["1" + "0" * 25, "²", "1.0", "1e3", "", "-", "--1", "1_0", "٣", "x" * 500, "nan"])
@pytest.mark.parametrize("own", [True, False])
def test_what_is_not_a_whole_number_is_named_with_file_row_and_value(tmp_path, value, own):
    if own:
        path = write(tmp_path) / "train.csv"
        path.write_text(path.read_text().replace("\n2,", f"\n{value},"))
    else:
        path = tmp_path / "train.csv"
        rows = [f"0,{text},{value if text == 'b' else 1}\n" for text in TEXTS.texts]
        path.write_text("true_label,original_sent,noisy_label\n" + "".join(rows))
    with pytest.raises(UsageError, match="not a whole number") as caught:
        read_label_set(tmp_path, NAMES, PRINTS)
    column = "id" if own else "noisy_label"
    assert f"{path}, row 2: column {column} holds {value[:80]!r}" in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))
