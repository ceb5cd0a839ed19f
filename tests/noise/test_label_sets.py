"""Finding label sets: the user's folder first, then the project's own, then the authors' published files."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.core.errors import Unavailable
from bench.core.files import slug
from bench.data.load import load_task
from bench.data.tasks import Repository, TaskInfo, known
from bench.noise.draw import covered, draw
from bench.noise.label_sets import PUBLISHED, find_label_sets, labellers, labelling_cost, read_labels
from bench.noise.select import sources_for
from bench.noise.study import readable, shares_right
from llm_labels import labelsets
from llm_labels.labelsets import SETS, read_card
from tests.label_set_factory import answer, toy_task

SPLITS = ("train", "valid", "test")


@pytest.fixture
def task(tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    for split in SPLITS:
        rows = "".join(f"{split} {i},{'no' if i % 2 else 'yes'}\n" for i in range(6))
        (folder / f"{split}.csv").write_text("text,label\n" + rows)
    return load_task(str(folder))


def touch(root: Path, *names: str) -> Path:
    for name in names:
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "train.csv").touch()
    return root


def test_the_users_folder_wins_and_nothing_else_in_it_is_a_label_set(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.noise.label_sets.PUBLISHED", {})
    monkeypatch.setattr("bench.noise.label_sets.known", dict)
    own = touch(tmp_path / "sets", "gpt/zero/toy", "gpt/few/toy")
    monkeypatch.setattr("llm_labels.labelsets.SETS", own)
    users = touch(tmp_path / "data" / "llm_labels", "gpt/zeroshot/toy", "phi/few/toy", "notes/old/toy")
    (users / "phi" / "few" / "empty").mkdir()
    found = {(ref.labeller, ref.prompting): ref.place for ref in find_label_sets(tmp_path / "data")}
    assert found == {
        ("gpt", "zero"): users / "gpt" / "zeroshot" / "toy",
        ("gpt", "few"): own / "gpt" / "few" / "toy",
        ("phi", "few"): users / "phi" / "few" / "toy",
    }
    assert labellers(None) == {"gpt": (("few", "toy"), ("zero", "toy"))}
    assert find_label_sets(tmp_path / "data", "other") == []


def test_answers_that_come_with_a_task_are_there_only_where_it_is(tmp_path):
    haiku = "claude-3-5-haiku"
    assert haiku not in labellers(tmp_path)
    assert labellers(tmp_path, ["cfpb", "trec"])[haiku] == (("zero", "cfpb"),)
    assert "semeval" in {task for _, task in labellers(tmp_path)["mixtral-8x22b"]}, "those have files of their own"


def test_published_sets_are_pinned_and_belong_to_known_tasks():
    for (_, prompting, task), repository in PUBLISHED.items():
        assert prompting in ("zero", "few")
        assert task in known()
        assert len(repository.commit) == 40
        assert all(len(sha256) == 64 for _, sha256 in repository.files.values())


@pytest.fixture
def published(task, tmp_path, monkeypatch):
    """One published set, served from this disk."""
    files = {}
    for split in SPLITS:
        rows = "".join(f"?,{text},{i % 2}\n" for i, text in enumerate(task.texts(split).texts))
        path = tmp_path / f"published_{split}.csv"
        path.write_text("true_label,original_sent,noisy_label\n" + rows)
        files[split] = (str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(Repository, "url", lambda self, split: f"file://{self.files[split][0]}")
    monkeypatch.setattr("llm_labels.labelsets.SETS", tmp_path / "none")
    monkeypatch.setattr("bench.noise.label_sets.known", dict)
    monkeypatch.setattr(
        "bench.noise.label_sets.PUBLISHED", {("big", "few", "toy"): Repository("owner/name", "0" * 40, files)}
    )
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("HF_HUB_OFFLINE", "BENCH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_published_set_is_fetched_checked_and_kept(task, published):
    [ref] = find_label_sets()
    assert read_labels(ref, task)["train"].labels.tolist() == [0, 1] * 3
    for path in published.glob("published_*.csv"):
        path.unlink()
    assert read_labels(ref, task)["test"].labels.tolist() == [0, 1] * 3


def test_a_published_set_out_of_reach_is_a_skip_that_says_what_to_do(task, published):
    for path in published.glob("published_*.csv"):
        path.unlink()
    [(source, why)] = sources_for(task, llms=["big"])
    assert source.id == "big/few"
    assert "cannot be reached" in why
    assert "put them into llm_labels/big/few/toy" in why
    with pytest.raises(Unavailable):
        read_labels(find_label_sets()[0], task)


def test_the_cost_of_label_sets_is_the_sum_of_their_cards():
    refs = [ref for ref in find_label_sets(task="trec") if ref.labeller == "smollm2"]
    assert len(refs) == 2
    cards = [read_card(SETS / "smollm2" / prompting / "trec") for prompting in ("few", "zero")]
    cost = labelling_cost(refs)
    assert cost["texts"] == sum(part.asked for card in cards for part in card.splits.values())
    assert cost["seconds"] == pytest.approx(sum(card.cost["seconds"] for card in cards))
    assert labelling_cost(find_label_sets(task="trec")[:1])["texts"] > 0


def test_the_authors_labels_have_no_known_cost(tmp_path):
    ref = next(ref for ref in find_label_sets() if ref.labeller == "mixtral-8x22b")
    assert isinstance(ref.place, Repository)
    assert labelling_cost([ref]) == {}
    assert labelling_cost([ref, *find_label_sets(task="trec")]) == {}


def test_an_unknown_price_is_not_nothing():
    known, unknown = (
        SimpleNamespace(card=SimpleNamespace(cost=cost, splits={"train": SimpleNamespace(asked=3)}))
        for cost in ({"usd": 0.0, "seconds": 1.0}, {"seconds": 2.0})
    )
    assert labelling_cost([known, unknown]) == labelling_cost([unknown, known]) == {"texts": 6, "seconds": 3.0}


def test_label_files_are_read_once_until_they_change(task, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "llm_labels" / "gpt" / "few" / "toy"
    folder.mkdir(parents=True)

    def write(label: int) -> None:
        for split in SPLITS:
            rows = "".join(f"0,{text},{label}\n" for text in task.texts(split).texts)
            (folder / f"{split}.csv").write_text("true_label,original_sent,noisy_label\n" + rows)

    read = []
    whole = labelsets.read_table
    monkeypatch.setattr(labelsets, "read_table", lambda path, **more: read.append(path.name) or whole(path, **more))
    write(0)
    [(source, _)] = sources_for(task, llms=["gpt"], data_dir=tmp_path / "data")
    first = [draw(source, task, seed).train.tolist() for seed in range(3)]
    assert first == [[0] * 6] * 3
    assert sorted(read) == ["test.csv", "train.csv", "valid.csv"]
    (folder / "train.csv").unlink()
    write(1)
    assert draw(source, task, 1).train.tolist() == [1] * 6
    assert len(read) == 6
    with pytest.raises(ValueError, match="read-only"):
        read_labels(source.members[0], task)["train"].labels[0] = 1


def test_a_set_of_a_file_whose_name_is_no_folder_name_is_found_and_an_unfinished_one_is_a_skip(tmp_path):
    toy = toy_task(tmp_path)
    task = dataclasses.replace(toy, name="Größe 1", info=dataclasses.replace(toy.info, name="Größe 1"))
    made = answer(task, tmp_path, "gpt", 2)
    made.rename(made.parent / slug("Größe 1"))
    [(source, _)] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    assert draw(source, task, 1).train.shape == (60,)
    assert [ref.task for ref in find_label_sets(tmp_path, "Größe 1")] == ["Gr-e-1"]
    (made.parent / slug("Größe 1") / "card.json").unlink()
    [(_, reason)] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    assert "is unfinished: run the same `bench label` command to finish it" in reason


def test_a_test_split_that_the_budget_did_not_reach_is_as_absent(tmp_path):
    toy = toy_task(tmp_path)
    every = {split: range(len(toy.texts(split))) for split in SPLITS}
    answer(toy, tmp_path, "gpt", 2, rows=every | {"test": range(0)})
    [(source, _)] = sources_for(toy, llms=["gpt"], data_dir=tmp_path)
    assert covered(source, toy) is toy
    assert draw(source, toy, 1).test is None


def test_sets_that_cannot_be_read_are_left_out_of_a_study_with_the_reason(tmp_path):
    toy = toy_task(tmp_path)
    answer(toy, tmp_path, "gpt", 2)
    (answer(toy, tmp_path, "cut-off", 2) / "card.json").unlink()
    found, reasons = readable(toy, find_label_sets(tmp_path, "toy"))
    assert [ref.id for ref in found] == ["gpt/zero"]
    [reason] = reasons
    assert reason.startswith("cut-off/zero is left out: ")
    assert "is unfinished" in reason


def test_the_share_right_counts_what_was_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("llm_labels.labelsets.SETS", tmp_path / "none")
    toy = toy_task(tmp_path)
    answer(toy, tmp_path, "gpt", 2)
    answer(toy, tmp_path, "phi", 5, rows={split: [0, 1, 2, 3] for split in SPLITS})
    info = TaskInfo("toy", "Toy", toy.label_names, 16, "", "2026")
    for module in ("bench.data.load", "bench.noise.label_sets"):
        monkeypatch.setattr(f"{module}.known", lambda: {"toy": info})
    sets = find_label_sets(tmp_path, "toy")
    whole = [i % 2 == 1 and i % 7 != 6 for split in SPLITS for i in range(len(toy.texts(split)))]
    assert shares_right(sets, tmp_path) == [pytest.approx(sum(whole) / len(whole)), pytest.approx(3 / 4)]
    shutil.rmtree(tmp_path / "toy")
    assert shares_right(sets, tmp_path) == [None, None]
