"""SiDyP's figure: from the records alone, whatever they hold."""

import numpy as np
import pytest

from bench.report import frame
from bench.report.figures import collect as figures
from bench.report.figures import inside_sidyp
from bench.report.tables.blocks import blocks
from tests.factories import cell_key, write_done

CHAIN = [(0.2, 0.3, 0.5), (0.1, 0.1, 0.8), (0.0, 0.0, 1.0)]


def story(best=0.7, **changes):
    prior = [{"epoch": e, "noisy_label": 0.3, "best": best + 0.05 * e, "entropy": 0.6, "moved": 0.1} for e in range(3)]
    path = {"row": 7, "classes": [0, 2, 5], "prediction": [0.2, 0.1, 0.6], "chains": [CHAIN] * 6}
    return {"candidates": [0.7, 0.2, 0.1, 0, 0, 0], "prior": prior, "paths": [path]} | changes


def block_of(folder):
    results = frame.load(folder)
    return results, blocks(results.cells, None)[0]


def test_the_figure_shows_means_over_seeds_and_the_first_seeds_paths(tmp_path):
    for seed, best in ((1, 0.6), (2, 0.8)):
        write_done(tmp_path, cell_key(method="sidyp", seed=seed), diagnostics={"story": story(best)})
    results, block = block_of(tmp_path)
    found = inside_sidyp.stories(results, block, "sidyp", "trec")
    assert {noise: len(told) for noise, told in found.items()} == {"weak": 2}
    names = inside_sidyp.label_names(results, block, "sidyp", "trec", "weak")
    with figures.style():
        figure = inside_sidyp.draw(found, names)
    bars, prior, triangle = figure.axes[:3]
    assert [bar.get_height() for bar in bars.patches][:3] == pytest.approx([0.7, 0.2, 0.1])
    thick = next(line for line in prior.lines if line.get_label().startswith("weight of the best"))
    assert thick.get_ydata() == pytest.approx([0.7, 0.75, 0.8])
    texts = [text.get_text() for text in triangle.texts]
    assert texts == ["● DESC\n0.20", "■ HUM\n0.10", "▲ NUM\n0.60"], "with the mark of the chains given that label"
    starts = [line.get_marker() for line in triangle.lines if line.get_markerfacecolor() == inside_sidyp.PAPER]
    assert starts == ["o", "o", "s", "s", "^", "^"]
    assert prior.get_ylabel() == "weight; entropy in nats"
    end = triangle.lines[3].get_xydata()[-1]
    assert end == pytest.approx(inside_sidyp.TRIANGLE[2])  # the chain's last point is the third corner


@pytest.mark.parametrize(
    "told",
    [None, {}, "story", story(prior="x"), story(paths=[{"row": 1}]), story(candidates=None), story(prior=[])],
)
def test_a_record_that_tells_too_little_makes_no_figure(tmp_path, told):
    write_done(tmp_path, cell_key(method="sidyp"), diagnostics={"story": told})
    write_done(tmp_path, cell_key(method="sidyp", seed=2))
    results, block = block_of(tmp_path)
    assert inside_sidyp.sidyp_plans(results, block, "trec") == []


def test_classes_that_the_task_does_not_have_leave_their_triangle_empty(tmp_path):
    path = story()["paths"][0] | {"classes": [0, 1, 99]}
    write_done(tmp_path, cell_key(method="sidyp"), diagnostics={"story": story(paths=[path])})
    results, block = block_of(tmp_path)
    plan = inside_sidyp.sidyp_plans(results, block, "trec")[0]
    assert figures.render_and_count(plan, ["png"])[0]["png"].startswith(b"\x89PNG")


def test_long_names_of_classes_do_not_overlap(tmp_path):
    write_done(tmp_path, cell_key(method="sidyp"), diagnostics={"story": story(paths=story()["paths"] * 3)})
    results, block = block_of(tmp_path)
    found = inside_sidyp.stories(results, block, "sidyp", "trec")
    names = ["Communication", "", "Component-Whole", "", "", "Unquestionable opinion"]
    with figures.style():
        figure = inside_sidyp.draw(found, names)
        figure.suptitle("as in a report")
        figure.draw_without_rendering()
    triangle = figure.axes[2]
    boxes = [text.get_window_extent() for text in [*triangle.texts, triangle.title]]
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[:at])
    assert all(figure.bbox.y0 <= box.y0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_of_two_classes_no_triangle_is_told(tmp_path):
    for task, paths in (("two", []), ("trec", story()["paths"])):
        write_done(tmp_path, cell_key(task=task, method="sidyp"), diagnostics={"story": story(paths=paths)})
    results, block = block_of(tmp_path)
    told = {task: inside_sidyp.sidyp_plans(results, block, task)[0].caption for task in ("two", "trec")}
    assert {task: "Triangles" in caption for task, caption in told.items()} == {"two": False, "trec": True}


def test_variants_have_figures_of_their_own(tmp_path):
    for mode in ("paper", "official"):
        for seed in (1, 2):
            key = cell_key(method="sidyp", seed=seed, config={"mode": mode})
            write_done(tmp_path, key, diagnostics={"story": story()})
    write_done(tmp_path, cell_key(method="sidypish"), diagnostics={"story": story()})
    results, block = block_of(tmp_path)
    made = inside_sidyp.sidyp_plans(results, block, "trec")
    assert [plan.title for plan in made] == [
        "Inside sidyp[mode=official]: trec, minilm:fine-tuned",
        "Inside sidyp[mode=paper]: trec, minilm:fine-tuned",
    ]
    assert len({plan.name for plan in made}) == 2
    assert np.all([plan.kind == "sidyp" for plan in made])
