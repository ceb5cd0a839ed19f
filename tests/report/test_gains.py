"""The difference from the baseline in every column."""

import pytest
from scipy import stats

from bench.report import frame
from bench.report.tables.blocks import blocks
from bench.report.tables.gains import gain_table
from tests.factories import cell_key, write_done
from tests.report.test_tables import by_seed, entries


@pytest.mark.parametrize("metric", ["accuracy", "ece"])
def test_every_column_is_a_paired_difference(results, metric):
    block = next(block for block in blocks(results.cells, "plain") if block.setup == "minilm:fine-tuned")
    table = gain_table(block, metric, "last", "plain")
    assert [row.label for row in table.rows] == [method for method in block.methods if method != "plain"]
    position = block.columns.index(("trec", "sn@0.3"))
    found = next(row for row in table.rows if row.label == "co-teaching").entries[position]
    pair = [by_seed(results, method, "sn@0.3", f"{metric}_last") for method in ("co-teaching", "plain")]
    gaps = (pair[0] - pair[1]).dropna()
    half = stats.t.interval(0.95, len(gaps) - 1, scale=stats.sem(gaps))[1]
    assert (found.mean, found.half, found.n) == (pytest.approx(gaps.mean()), pytest.approx(half), len(gaps))
    better = found.mean > half if metric == "accuracy" else found.mean < -half
    assert found.best == better
    assert found.signed


def test_bold_is_what_the_seeds_support(tmp_path):
    plain = {"sn@0.2": [0.5, 0.6, 0.7], "sn@0.4": [0.5, 0.6, 0.7]}
    better = {"sn@0.2": [0.6, 0.7, 0.81], "sn@0.4": [0.7, 0.6, 0.7]}
    wanted = {"plain": plain, "npc": better, "oracle": better, "elr": {"sn@0.2": [0.9, 0.95]}}
    accuracies = {
        (method, noise, seed): accuracy
        for method, by_noise in wanted.items()
        for noise, scores in by_noise.items()
        for seed, accuracy in enumerate(scores, 1)
    }
    for method, noise, seed in accuracies:
        write_done(tmp_path, cell_key(method=method, noise=noise, seed=seed))
    cells = frame.load(tmp_path).cells
    places = zip(cells["method"], cells["noise"], cells["seed"], strict=True)
    cells["accuracy_last"] = [accuracies[place] for place in places]
    table = gain_table(blocks(cells, "plain")[0], "accuracy", "last", "plain")
    found = entries(table)
    assert found["npc", "sn@0.2"].best
    assert not found["npc", "sn@0.4"].best
    assert not found["oracle", "sn@0.2"].best, "a reference does not compete"
    assert not found["elr", "sn@0.2"].best, "two seeds support nothing"
    assert found["elr", "sn@0.4"].state == "not run"
    assert found["npc", "average"].mean == pytest.approx((10 + 10 + 11) / 3), "over the column that all have"
    assert "sn@0.2" in " ".join(table.caption)


def test_without_a_baseline_there_is_none(results):
    block = blocks(results.cells, None)[0]
    assert gain_table(block, "accuracy", "last", None) is None
