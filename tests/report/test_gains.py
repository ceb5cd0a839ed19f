"""The difference from the baseline in every column."""

import numpy as np
import pytest
from scipy import stats

from bench.report import frame
from bench.report.tables.blocks import blocks
from bench.report.tables.bootstrap import Draws
from bench.report.tables.gains import gain_table
from bench.report.tables.rules import rule_gains_table, rules_table
from bench.report.tables.stats import DRAWS
from tests.factories import cell_key, write_done
from tests.report.test_tables import by_seed, context, entries


@pytest.mark.parametrize("metric", ["accuracy", "ece"])
def test_every_column_is_a_paired_difference(results, metric):
    block = next(block for block in blocks(results.cells, "plain") if block.setup == "minilm:fine-tuned")
    table = gain_table(context(block), metric)
    assert [row.label for row in table.rows] == [method for method in block.methods if method != "plain"]
    position = [(head.task, head.noise) for head in table.heads].index(("trec", "sn@0.3"))
    found = next(row for row in table.rows if row.label == "co-teaching").entries[position]
    pair = [by_seed(results, method, "sn@0.3", f"{metric}_last") for method in ("co-teaching", "plain")]
    gaps = (pair[0] - pair[1]).dropna()
    half = stats.t.interval(0.95, len(gaps) - 1, scale=stats.sem(gaps))[1]
    assert (found.mean, found.half, found.n) == (pytest.approx(gaps.mean()), pytest.approx(half), len(gaps))
    assert not found.best, "the test texts were not drawn anew"
    assert found.signed
    said = " ".join(table.caption)
    assert ("higher is better" if metric == "accuracy" else "lower is better") in said
    assert ("Bold: " in said) == (metric == "accuracy")


def test_bold_is_what_seeds_and_texts_support(tmp_path):
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
    block = blocks(cells, "plain")[0]
    spread = np.linspace(-1, 1, DRAWS)
    ids = dict(zip(cells["cell"], zip(cells["method"], 100 * cells["accuracy_last"], strict=True), strict=True))
    sure, unsure = (
        Draws({
            (cell, "last"): accuracy + texts * spread * (method == "npc") for cell, (method, accuracy) in ids.items()
        })
        for texts in (5, 15)
    )  # fmt: skip
    table = gain_table(context(block, draws=sure), "accuracy")
    found = entries(table)
    assert found["npc", "sn@0.2"].best
    assert not entries(gain_table(context(block, draws=unsure), "accuracy"))["npc", "sn@0.2"].best
    assert not found["npc", "sn@0.4"].best
    assert not found["oracle", "sn@0.2"].best, "a reference does not compete"
    assert not found["elr", "sn@0.2"].best, "two seeds support nothing"
    assert found["elr", "sn@0.4"].state == "not run"
    assert found["npc", "average"].mean == pytest.approx((10 + 10 + 11) / 3), "over the column that all have"
    assert "sn@0.2" in " ".join(table.caption)


def test_without_a_baseline_there_is_none(results):
    block = blocks(results.cells, None)[0]
    assert gain_table(context(block), "accuracy") is None


def test_the_main_tables_have_both_rules_side_by_side(results):
    block = next(block for block in blocks(results.cells, "plain") if block.setup == "minilm:frozen")
    means, gains = rules_table(block, None), rule_gains_table(block, None, "nothing was drawn")
    kinds = ["LLM labels", "weak labels", "synthetic noise", "all"]
    for table in (means, gains):
        assert [(head.group, head.name) for head in table.heads] == [
            (kind, rule) for kind in kinds for rule in ("last step", "+es")
        ]
        assert not any(entry.best for row in table.rows for entry in row.entries)
    assert [row.label for row in means.rows] == ["plain", "plain+es", "co-teaching", "oracle"]
    assert [row.label for row in gains.rows] == ["plain+es", "co-teaching"]
    rows = {row.label: row.entries for row in means.rows}
    for place, rule in enumerate(("last", "noisy_valid")):
        scores = [
            by_seed(results, "plain", "weak", f"accuracy_{rule}", task, "minilm:frozen") for task in ("trec", "tweets")
        ]
        assert rows["plain"][2 + place].mean == pytest.approx(np.mean(scores))
    assert rows["plain+es"][2].mean == rows["plain"][3].mean
    assert rows["plain+es"][3].state == "empty", "by that rule it is plain itself"
    alone = gains.rows[0].entries
    assert alone[2].mean == pytest.approx(rows["plain"][3].mean - rows["plain"][2].mean)
    assert alone[3].state == "empty"
    assert "None is bold, because there is no bootstrap: nothing was drawn." in gains.caption
    assert means.heads[-1].below == "2 LLM, 2 weak, 2 synthetic"
