"""Tasks that come with LLMs' answers: published files give, row by row, what the tidy tables hold."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bench.core.texts import SPLITS
from bench.data.load import load_task
from bench.data.readers.published import PublishedTask, split_names
from bench.data.tasks import Published, known

TASKS = sorted(name for name, info in known().items() if any(isinstance(each, Published) for each in info.sources))


def published(name: str, data_dir: Path | None) -> PublishedTask:
    info = known()[name]
    [source] = info.sources
    return PublishedTask(info, source, data_dir)


@pytest.fixture
def as_published(data_dir, tmp_path):
    """A data folder with the repositories' files alone."""
    if not (data_dir / "published").is_dir() or not (data_dir / "llm").is_dir():
        pytest.skip("no published/ and llm/ in the test data")
    (tmp_path / "published").symlink_to(data_dir / "published")
    return tmp_path


def tidy_rows(data_dir: Path, name: str) -> list[dict[str, str]]:
    with open(data_dir / "llm" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_seven_tasks_are_there():
    assert TASKS == ["babe", "banking58", "cfpb", "fomc", "phrasebank", "pidgin", "scicite"]


@pytest.mark.parametrize("name", TASKS)
def test_published_files_are_the_tidy_table_row_by_row(name, as_published, data_dir):
    task, rows = published(name, as_published), tidy_rows(data_dir, name)
    assert task.tidy is None
    raw, names = task.texts(), known()[name].label_names
    answers = {labeller: task.answers(labeller) for labeller in task.source.labellers}
    assert {labeller.replace("/", "__") for labeller in answers} == {head for head in rows[0] if "__" in head}
    for split, part in raw.splits.items():
        expected = [row for row in rows if row["split"] == split]
        assert part.ids == tuple(row["id"] for row in expected)
        assert part.texts == tuple(row["text"] for row in expected)
        assert [names[label] for label in part.gold] == [row["gold"] for row in expected]
        for labeller, found in answers.items():
            given = [names[label] if label >= 0 else "" for label in found[split].labels]
            assert given == [row[labeller.replace("/", "__")] for row in expected], labeller


@pytest.mark.parametrize("name", TASKS)
def test_the_tidy_table_gives_the_same_task(name, as_published, data_dir):
    assert published(name, data_dir).tidy == data_dir / "llm" / f"{name}.csv"
    tidy, other = load_task(name, data_dir=data_dir), load_task(name, data_dir=as_published)
    assert tidy.fingerprint == other.fingerprint
    assert tidy.train.ids == other.train.ids
    for labeller in list(known()[name].sources[0].labellers)[:2]:
        one, two = (published(name, folder).answers(labeller) for folder in (data_dir, as_published))
        for split in SPLITS:
            np.testing.assert_array_equal(one[split].labels, two[split].labels)
            assert one[split].fingerprint == tidy.full_fingerprint[split]


def test_splits_are_shuffled_names():
    names = split_names(1000)
    assert [int((names == split).sum()) for split in SPLITS] == [650, 100, 250]
    assert names[:5].tolist() == np.random.default_rng(20261126).permutation(
        ["train"] * 650 + ["valid"] * 100 + ["test"] * 250
    )[:5].tolist()  # fmt: skip
