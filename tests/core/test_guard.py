"""What a method opens by itself is noted while its own code runs: what is heard, what is not, and under which name."""

import dataclasses
import os
import threading
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pyarrow.csv
import pytest

import bench
from bench.core.guard import Watch
from bench.data.load import load_task
from bench.data.tasks import known
from bench.running.data_files import Place, data_places, names_of
from llm_labels.labelsets import SETS
from tests.conftest import review_rows, write_csv


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / "reviews.csv", review_rows())


def heard(do, watch=None):
    """The real paths of files that were opened while `do()` ran."""
    watch = watch or Watch()
    with watch:
        do()
    return watch.opened


WAYS = {
    "open": lambda path: path.open().close(),
    "os.open": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "bytes": lambda path: open(os.fsencode(path)).close(),
    "numpy": lambda path: np.genfromtxt(path, delimiter=",", dtype=str, comments=None),
    "numpy memmap": lambda path: np.memmap(path, mode="r"),
    "pandas": pandas.read_csv,
    "pandas by pyarrow": lambda path: pandas.read_csv(path, engine="pyarrow"),
    "pandas memory map": lambda path: pandas.read_csv(path, memory_map=True),
    "the harness's own reader": lambda path: load_task(str(path)),
}


@pytest.mark.parametrize("way", WAYS)
def test_files_opened_through_python_are_heard(way, table):
    assert os.path.realpath(table) in heard(lambda: WAYS[way](table))


@pytest.mark.parametrize("way", ["csv", "memory map"])
def test_compiled_code_that_opens_a_file_itself_is_not(way, table):
    """The limit that the documentation names; `bench check` permutes gold on disk for its sake."""
    read = {"csv": pyarrow.csv.read_csv, "memory map": lambda path: pyarrow.memory_map(path).read()}[way]
    assert heard(lambda: read(str(table))) == set()


def test_a_link_and_a_relative_path_are_heard_as_the_file_itself(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def through_a_link():
        os.symlink("reviews.csv", "link")
        open("link").close()
        os.remove("link")

    assert heard(through_a_link) == {os.path.realpath(table)}


def test_folders_code_and_open_files_are_not_noted(table, tmp_path):
    (tmp_path / "code.py").write_text("")
    with table.open() as file:
        assert heard(lambda: os.fdopen(os.dup(file.fileno())).close()) == set()
    assert heard(lambda: (tmp_path / "code.py").read_text()) == set()
    assert heard(lambda: os.close(os.open(tmp_path, os.O_RDONLY))) == set()


def test_nothing_is_noted_before_and_after_nor_what_cannot_be_a_path(table):
    watch = Watch()
    table.read_bytes()
    with watch, pytest.raises(ValueError, match="null"):
        os.open("a\0b", os.O_RDONLY)
    table.read_bytes()
    assert watch.opened == set()


def test_between_two_steps_the_harness_opens_what_it_likes(tmp_path):
    for name in "abcd":
        (tmp_path / name).write_text("")

    def run():
        (tmp_path / "a").read_text()
        yield 1
        (tmp_path / "b").read_text()
        yield 2
        (tmp_path / "c").read_text()

    watch = Watch()
    for _ in watch.steps(run):
        (tmp_path / "d").read_text()
    assert {Path(path).name for path in watch.opened} == {"a", "b", "c"}


def test_an_error_ends_the_noting(table):
    def run():
        yield 1
        raise RuntimeError("no")

    watch = Watch()
    with pytest.raises(RuntimeError, match="no"):
        list(watch.steps(run))
    table.read_bytes()
    assert watch.opened == set()


def test_a_thread_of_the_method_is_heard_and_one_of_before_is_not(tmp_path):
    for name in ("before", "meanwhile"):
        (tmp_path / name).write_text("")
    go, read = threading.Event(), lambda name: (tmp_path / name).read_text()
    older = threading.Thread(target=lambda: go.wait(60) and read("before"))
    older.start()

    def run():
        younger = threading.Thread(target=read, args=("meanwhile",))
        younger.start()
        younger.join()
        go.set()
        older.join()

    assert {Path(path).name for path in heard(run)} == {"meanwhile"}


def test_two_methods_in_two_threads_are_told_apart(tmp_path):
    both, found = threading.Barrier(2, timeout=60), {}
    for name in "ab":
        (tmp_path / name).write_text("")

    def run(name):
        watch = Watch()
        both.wait()  # each is there before the other listens
        with watch:
            both.wait()
            (tmp_path / name).read_text()
            both.wait()
        found[name] = {Path(path).name for path in watch.opened}

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": {"a"}, "b": {"b"}}


def test_a_files_name_holds_no_folder_of_this_machine(table, tmp_path):
    places = data_places(load_task(str(table)), tmp_path / "data", tmp_path / "results")
    opened = [
        table,
        Path(bench.__file__).parent / "data" / "files" / "tweets" / "test.csv",
        SETS / "smollm2" / "few" / "tweets" / "train.csv",
        tmp_path / "data" / "reviews" / "test.csv",
        tmp_path / "data" / "llm_labels" / "x" / "few" / "reviews" / "test.csv",
        tmp_path / "results" / "cells" / "reviews" / "seed-1.npz",
    ]
    assert names_of(map(os.path.realpath, opened), places) == [
        "bench/data/tweets/test.csv",
        "llm_labels/sets/smollm2/few/tweets/train.csv",
        "llm_labels/x/few/reviews/test.csv",
        "results/cells/reviews/seed-1.npz",
        "reviews.csv",
        "reviews/test.csv",
    ]


def test_a_methods_own_files_are_its_own(table, tmp_path):
    """Weights, a vocabulary, another table beside the task's file or among its folder's, stages of the results."""
    places = data_places(load_task(str(table)), tmp_path, tmp_path / "results")
    own = ["model.pt", "vocabulary.json", "other.csv", "results/stages/x.safetensors", "reviews.csv.bak"]
    assert names_of([os.path.realpath(tmp_path / name) for name in own], places) == []


def test_of_a_folder_the_tables_count(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for split in ("train", "test"):
        write_csv(folder / f"{split}.csv", [row for row in review_rows() if row["split"] == split])
    for name in ("label.json", "model.pt", "notes.txt"):
        (folder / name).write_text('["negative", "positive"]')
    places = data_places(load_task(str(folder)))
    opened = [os.path.realpath(path) for path in folder.iterdir()]
    assert names_of(opened, places) == ["mine/test.csv", "mine/train.csv"]


def test_a_name_that_only_begins_like_a_folder_is_not_in_it():
    places = [Place("data", os.sep + "data")]
    assert names_of([f"{os.sep}database", f"{os.sep}data{os.sep}x"], places) == ["data/x"]


def test_a_downloaded_task_is_watched_in_its_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hub"))
    (tmp_path / "hub" / "SetFit___20_newsgroups").mkdir(parents=True)
    task = load_task("tweets")
    places = data_places(dataclasses.replace(task, info=known()["20news"]))
    opened = [tmp_path / "cache" / "downloads" / "ab" / "test.json"]
    opened += [tmp_path / "hub" / "SetFit___20_newsgroups" / "test.arrow"]
    assert names_of(map(os.path.realpath, opened), places) == [
        "SetFit/20_newsgroups/test.arrow",
        "downloads/ab/test.json",
    ]
