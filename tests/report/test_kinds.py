"""The figure beside the answers: every method's gain by kind of noise, by both rules."""

import numpy as np
import pytest

from bench.report import frame
from bench.report.build import build_report
from bench.report.figures import by_task as plots
from bench.report.figures import collect as figures
from bench.report.figures import kinds
from bench.report.tables.blocks import blocks
from bench.report.tables.headlines import headlines
from bench.store.parts import Scores, ScoreSet
from benchmarks import readme_figure
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


def test_an_interval_that_is_wider_than_the_frame_ends_in_an_arrowhead(tmp_path):
    right = {"plain": (0.7, 0.7), "npc": (0.7, 0.74), "gce": (0.74, 0.74)}
    for method, each in right.items():
        for seed, accuracy in enumerate(each, 1):
            write_accuracy(tmp_path, method, seed, accuracy)
    read = frame.load(tmp_path)
    block = blocks(read.cells, "plain")[0]
    found = headlines(read, block)
    with figures.style():
        drawn = kinds.draw(found, kinds.ordered(found, "last"))
    assert heads(drawn.axes[0]) == {"<": [("npc", 0.0)], ">": [("npc", 1.0)]}
    (plan,) = kinds.kinds_plans(found, block.setup, "last")
    assert "An arrowhead at the frame: the interval reaches beyond it." in plan.caption
    column = block.columns[0]
    with figures.style():
        drawn = plots.scores(block, [column], "accuracy", "last")
    assert heads(drawn.axes[0]) == {"<": [("npc", 0.0)], ">": [("npc", 1.0)]}
    assert all(len(line.get_xdata()) for line in drawn.axes[0].lines), "an empty line would shrink the panel"
    captions = {each.kind: each.caption for each in figures.plans(read, [block], "last")}
    assert captions["accuracy"].endswith("An arrowhead at the frame: the interval reaches beyond it.")


def write_accuracy(folder, method, seed, accuracy):
    """A finished cell with this test accuracy by all rules."""
    scores = Scores(step=1, accuracy=accuracy, ece=0.1)
    write_done(
        folder, cell_key(method=method, seed=seed), scores=ScoreSet(last=scores, noisy_valid=scores, oracle_best=scores)
    )


def heads(axis):
    """The arrowheads of a panel: by their sign, the row (the rules of one method stand close together) and the edge."""
    names = [label.get_text() for label in axis.get_yticklabels()]
    return {
        line.get_marker(): [(names[round(y)], x) for x, y in line.get_xydata()]
        for line in axis.lines
        if line.get_marker() in ("<", ">") and len(line.get_xdata())
    }


def test_where_no_interval_is_cut_nothing_is_said_of_it(tmp_path):
    for method, accuracy in {"plain": 0.7, "gce": 0.74}.items():
        for seed in (1, 2):
            write_accuracy(tmp_path, method, seed, accuracy)
    read = frame.load(tmp_path)
    block = blocks(read.cells, "plain")[0]
    made = figures.plans(read, [block], "last")
    assert not [plan.kind for plan in made if "arrowhead" in plan.caption]


def test_a_single_interval_lies_within_the_frame_and_the_legend_has_only_what_is_drawn(tmp_path):
    for seed, accuracy in enumerate((0.7, 0.72, 0.68), 1):
        last, early = (Scores(step=1, accuracy=each, ece=0.1) for each in (0.7, accuracy + 0.01))
        scores = ScoreSet(last=last, noisy_valid=early, oracle_best=last)
        write_done(tmp_path, cell_key(method="plain", seed=seed), scores=scores)
    read = frame.load(tmp_path)
    block = blocks(read.cells, "plain")[0]
    found = headlines(read, block)
    ((row,),) = (each.rows for each in found)
    gain = row.gap.seeds
    with figures.style():
        drawn = kinds.draw(found, kinds.ordered(found, "last"))
    low, high = drawn.axes[0].get_xlim()
    assert low < gain.mean - gain.half < 0 < gain.mean + gain.half < high
    assert not heads(drawn.axes[0])
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["last step"]


def test_where_one_seed_gives_no_interval_the_captions_say_so(tmp_path):
    for method in ("plain", "gce"):
        write_done(tmp_path, cell_key(method=method))
    read = frame.load(tmp_path)
    block = blocks(read.cells, "plain")[0]
    captions = {each.kind: each.caption for each in figures.plans(read, [block], "last")}
    said = " With one seed no interval is drawn; the tables have one over test texts."
    assert captions["kinds"].endswith(said)
    assert captions["accuracy"].endswith(said)
    assert captions["ece"].endswith(" With one seed no interval is drawn."), "its table has none either"


def test_a_title_that_is_wider_than_its_figure_goes_on_below(tmp_path):
    write_done(tmp_path, cell_key(task="semeval[mark_entities=false]"))
    read = frame.load(tmp_path)
    with figures.style():
        for plan in figures.plans(read, blocks(read.cells, "plain"), "last"):
            drawn = plan.draw()
            drawn.draw_without_rendering()
            title = drawn._suptitle.get_window_extent()
            assert title.x1 <= drawn.bbox.x1, plan.title
            assert not any(title.overlaps(axis.get_tightbbox()) for axis in drawn.axes), plan.title


@pytest.mark.parametrize("methods", [["plain"], ["plain", "co-teaching"]])
def test_few_methods_have_rows_as_high_as_many(found, methods):
    with figures.style():
        figure = kinds.draw(found, methods)
        figure.draw_without_rendering()
    assert figure.axes[0].get_window_extent().height / figure.dpi / len(methods) > 0.2


def test_the_picture_of_the_guide_has_the_marks_of_the_reports():
    guide = {rule.removeprefix("accuracy_"): style for rule, (_, style, _) in readme_figure.RULES.items()}
    assert guide == {rule: style for rule, (_, style) in kinds.RULES.items()}
