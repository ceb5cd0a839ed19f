"""The figure beside the answers: every method's gain by kind of noise, by both rules."""

import numpy as np
import pytest

from bench.report import frame
from bench.report.build import build_report
from bench.report.figures import collect as figures
from bench.report.figures import kinds
from bench.report.tables.blocks import blocks
from bench.report.tables.headlines import headlines
from tests.factories import cell_key, write_done


@pytest.fixture(scope="module")
def found(results):
    return headlines(results, blocks(results.cells, "plain")[0])


def test_a_mark_stands_at_each_gain_by_either_rule(found):
    methods = kinds.ordered(found, "last")
    with figures.style():
        figure = kinds.draw(found, methods)
    assert [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes] == [each.title for each in found]
    for axis, each in zip(figure.axes, found, strict=True):
        marks = {
            line.get_marker(): line.get_xydata()
            for line in axis.lines
            if line.get_marker() in ("o", "s") and len(line.get_xdata())
        }
        for marker, rule in (("o", "last"), ("s", "noisy_valid")):
            gains = {row.method: row.gap.seeds.mean for row in each.rows if row.rule == rule}
            drawn = {methods[round(y)]: x for x, y in marks[marker]}
            assert drawn == pytest.approx(gains)
    low, high = figure.axes[0].get_xlim()
    assert all(low < row.gap.seeds.mean < high for each in found for row in each.rows)


def test_methods_are_sorted_by_their_mean_gain(found):
    means = {}
    for each in found:
        for row in each.rows:
            if row.rule == "last":
                means.setdefault(row.method, []).append(row.gap.seeds.mean)
    assert kinds.ordered(found, "last") == sorted(means, key=lambda method: -np.mean(means[method]))


def test_a_method_without_a_seed_beside_the_baseline_has_no_mark_and_breaks_nothing(tmp_path):
    for method, seeds in {"plain": (1, 2), "npc": (3, 4), "gce": (1, 2, 3)}.items():
        for seed in seeds:
            write_done(tmp_path, cell_key(method=method, seed=seed))
    summary = build_report(tmp_path, tmp_path / "report", formats=("md",))
    assert any("gce" in sentence for sentence in summary.sentences)
    read = frame.load(tmp_path)
    found = headlines(read, blocks(read.cells, "plain")[0])
    assert {row.method for each in found for row in each.rows} == {"gce", "plain+es"}
    with figures.style():
        assert np.isfinite(kinds.draw(found, kinds.ordered(found, "last")).axes[0].get_xlim()).all()


def test_without_a_baseline_there_is_no_figure(tmp_path):
    write_done(tmp_path, cell_key(method="gce"))
    read = frame.load(tmp_path)
    block = blocks(read.cells, None)[0]
    assert kinds.kinds_plans(headlines(read, block), block.setup, "last") == []
