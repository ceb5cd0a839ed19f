"""What is one task and what are two; which data are the newest of a source; what older data may not touch."""

import csv

import numpy as np
import pytest

from bench.report import frame
from bench.report.build import build_report
from bench.report.compare.match import compare
from bench.report.figures.collect import plans
from bench.report.figures.overview import improvement_data
from bench.report.places import ages, portable
from bench.report.tables.blocks import blocks, compared
from bench.report.tables.result import result_table
from bench.report.tables.wins import WinsTable
from bench.store.records import DataFacts, write_record
from tests.factories import cell_key, done_record, write_done
from tests.report.test_tables import context

SEEDS = (1, 2, 3)
NEW, OLD, OLDEST = "2026-03-0{}T00:00:00Z", "2026-02-0{}T00:00:00Z", "2026-01-0{}T00:00:00Z"


def write(folder, data, created, noise="gpt", methods=("plain", "gce"), seeds=SEEDS, **changes):
    for method in methods:
        for seed in seeds:
            key = cell_key("reviews", noise, method, seed, data=data, **changes)
            write_done(folder, key, created=created.format(seed))


@pytest.fixture
def mixed(tmp_path):
    """One source of three versions of the data, and another source; the newest version of the first is half done."""
    write(tmp_path / "mixed", "one", OLDEST)
    write(tmp_path / "mixed", "two", OLD)
    write(tmp_path / "mixed", "three", NEW, seeds=(1, 2))
    write(tmp_path / "mixed", "two", OLD, noise="sn@0.3")
    write(tmp_path / "newest", "three", NEW, seeds=(1, 2))
    write(tmp_path / "newest", "two", OLD, noise="sn@0.3")
    return tmp_path


def block_of(folder):
    return blocks(frame.load(folder).cells, "plain")[0]


def test_only_the_newest_data_of_a_source_carry_its_name_for_every_seed(mixed):
    cells = frame.load(mixed / "mixed").cells
    names = cells.groupby(["data", "noise"]).size().to_dict()
    assert names == {
        ("one", "gpt (older data 2)"): 6,
        ("two", "gpt (older data)"): 6,
        ("three", "gpt"): 4,
        ("two", "sn@0.3"): 6,
    }


def test_averages_tests_wins_and_headline_are_those_of_a_folder_without_the_older_cells(mixed):
    both, alone = block_of(mixed / "mixed"), block_of(mixed / "newest")
    assert [noise for _, noise in both.columns] == ["gpt", "gpt (older data)", "gpt (older data 2)", "sn@0.3"]
    assert compared(both, "accuracy_last") == compared(alone, "accuracy_last")
    assert list(WinsTable().make(context(both))) == list(WinsTable().make(context(alone)))
    ours, theirs = (improvement_data(block, "last") for block in (both, alone))
    np.testing.assert_array_equal(ours["gce"], theirs["gce"])
    tables = [result_table(block, "reviews", "accuracy", "last") for block in (both, alone)]
    for row, expected in zip(*(table.rows for table in tables), strict=True):
        assert row.entries[:2] == expected.entries[:2], "average and difference"
    summaries = [
        build_report(mixed / name, mixed / "out" / name, formats=["csv"]).sentences[1] for name in ("mixed", "newest")
    ]
    assert summaries[0] == summaries[1]
    for name in ("significance-accuracy", "ranks", "selection", "calibration"):
        paths = [next((mixed / "out" / one / "tables").glob(f"{name}*.csv")) for one in ("mixed", "newest")]
        assert paths[0].read_text() == paths[1].read_text()


def test_with_one_column_left_there_is_no_average(tmp_path):
    write(tmp_path, "old", OLD)
    write(tmp_path, "new", NEW)
    table = result_table(block_of(tmp_path), "reviews", "accuracy", "last")
    assert [head.name for head in table.heads] == ["vs plain", "gpt", "gpt (older data)"]
    assert any("Superseded" in sentence and "gpt (older data) of reviews" in sentence for sentence in table.caption)


def test_older_data_are_older_in_every_set_up_and_another_limit_is_another_matter(tmp_path):
    write(tmp_path, "old", OLD)
    write(tmp_path, "new", NEW, encoder=("minilm", "frozen"))
    write(tmp_path, "few", NEW, limit=50)
    cells = frame.load(tmp_path).cells
    assert cells.groupby("data")["age"].unique().map(list).to_dict() == {"old": [1], "new": [0], "few": [0]}


@pytest.mark.parametrize("noise", ["weak", "vote(a,b)"])
def test_labels_that_are_drawn_for_each_seed_are_one_version(noise):
    texts, other = "a" * 64, "b" * 64
    keys = [cell_key(noise=noise, seed=seed, data=f"{texts}-{seed}") for seed in SEEDS]
    keys += [cell_key(noise=noise, seed=seed, data=f"{other}-{seed}") for seed in SEEDS[1:]]
    created = [OLD.format(1)] * 3 + [NEW.format(1)] * 2
    assert ages(keys, [("t", noise)] * 5, created) == [1, 1, 1, 0, 0]
    fixed = [key.model_copy(update={"noise": "gpt/few"}) for key in keys[:3]]
    assert sorted(ages(fixed, [("t", "gpt/few")] * 3, [OLD.format(seed) for seed in SEEDS])) == [0, 1, 2]


def test_a_comparison_of_two_folders_keeps_older_data_apart(mixed):
    lines = compare(mixed / "mixed", mixed / "mixed")
    columns = {(line.noise, len(line.seeds)) for line in lines.lines if line.method == "gce"}
    assert columns == {("gpt", 2), ("gpt (older data)", 3), ("gpt (older data 2)", 3), ("sn@0.3", 3)}
    assert {line.columns for line in lines.averages} == {2}


def facts(data, origin):
    return DataFacts(
        fingerprint=data, label_names=["no", "yes"], n_train=400, n_valid=50, n_test=200, has_gold=True, origin=origin
    )


def test_two_files_of_one_name_are_two_tasks(tmp_path):
    for place in ("a", "b"):
        for seed in SEEDS:
            key = cell_key("x", "gpt", "plain", seed, data=f"data of {place}")
            write_done(tmp_path, key, data=facts(key.data, f"../{place}/x.csv"))
    cells = frame.load(tmp_path).cells
    assert set(zip(cells["task"], cells["age"], strict=True)) == {("a/x", 0), ("b/x", 0)}
    heads = result_table(block_of(tmp_path), "", "accuracy", "last").heads
    assert {head.group for head in heads if head.task} == {"a/x", "b/x"}
    assert [
        plan.task for plan in plans(frame.load(tmp_path), blocks(cells, "plain"), "last") if plan.kind == "ece"
    ] == ["a/x", "b/x"]


def test_texts_in_two_splits_and_valid_without_answers_are_notes_and_no_numbers(tmp_path):
    for seed in SEEDS:
        key = cell_key("trec", "gpt", "plain", seed)
        data = facts(key.data, None).model_copy(update={"repeats": {"test in train": 7, "valid in train": 0}})
        record, arrays = done_record(key, data=data)
        noise = record.noise.model_copy(update={"no_answer_valid": 1.0})
        scores = record.scores.model_copy(update={"noisy_valid": None})
        write_record(record.model_copy(update={"noise": noise, "scores": scores}), tmp_path, arrays)
    results = frame.load(tmp_path)
    assert any("trec: 7 of 200 test texts are also in train" in note for note in results.notes)
    assert "trec, gpt: no valid text has an answer, so no step can be chosen there." in results.notes
    assert results.cells["accuracy_noisy_valid"].isna().all()
    table = result_table(blocks(results.cells, "plain")[0], "trec", "accuracy", "noisy_valid")
    assert table.rows[0].entries[0].state == "empty"
    build_report(tmp_path, tmp_path / "report", formats=["csv"])
    [path] = (tmp_path / "report" / "tables").glob("selection*.csv")
    states = {row["column"]: row["state"] for row in csv.DictReader(path.open())}
    assert (states["last step"], states["noisy valid"], states["oracle best"]) == ("value", "empty", "value")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bench run --data-dir /srv/ann/my/data --seeds 1", "bench run --data-dir …/data --seeds 1"),
        ("--tasks '/data/x.csv[limit=2]'", "--tasks '…/x.csv[limit=2]'"),
        (r"cannot read C:\Users\ann\x.csv", "cannot read …/x.csv"),
        ("[Errno 2] No such file: '/tmp/a/b.json'", "[Errno 2] No such file: '…/b.json'"),
        ("~/.cache/models/x is missing", "…/x is missing"),
        ("gpt-4/zero and ../shared/data and mean / half", "gpt-4/zero and ../shared/data and mean / half"),
        ("https://example.org/a/b.csv", "https://example.org/a/b.csv"),
    ],
)
def test_a_text_that_may_be_passed_on_names_no_folder_of_this_machine(text, shown):
    assert portable(text) == shown
