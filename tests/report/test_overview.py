"""Figures over all columns: what goes in, against the tidy cells, and when there is none."""

import numpy as np
import pytest

from bench.report import frame
from bench.report.figures import collect as figures
from bench.report.figures import overview
from bench.report.tables.blocks import blocks
from bench.store.parts import Scores, ScoreSet
from tests.factories import cell_key, write_done, write_grid
from tests.report.test_significance import METHODS, NOISES


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide") / "results"
    write_grid(folder, ["trec"], NOISES, METHODS, seeds=(1, 2, 3), setups=[("minilm", "frozen")])
    return frame.load(folder)


@pytest.fixture(scope="module")
def block(wide):
    return blocks(wide.cells, "plain")[0]


def test_a_gain_is_against_the_baseline_of_the_same_seed(wide, block):
    cells = wide.cells.set_index(["method_label", "noise", "seed"])
    data = overview.improvement_data(block, "last")
    assert set(data) == {"co-teaching", "elr"}
    found = data["elr"]
    assert len(found) == 15
    for place, (_, noise) in enumerate(block.columns):
        rows = found[found[:, 2] == place]
        for (rate, gain, _), seed in zip(rows, (1, 2, 3), strict=True):
            assert rate == pytest.approx(100 * cells.loc[("elr", noise, seed), "noise_rate_trained"])
            ours, theirs = (cells.loc[(method, noise, seed), "accuracy_last"] for method in ("elr", "plain"))
            assert gain == pytest.approx(100 * (ours - theirs))


def test_every_kind_of_noise_has_a_mark_of_its_own_and_a_line_from_three_columns_on(block):
    data = overview.improvement_data(block, "last")
    with figures.style():
        figure = overview.improvement(data, block)
    axis = next(axis for axis in figure.axes if axis.get_title(loc="left") == "elr")
    drawn = {line.get_marker(): line for line in axis.lines if line.get_linestyle() == "None"}
    fits = {line.get_color() for line in axis.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 2}
    for kind in {block.kinds[column] for column in block.columns}:
        places = [place for place, column in enumerate(block.columns) if block.kinds[column] == kind]
        expected = data["elr"][np.isin(data["elr"][:, 2], places)]
        marker, colour = overview.KIND_STYLES[kind]
        np.testing.assert_array_equal(drawn[marker].get_xydata(), expected[:, :2])
        assert (colour in fits) == (len(places) >= overview.MIN_RATES)


def test_the_first_panel_of_every_row_says_what_its_axis_is(block):
    gains = overview.improvement_data(block, "last")["elr"]
    with figures.style():
        figure = overview.improvement(dict.fromkeys("abcd", gains), block)
    labelled = [axis.get_title(loc="left") for axis in figure.axes if axis.get_ylabel()]
    assert labelled == ["all methods", "c"], "five panels stand as three and two"
    captions = {plan.kind: plan.caption for plan in overview.overview_plans(block, "last")}
    assert "Noise rate: the share of wrong labels among those trained on." in captions["improvement"]


def test_no_line_runs_through_a_rank(wide, block):
    methods, ranked = overview.ranks(block, "accuracy", "last")
    with figures.style():
        figure = overview.critical_difference(methods, ranked)
        figure.draw_without_rendering()
    axis = figure.axes[0]
    ends = [line.get_transform().transform(line.get_xydata()) for line in axis.lines if len(line.get_xdata()) == 3]
    assert len(ends) == len(methods)
    for box in axis.texts[: len(methods)]:
        extent = box.get_window_extent()
        assert not any(extent.contains(*end[0]) for end in ends), box.get_text()


def test_without_a_baseline_there_is_no_gain(wide):
    assert overview.improvement_data(blocks(wide.cells, None)[0], "last") == {}


def test_the_front_holds_what_no_method_beats_at_less_cost():
    data = {
        "cheap": (1.0, 60.0, "baseline"),
        "dominated": (2.0, 59.0, "method"),
        "equal cost, worse": (3.0, 64.0, "method"),
        "better": (3.0, 65.0, "method"),
        "slow and no better": (9.0, 65.0, "method"),
        "oracle": (0.5, 90.0, "reference"),
    }
    assert overview.front(data) == ["cheap", "better"]


def test_the_frame_of_cost_holds_the_methods_that_compete_and_leaders_lie_under_the_marks():
    data = {
        "plain": (10.0, 60.0, "baseline"),
        "elr": (11.0, 62.0, "method"),
        "gold[rows=50]": (10.0, 61.0, "human"),
        "oracle": (10.0, 90.0, "reference"),
    }
    with figures.style():
        axis = overview.pareto(data, "wall").axes[0]
    low, high = axis.get_ylim()
    assert 55 < low < 60
    assert 62 < high < 65
    assert axis.get_xlim()[1] / axis.get_xlim()[0] < 1.2
    assert {name.get_text() for name in axis.texts} == {"plain", "elr", "gold[rows=50]"}
    assert axis.get_xlabel() == "wall seconds per cell, stand-alone (log scale)"
    assert max(name.get_zorder() for name in axis.texts) < min(mark.get_zorder() for mark in axis.lines)
    assert [line.tolist() for line in axis.collections[0].get_segments()] == [
        [[10.0, 60.0], [11.0, 60.0]], [[11.0, 62.0], [11.0, 62.0]],
    ], "no line runs through what it does not lead on from"  # fmt: skip


def test_the_caption_of_cost_names_what_is_beyond_the_frame_and_what_is_left_out(tmp_path):
    for method, accuracy in {"plain": 0.6, "gce": 0.62, "oracle": 0.9, "elr": 0.61}.items():
        for seed in (1, 2, 3)[: 1 if method == "elr" else None]:
            scores = Scores(step=1, accuracy=accuracy, ece=0.1)
            write_done(
                tmp_path,
                cell_key(method=method, seed=seed),
                sees_gold=method == "oracle",
                scores=ScoreSet(last=scores, noisy_valid=scores, oracle_best=scores),
            )
    (block,) = blocks(frame.load(tmp_path).cells, "plain")
    (caption,) = (plan.caption for plan in overview.overview_plans(block, "last") if plan.kind == "pareto")
    assert "without intervals: which differences could be chance is in the tables." in caption
    assert "Beyond the frame: oracle 90.0 %." in caption
    assert caption.endswith("Left out, as they share too few seeds or columns: elr.")


def test_cost_and_accuracy_are_means_over_the_shared_columns(wide, block):
    seconds, accuracy, kind = overview.pareto_data(block, "last")["co-teaching"]
    cells = wide.cells[wide.cells["method_label"] == "co-teaching"]
    assert seconds == pytest.approx(cells["seconds_stand_alone"].mean())
    assert accuracy == pytest.approx(100 * cells["accuracy_last"].mean())
    assert kind == "method"


def test_cost_and_accuracy_count_the_seeds_that_all_have(tmp_path):
    for method in ("plain", "elr", "oracle"):
        for seed in (1, 2, 3)[: 2 if method == "elr" else None]:
            write_done(tmp_path, cell_key(method=method, seed=seed), sees_gold=method == "oracle")
    results = frame.load(tmp_path)
    cells = results.cells[results.cells["seed"] < 3].groupby("method_label")
    data = overview.pareto_data(blocks(results.cells, "plain")[0], "last")
    assert {name: accuracy for name, (_, accuracy, _) in data.items()} == pytest.approx(
        (100 * cells["accuracy_last"].mean()).to_dict()
    )
    assert {name: seconds for name, (seconds, _, _) in data.items()} == pytest.approx(
        cells["seconds_stand_alone"].mean().to_dict()
    )


def test_the_critical_difference_is_drawn_to_scale_for_names_of_any_kind(wide, block):
    _, ranked = overview.ranks(block, "accuracy", "last")
    with figures.style():
        figure = overview.critical_difference(["{0}", "same", "same"], ranked)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert any("{0}" in text for text in texts)
    assert sum("same (2)" in text for text in texts) == sum("same (3)" in text for text in texts) == 1
    assert any(f"{ranked.critical_difference:.2f}" in text for text in texts)
    bar = next(line for line in figure.axes[0].lines if line.get_marker() == "|")
    assert np.ptp(bar.get_xdata()) == pytest.approx(ranked.critical_difference)


def test_too_few_columns_have_no_diagram(tmp_path):
    for method in METHODS:
        write_done(tmp_path, cell_key(method=method))
    results = frame.load(tmp_path)
    found = {plan.kind: plan for plan in figures.plans(results, blocks(results.cells, "plain"), "last")}
    assert "ranks" not in found
    assert found["pareto"].caption.startswith("Means over 1 column, without intervals")
