"""The tables and the figure that stored beliefs give: wrong labels found, averages of methods."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from bench.report import frame
from bench.report.figures.detection import detection_plans
from bench.report.tables.blocks import blocks
from bench.report.tables.detection import DetectionTables
from bench.report.tables.together import TogetherTable
from bench.store.opinions import kept
from bench.store.records import write_record
from tests.factories import cell_key, done_record, write_done
from tests.report.test_tables import context, entries

METHODS = {"plain": 0.6, "cleanlab": 1.2, "npc": 2.0}
SEEDS = (1, 2, 3)
CLASSES = 6


def beliefs(labels: np.ndarray, skill: float, rng: np.random.Generator) -> np.ndarray:
    logits = rng.normal(size=(len(labels), CLASSES)) + skill * np.eye(CLASSES)[labels]
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> tuple[Path, dict]:
    """Cells of three methods that know more or less, with gold in gaps, and a reference and an old cell besides."""
    folder, made = tmp_path_factory.mktemp("beliefs"), {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        gold = rng.integers(0, CLASSES, 400)
        labels = np.where(rng.random(400) < 0.3, (gold + 1) % CLASSES, gold)
        labels[:7], gold[7:20] = -1, -1
        valid = rng.integers(0, CLASSES, 50)
        for method, skill in METHODS.items():
            record, arrays = done_record(cell_key(method=method, seed=seed))
            believed = beliefs(np.maximum(gold, 0), skill, rng)
            arrays |= {"train_labels": labels.astype(np.int16), "train_gold": gold.astype(np.int16)}
            arrays |= kept("train_mean", np.full((400, CLASSES), 1 / CLASSES), labels)
            arrays |= kept("train_posterior", believed, labels) | {"valid_labels": valid.astype(np.int16)}
            arrays |= kept("valid_last", beliefs(valid, skill, rng), valid)
            arrays["test_last"] = beliefs(arrays["gold"], skill, rng).astype(np.float16)
            write_record(record, folder, arrays)
            made[method, seed] = arrays
        write_done(folder, cell_key(method="oracle", seed=seed), sees_gold=True)
        write_done(folder, cell_key(method="co-teaching", seed=seed))
    return folder, made


@pytest.fixture(scope="module")
def read(simulated):
    results = frame.load(simulated[0])
    (block,) = blocks(results.cells, "plain")
    return results, block


def test_methods_are_scored_by_what_their_beliefs_find(simulated, read):
    (table,) = DetectionTables().make(context(read[1], read[0]))
    found = entries(table)
    for method in METHODS:
        expected = []
        for seed in SEEDS:
            arrays = simulated[1][method, seed]
            labels, gold = (arrays[name].astype(int) for name in ("train_labels", "train_gold"))
            used = (labels >= 0) & (gold >= 0)
            own = arrays["train_posterior"][np.arange(400), labels].astype(float)
            expected.append(100 * average_precision_score((labels != gold)[used], -own[used]))
        assert found[method, "average precision"].mean == pytest.approx(np.mean(expected), abs=1e-3)
        assert found[method, "average precision"].n == 3
    assert found["npc", "times chance"].mean > found["plain", "times chance"].mean > 1
    assert not {method for method, _ in found} & {"oracle", "co-teaching"}


def test_the_seeds_are_those_that_all_methods_have(simulated, tmp_path):
    folder = shutil.copytree(simulated[0], tmp_path / "fewer")
    cell_key(method="npc", seed=SEEDS[-1]).path(folder).unlink()
    results = frame.load(folder)
    (block,) = blocks(results.cells, "plain")
    (table,) = DetectionTables().make(context(block, results))
    assert {entry.n for row in table.rows for entry in row.entries} == {len(SEEDS) - 1}
    assert len({entry.mean for (_, name), entry in entries(table).items() if name == "chance"}) == 1
    assert "t-interval over the seeds that all of them have" in table.caption[0]


def test_a_method_with_too_few_seeds_is_left_out_and_named_and_disjoint_seeds_are_said(simulated, tmp_path):
    for lost, rows in {"npc": SEEDS[1:], "cleanlab": SEEDS}.items():
        folder = shutil.copytree(simulated[0], tmp_path / lost)
        for seed in rows:
            cell_key(method="npc", seed=seed).path(folder).unlink()
        for seed in SEEDS[1:] if lost == "cleanlab" else ():
            cell_key(method="cleanlab", seed=seed).path(folder).unlink()
        if lost == "cleanlab":
            cell_key(method="plain", seed=SEEDS[0]).path(folder).unlink()
        results = frame.load(folder)
        (block,) = blocks(results.cells, "plain")
        found = list(DetectionTables().make(context(block, results)))
        if lost == "npc":
            assert {row.label for row in found[0].rows} == {"plain", "cleanlab"}
            assert {entry.n for row in found[0].rows for entry in row.entries} == {len(SEEDS)}
            assert "Without npc: too few seeds." in found[0].caption
        else:
            assert found == []
            assert any("Wrong labels found is left out" in note for note in results.notes)


def test_ways_to_use_all_methods_are_scored_and_only_the_oracle_looks_at_test(simulated, read):
    (table,) = TogetherTable().make(context(read[1], read[0]))
    found = entries(table)
    made = simulated[1]

    def accuracy(members, seed):
        mean = np.mean([made[method, seed]["test_last"].astype(float) for method in members], axis=0)
        return 100 * (mean.argmax(1) == made[members[0], seed]["gold"]).mean()

    def on_valid(members, seed):
        mean = np.mean([made[method, seed]["valid_last"].astype(float) for method in members], axis=0)
        return (mean.argmax(1) == made[members[0], seed]["valid_labels"]).mean()

    names = sorted(METHODS)
    pairs = [(names[a], names[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    expected = {
        "any single method": [np.mean([accuracy([m], s) for m in names]) for s in SEEDS],
        "any pair averaged": [np.mean([accuracy(p, s) for p in pairs]) for s in SEEDS],
        "all methods averaged": [accuracy(names, s) for s in SEEDS],
        "the pair chosen on noisy valid": [accuracy(max(pairs, key=lambda p: on_valid(p, s)), s) for s in SEEDS],
        "the single method chosen on noisy valid": [
            accuracy([max(names, key=lambda m: on_valid([m], s))], s) for s in SEEDS
        ],
        "best single method on test (oracle)": [max(accuracy([m], s) for m in names) for s in SEEDS],
    }
    assert {row.label for row in table.rows} == set(expected)
    best = expected["best single method on test (oracle)"]
    for way, values in expected.items():
        assert found[way, "accuracy"].mean == pytest.approx(np.mean(values), abs=1e-6), way
        assert found[way, "regret"].mean == pytest.approx(np.mean(np.subtract(best, values)), abs=1e-6), way
    assert [row.kind for row in table.rows if "oracle" in row.label] == ["reference"]


@pytest.mark.parametrize("table", [DetectionTables, TogetherTable])
def test_the_baseline_stopped_early_is_not_counted_as_a_method_of_its_own(read, table):
    results, block = read
    early = block.by("last")
    assert early.early in early.methods
    (plain,), (found,) = (list(table().make(context(each, results))) for each in (block, early))
    assert [(row.label, row.entries) for row in found.rows] == [(row.label, row.entries) for row in plain.rows]


def test_the_figure_has_a_panel_per_column_and_names_every_method(read):
    results, block = read
    (plan,) = detection_plans(results, block.by("last"))
    figure = plan.draw()
    assert len([axis for axis in figure.axes if axis.get_visible()]) == 1
    assert figure.axes[0].get_xlabel() == "times chance"
    assert {label.get_text() for label in figure.axes[0].get_yticklabels()} == set(METHODS)


def test_records_without_beliefs_give_neither_table_nor_figure(results):
    for block in blocks(results.cells, "plain"):
        assert not list(DetectionTables().make(context(block, results)))
        assert not list(TogetherTable().make(context(block, results)))
        assert detection_plans(results, block) == []


def test_cleanlab_is_named_only_where_it_is_shown(simulated, tmp_path):
    def said(folder):
        results = frame.load(folder)
        (block,) = blocks(results.cells, "plain")
        (table,), (plan,) = DetectionTables().make(context(block, results)), detection_plans(results, block)
        return " ".join(table.caption), plan.caption

    assert all("baseline to beat" in text for text in said(simulated[0]))
    folder = shutil.copytree(simulated[0], tmp_path / "without")
    for seed in SEEDS:
        cell_key(method="cleanlab", seed=seed).path(folder).unlink()
    assert not any("cleanlab" in text for text in said(folder))
