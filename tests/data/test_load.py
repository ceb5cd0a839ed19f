"""Loading tasks: known ones, folders, limits, marked entities, fingerprints."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import Unavailable, UsageError
from bench.data.load import load_task
from bench.data.task import SPLITS, limit_task, restrict
from bench.data.tasks import known


@pytest.fixture(scope="module")
def data_dir() -> Path:
    folder = Path(os.environ.get("BENCH_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no test data: name a folder with trec/, semeval/ and numclaim/ in BENCH_TEST_DATA")
    return folder


def wrench(folder: Path, n: int = 8, **changes) -> Path:
    """A small WRENCH folder with two classes and three labelling functions."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "label.json").write_text(json.dumps({"0": "no", "1": "yes"}))
    for split in SPLITS:
        rows = {
            f"{split}-{i}": {"label": i % 2, "weak_labels": [-1, i % 2, 0], "data": {"text": f"{split} text {i}"}}
            for i in range(n)
        }
        if split == "train":
            rows["train-0"] |= changes
        (folder / f"{split}.json").write_text(json.dumps(rows))
    return folder


# known tasks


def test_tweets_come_with_the_project():
    task = load_task("tweets")
    assert [len(task.texts(split)) for split in SPLITS] == [2892, 400, 800]
    assert task.label_names == ("negative", "positive")
    assert task.votes is None
    assert task.columns == {}
    assert 0.4 < task.gold.train.mean() < 0.7


def test_trec_and_semeval_have_the_published_sizes_and_votes(data_dir):
    trec, semeval = (load_task(name, data_dir=data_dir) for name in ("trec", "semeval"))
    assert [len(trec.texts(split)) for split in SPLITS] == [5033, 500, 500]
    assert [len(semeval.texts(split)) for split in SPLITS] == [1749, 178, 600]
    assert trec.votes["train"].shape == (5033, 68)
    assert semeval.votes["valid"].shape == (178, 164)


def test_numclaim_gets_a_validation_split_as_scikit_learn_makes_it(data_dir):
    import csv

    from sklearn.model_selection import train_test_split

    task = load_task("numclaim", data_dir=data_dir)
    with open(data_dir / "numclaim" / "train.csv", newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    train, valid = train_test_split(texts, test_size=0.2, random_state=42)
    assert list(task.train.texts) == train
    assert list(task.valid.texts) == valid
    assert len(task.test) == 537


def test_a_unique_beginning_names_a_task_and_two_are_refused():
    assert load_task("twe").name == "tweets"
    with pytest.raises(UsageError, match="matches trec and tweets"):
        load_task("t")


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(
        UsageError, match=r"did you mean tweets.*name a file or folder of your own by its path, like \./tweet_s\.csv"
    ):
        load_task("tweet_s")


def test_a_task_that_is_nowhere_names_every_way_to_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    with pytest.raises(Unavailable) as raised:
        load_task("trec")
    assert str(raised.value).startswith("task trec is not available here. Ways to get it, and what failed here:")
    assert "--data-dir" in str(raised.value)
    assert "the network is switched off" in str(raised.value)


def test_a_data_folder_that_is_missing_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_task("trec", data_dir=tmp_path / "none")


# folders


def test_a_wrench_folder_loads_as_it_is(tmp_path):
    task = load_task(str(wrench(tmp_path / "mine")))
    assert task.name == "mine"
    assert task.label_names == ("no", "yes")
    assert task.train.ids[:2] == ("train-0", "train-1")
    assert task.votes["train"].tolist()[1] == [-1, 1, 0]
    assert task.gold.test.tolist() == [0, 1] * 4


def test_a_folder_named_like_a_known_task_is_not_taken_for_it(tmp_path):
    assert load_task(str(wrench(tmp_path / "trec"))).name == "trec-folder"


def test_the_data_folder_wins_over_the_shipped_set(tmp_path):
    folder = wrench(tmp_path / "tweets")
    (folder / "label.json").write_text(json.dumps({"0": "negative", "1": "positive"}))
    assert len(load_task("tweets", data_dir=tmp_path).train) == 8


def test_options_of_columns_reach_a_known_task_in_the_data_folder(tmp_path):
    folder = tmp_path / "numclaim"
    folder.mkdir()
    names = known()["numclaim"].label_names
    for split in ("train", "test"):
        lines = [f"sentence {at},{names[at % 2]}" for at in range(10)]
        (folder / f"{split}.csv").write_text("\n".join(["claim,label", *lines]))
    with pytest.raises(UsageError, match="--text-column"):
        load_task("numclaim", data_dir=tmp_path)
    task = load_task("numclaim", data_dir=tmp_path, text_column="claim")
    assert task.test.texts[3] == "sentence 3"
    assert "there is no valid split, so a random 20 % of train serves as one" in task.notes[0]


def test_options_meant_for_another_table_of_the_grid_do_not_spoil_a_known_task(tmp_path):
    folder = tmp_path / "numclaim"
    folder.mkdir()
    names = known()["numclaim"].label_names
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_text(
            "\n".join(["text,label", *(f"s {at},{names[at % 2]}" for at in range(10))])
        )
    plain = load_task("numclaim", data_dir=tmp_path)
    for options in ({"text_column": "body"}, {"label_columns": ["gpt"]}, {"gold_column": "truth"}):
        task = load_task("numclaim", data_dir=tmp_path, **options)
        assert task.fingerprint == plain.fingerprint
        assert "column options are not applied there" in task.notes[0]
    assert load_task("numclaim", data_dir=tmp_path, gold_column="none").fingerprint == plain.fingerprint


def test_options_of_columns_that_are_not_used_are_told_of(tmp_path):
    folder = wrench(tmp_path / "mine")
    (note,) = load_task(str(folder), text_column="zzz", no_answer=["0"]).notes
    assert note == f"{folder} is not read from a table: --text-column, --no-answer not applied there"
    (note,) = load_task("tweets", gold_column="none").notes
    assert note == "task tweets is not read from a table: --gold-column not applied there"
    assert load_task("tweets").notes == ()


def test_a_known_task_with_other_classes_is_refused(tmp_path):
    wrench(tmp_path / "tweets")
    with pytest.raises(UsageError, match=r"names the classes no, yes; this task has negative, positive"):
        load_task("tweets", data_dir=tmp_path)


def test_a_folder_of_tables_has_one_label_set(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.csv").write_text("text,label,gpt\na,cat,dog\nb,dog,\nc,cat,cat\nd,dog,dog\ne,cat,cat\n")
    (folder / "valid.jsonl").write_text('{"text": "f", "label": "dog", "gpt": "cat"}\n')
    (folder / "test.tsv").write_text("text\tlabel\ng\tdog\n")
    task = load_task(str(folder))
    assert task.label_names == ("cat", "dog")
    assert task.columns["gpt"]["train"].tolist() == [1, -1, 0, 1, 0]
    assert task.columns["gpt"]["test"].tolist() == [-1]
    assert task.gold.valid.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 2}, "row 1: label '2' is outside the label set"),
        ({"label": None}, "row 1: no label while others have one"),
        ({"weak_labels": [0, 1]}, "id 'train-0'|id 'train-1'"),
        ({"weak_labels": [0, 1, 5]}, r"id 'train-0': weak label 5 is outside 0\.\.1"),
        ({"data": {}}, "id 'train-0': the text is missing"),
        ({"data": {"text": "  "}}, "row 1: the text is empty"),
        ({"data": {"text": "nan"}}, "row 1: the text is 'nan', a missing value"),
        ({"data": {"text": "\ud800"}}, "half a surrogate pair"),
    ],
)
def test_a_damaged_wrench_file_is_refused_with_its_place(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        load_task(str(wrench(tmp_path / "mine", **changes)))


def test_a_folder_that_lacks_something_says_what(tmp_path):
    folder = wrench(tmp_path / "mine")
    (folder / "test.json").unlink()
    with pytest.raises(UsageError, match="has no test file"):
        load_task(str(folder))
    wrench(folder)
    (folder / "label.json").unlink()
    with pytest.raises(UsageError, match=r"has no label\.json"):
        load_task(str(folder))
    wrench(folder)
    (folder / "train.csv").write_text("text\nx\n")
    with pytest.raises(UsageError, match=r"train\.csv and train\.json: keep one"):
        load_task(str(folder))


def test_a_row_that_is_there_twice_is_refused(tmp_path):
    folder = wrench(tmp_path / "mine")
    row = '{"label": 0, "data": {"text": "x"}}'
    (folder / "train.json").write_text(f'{{"a": {row}, "b": {row}, "a": {row}}}')
    with pytest.raises(UsageError, match="duplicate id or field 'a'"):
        load_task(str(folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"0": "no", "2": "yes"}', r"class ids must be 0\.\.1.*1 is missing"),
        ('{"0": "no", "1": "no"}', "two classes have the same name"),
        ('{"0": "no", "1": 1}', "expected names of classes"),
        ('{"0": "no"}', "at least two classes"),
        ("{", r"line 1, column 2: malformed JSON"),
        ("", "is empty"),
    ],
)
def test_a_wrong_label_file_is_refused(tmp_path, content, message):
    folder = wrench(tmp_path / "mine")
    (folder / "label.json").write_text(content)
    for split in SPLITS:
        (folder / f"{split}.json").write_text('{"a": {"label": 0, "data": {"text": "x"}}}')
    with pytest.raises(UsageError, match=message):
        load_task(str(folder))


# entities


def relation(folder: Path, **changes) -> Path:
    wrench(folder)
    data = {"text": "a cast of ferrets .", "entity1": "ferrets", "entity2": "cast", "span1": [10, 17], "span2": [2, 6]}
    for split in SPLITS:
        rows = {str(i): {"label": i % 2, "data": {**data, **changes}} for i in range(4)}
        (folder / f"{split}.json").write_text(json.dumps(rows))
    return folder


def test_entities_are_marked_where_they_stand(tmp_path):
    folder = relation(tmp_path / "mine")
    marked = load_task(f"{folder}[mark_entities=true]")
    plain = load_task(str(folder))
    assert marked.train.texts[0] == "a <e2> cast </e2> of <e1> ferrets </e1> ."
    assert plain.train.texts[0] == "a cast of ferrets ."
    assert marked.name == "mine[mark_entities=true]"
    assert marked.full_fingerprint == plain.full_fingerprint, "label sets are tied to the raw texts"
    assert marked.fingerprint != plain.fingerprint, "the choice is part of a cell's hash"


def test_semeval_is_marked_unless_told_otherwise(data_dir):
    marked = load_task("semeval", data_dir=data_dir)
    plain = load_task("semeval[mark_entities=false]", data_dir=data_dir)
    content = json.loads((data_dir / "semeval" / "test.json").read_text())
    for text, bare, row in zip(marked.test.texts, plain.test.texts, content.values(), strict=True):
        data = row["data"]
        assert bare == data["text"]
        assert f"<e1> {data['entity1']} </e1>" in text
        assert f"<e2> {data['entity2']} </e2>" in text
        stripped = text
        for mark in ("<e1> ", " </e1>", "<e2> ", " </e2>"):
            assert stripped.count(mark) == 1
            stripped = stripped.replace(mark, "")
        assert stripped == bare
    assert (marked.name, plain.name) == ("semeval", "semeval[mark_entities=false]")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"span1": [10, 16]}, "span1 covers 'ferret', entity1 is 'ferrets'"),
        ({"span1": [10, 99]}, "does not lie in the text"),
        ({"span1": None}, "does not lie in the text"),
        ({"span1": [2, 9], "entity1": "cast of"}, "the two entities overlap"),
    ],
)
def test_spans_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        load_task(f"{relation(tmp_path / 'mine', **changes)}[mark_entities=true]")


def test_parameters_are_checked():
    with pytest.raises(UsageError, match="needs the fields span1 and span2"):
        load_task("tweets[mark_entities=true]")
    with pytest.raises(UsageError, match="expected true or false"):
        load_task("semeval[mark_entities=2]")
    with pytest.raises(UsageError, match=r"unknown parameter of task semeval 'mark': did you mean mark_entities"):
        load_task("semeval[mark=true]")


# limits and restrictions


def test_a_limit_keeps_the_order_and_is_the_same_every_time():
    whole, task = load_task("tweets"), load_task("tweets", limit=50)
    for split in SPLITS:
        rows = task.rows[split]
        assert len(rows) == 50
        assert (np.diff(rows) > 0).all()
        assert task.texts(split).texts == tuple(whole.texts(split).texts[row] for row in rows)
        assert np.array_equal(task.gold.of(split), whole.gold.of(split)[rows])
    assert task.fingerprint == load_task("tweets", limit=50).fingerprint
    assert task.fingerprint != whole.fingerprint
    assert task.full_fingerprint == whole.full_fingerprint


def test_a_smaller_limit_is_a_subset_of_a_larger_one():
    small, large = load_task("tweets", limit=20), load_task("tweets", limit=200)
    assert all(np.isin(small.rows[split], large.rows[split]).all() for split in SPLITS)


def test_a_limit_is_a_fair_sample_and_not_the_first_rows():
    rows = load_task("tweets", limit=400).rows["train"]
    assert abs(rows.mean() - 2892 / 2) < 4 * 2892 / np.sqrt(12 * 400)


def test_a_limit_above_the_size_keeps_everything():
    whole = load_task("tweets")
    assert limit_task(whole, 10**6).fingerprint == whole.fingerprint
    with pytest.raises(UsageError, match="--limit 1"):
        load_task("tweets", limit=1)


def test_a_restriction_keeps_every_array_aligned(tmp_path):
    task = load_task(str(wrench(tmp_path / "mine")))
    kept = restrict(task, {"train": np.array([1, 4, 6])})
    assert kept.train.texts == ("train text 1", "train text 4", "train text 6")
    assert kept.gold.train.tolist() == [1, 0, 0]
    assert np.array_equal(kept.votes["train"], task.votes["train"][[1, 4, 6]])
    assert kept.rows["train"].tolist() == [1, 4, 6]
    assert kept.test == task.test
    with pytest.raises(UsageError, match="none of its 8 valid texts would be left"):
        restrict(task, {"valid": np.array([99])})


def test_the_fingerprint_sees_texts_gold_and_votes(tmp_path):
    prints = {
        load_task(str(wrench(tmp_path / "mine", **changes))).fingerprint
        for changes in ({}, {"label": 1}, {"weak_labels": [1, 1, 1]}, {"data": {"text": "other"}})
    }
    assert len(prints) == 4
