"""Figures: the data that go in, and that they come out whatever the data say."""

from collections import Counter

import numpy as np
import pytest

from bench.report import frame
from bench.report.figures import by_task as plots
from bench.report.figures import collect as figures
from bench.report.tables.blocks import blocks
from bench.store.metrics.calibration import expected_calibration_error, reliability_bins
from bench.store.records import CurvePoint, read_arrays
from bench.store.scoring import score
from tests.factories import cell_key, write_done


@pytest.fixture(scope="module")
def block(results):
    return blocks(results.cells, "plain")[0]


def test_every_task_and_setup_has_its_figures(results):
    made = figures.plans(results, blocks(results.cells, "plain"), "last")
    kinds = Counter(plan.kind for plan in made)
    expected = dict.fromkeys(("accuracy", "ece", "reliability", "memorisation", "ranks"), 4)
    assert kinds == expected | {"confusion": 2, "improvement": 2, "pareto": 2, "kinds": 2}
    assert len({plan.name for plan in made}) == len(made)


def test_reliability_pools_seeds_as_one_sample(folder, results, block):
    data = figures.reliability_data(results, block, "trec", ["weak"], ["plain"])["weak", "plain"]
    arrays = [read_arrays(folder / row["record"]) for row in _rows(results, "trec", "weak", "plain")]
    probabilities = np.concatenate([each["test_last"] for each in arrays])
    gold = np.concatenate([each["gold"] for each in arrays])
    pooled = reliability_bins(probabilities, gold)
    for name in ("count", "accuracy", "confidence"):
        np.testing.assert_allclose(data[name], getattr(pooled, name), rtol=1e-5)
    eces = [score(each["test_last"], each["gold"]).ece for each in arrays]
    assert data["ece"] == pytest.approx(np.mean(eces))
    confidence = probabilities.max(axis=1).astype(float)
    right = (probabilities.argmax(axis=1) == gold).astype(float)
    by_bins = np.nansum(pooled.count * np.abs(pooled.accuracy - pooled.confidence)) / len(gold)
    assert by_bins == pytest.approx(expected_calibration_error(confidence, right), abs=1e-3)


def test_the_calibration_error_covers_no_bar():
    full = {name: np.ones(15) for name in ("count", "accuracy", "confidence")} | {"ece": np.asarray(0.1)}
    with figures.style():
        figure = plots.reliability({("weak", "plain"): full, ("weak", "elr"): full})
        figure.draw_without_rendering()
    for axis in figure.axes:
        (said,) = axis.texts
        box = axis.transData.inverted().transform_bbox(said.get_window_extent())
        assert 1 <= box.y0 < box.y1 <= axis.get_ylim()[1]


def _rows(results, task, noise, method, setup="minilm:fine-tuned"):
    cells = results.cells
    keep = (cells["task"] == task) & (cells["noise"] == noise) & (cells["method_label"] == method)
    return cells[keep & (cells["setup"] == setup)].to_dict("records")


def test_memorisation_curves_are_those_of_the_records(results, block):
    data = figures.memorisation_data(results, block, "trec", ["weak"], ["plain", "co-teaching"])
    curves = results.curves
    ids = [row["cell"] for row in _rows(results, "trec", "weak", "plain")]
    expected = curves[curves["cell"].isin(ids)].pivot(index="step", columns="cell", values="fit_wrong")
    assert data["weak", "plain"]["fit_wrong"].shape == (3, 4)
    np.testing.assert_allclose(data["weak", "plain"]["fit_wrong"].mean(0), expected.mean(axis=1))
    assert data["weak", "co-teaching"]["fit_wrong"].shape == (2, 4)  # one seed failed


def test_methods_that_keep_no_predictions_of_train_are_explained_and_steps_can_be_compared(results, block, tmp_path):
    sentence = "Methods that keep no predictions of train texts have test accuracy only."
    plan = next(plan for plan in figures.plans(results, [block], "last") if plan.kind == "memorisation")
    assert sentence not in plan.caption
    write_done(tmp_path, cell_key())
    write_done(tmp_path, cell_key(method="npc"), curve=[CurvePoint(step=step, test_accuracy=0.5) for step in (3, 9)])
    read = frame.load(tmp_path)
    made = figures.plans(read, blocks(read.cells, "plain"), "last")
    plan = next(plan for plan in made if plan.kind == "memorisation")
    assert plan.caption.endswith(sentence)
    assert len({axis.get_xlim() for axis in plan.draw().axes}) == 1


def test_curves_without_gold_make_no_figure(results, block):
    assert figures.memorisation_data(results, block, "reviews", ["crowd"], ["plain"]) == {}


def test_confusion_counts_each_set_of_labels_once(results):
    matrices, names = figures.confusion_data(results, "trec")
    assert list(matrices) == ["mixtral-8x22b/few", "weak", "sn@0.3"]
    assert matrices["weak"].shape == (len(names),) * 2
    assert matrices["weak"].sum() == 3 * 400  # three seeds, not times methods


@pytest.mark.parametrize(
    "kind", ["accuracy", "ece", "reliability", "memorisation", "confusion", "improvement", "pareto"]
)
def test_a_figure_is_png_svg_and_pdf(results, block, kind):
    plan = next(plan for plan in figures.plans(results, [block], "last") if plan.kind == kind)
    made, panels = figures.render_and_count(plan, ["png", "svg", "pdf"])
    assert panels > 0
    assert made["png"].startswith(b"\x89PNG")
    assert b"<svg" in made["svg"]
    assert made["pdf"].startswith(b"%PDF")
    assert figures.render_and_count(plan, ["svg"])[0].keys() == {"svg"}


def test_intervals_are_drawn_where_the_table_says(results, block):
    with figures.style():
        figure = plots.scores(block, [("trec", "sn@0.3")], "accuracy", "last")
    values = block.values("plain", ("trec", "sn@0.3"), "accuracy_last", 100)
    axis = figure.axes[0]
    points = np.concatenate([line.get_xdata() for line in axis.lines])
    assert np.isclose(points.astype(float), np.mean(list(values.values()))).any()
    assert next(label.get_text() for label in axis.get_yticklabels()) == "plain"


@pytest.mark.parametrize("name", ["$\\frac{a}$", "中文标签", "</svg><script>", "--><b>", "x" * 300, "a\nb", "%s {0}"])
def test_any_label_name_can_be_drawn(tmp_path, name):
    for seed in (1, 2):
        write_done(tmp_path, cell_key(task="mine", seed=seed), label_names=[name, "other"])
    results = frame.load(tmp_path)
    made = figures.plans(results, blocks(results.cells, "plain"), "last")
    plan = next(plan for plan in made if plan.kind == "confusion")
    made = figures.render_and_count(plan, ["png", "svg"])[0]
    assert len(made["png"]) > 1000
    assert b"<script>" not in made["svg"]


def test_a_crowded_figure_says_what_it_leaves_out(tmp_path):
    for index in range(figures.MAX_METHODS + 2):
        write_done(tmp_path, cell_key(method=f"method-{index:02}"))
    results = frame.load(tmp_path)
    made = {plan.kind: plan for plan in figures.plans(results, blocks(results.cells, None), "last")}
    plan = made["reliability"]
    assert "Not shown for lack of room" in plan.caption
    assert plan.caption.count("method-") == 2


def test_missing_arrays_are_no_data_not_an_error(tmp_path):
    for seed in (1, 2):
        write_done(tmp_path, cell_key(seed=seed)).with_suffix(".npz").unlink()
    results = frame.load(tmp_path)
    for plan in figures.plans(results, blocks(results.cells, "plain"), "last"):
        assert figures.render_and_count(plan, ["png"])[0]["png"].startswith(b"\x89PNG")
