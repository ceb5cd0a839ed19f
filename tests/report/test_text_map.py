"""The map of texts: drawn from a stored stage, marked by the labels of the record, or left out with the way out."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from safetensors.numpy import save_file

from bench.report import frame
from bench.report.build import build_report
from bench.report.figures import collect as figures
from bench.report.figures import text_map
from bench.report.tables.blocks import blocks
from bench.store.records import StageUse, write_record
from tests.factories import cell_key, done_record
from tests.report.test_page import luminance

HASH = "ab" * 32
N = 60


@pytest.fixture
def folder(tmp_path):
    """One task, two noise sources, 60 train texts in three clusters."""
    gold = np.arange(N) % 3
    vectors = np.eye(3, 8)[gold] + 0.05 * np.random.default_rng(0).normal(size=(N, 8))
    place = tmp_path / "stages" / "embeddings" / f"{HASH[:32]}.safetensors"
    place.parent.mkdir(parents=True)
    save_file({"embeddings": vectors.astype(np.float32)}, place)
    for noise, every in (("weak", 4), ("sn@0.3", 3)):
        noisy = np.where(np.arange(N) % every == 0, (gold + 1) % 3, gold)
        noisy[5] = -1
        stages = [StageUse(name="embeddings", hash=HASH, reused=True, seconds=1.0)]
        record, arrays = done_record(cell_key("tri", noise), ("a", "b", "c"), n_train=N, stages=stages)
        labels = {"train_labels": noisy.astype(np.int16), "train_gold": gold.astype(np.int16)}
        write_record(record, tmp_path, arrays | labels)
    return tmp_path


def plans_of(folder):
    results = frame.load(folder)
    return text_map.text_map_plans(results, blocks(results.cells, "plain")[0], "tri")


def test_wrong_labels_are_marked_at_the_same_places_for_every_noise_source(folder):
    plan = plans_of(folder)[0]
    with figures.style():
        figure = plan.draw()
    right, wrong, silent = ([axis.lines[i].get_xydata() for axis in figure.axes] for i in range(3))
    gold = np.arange(N) % 3
    for place, every in ((0, 4), (1, 3)):
        noisy = np.where(np.arange(N) % every == 0, (gold + 1) % 3, gold)
        noisy[5] = -1
        assert len(wrong[place]) == ((noisy != gold) & (noisy >= 0)).sum()
        assert len(silent[place]) == 1
        assert len(right[place]) + len(wrong[place]) + 1 == N
    every_place = [np.concatenate([a, b, c]) for a, b, c in zip(right, wrong, silent, strict=True)]
    np.testing.assert_allclose(*(np.sort(points, axis=0) for points in every_place))


def test_texts_that_are_alike_lie_together():
    gold = np.arange(N) % 3
    vectors = np.eye(3, 8)[gold] + 0.02 * np.random.default_rng(1).normal(size=(N, 8))
    found = text_map.coordinates(vectors.astype(np.float32))
    np.testing.assert_array_equal(found, text_map.coordinates(vectors.astype(np.float32)))
    distance = np.linalg.norm(found[:, None] - found[None], axis=-1) + 1e9 * np.eye(N)
    assert (gold[distance.argmin(1)] == gold).mean() > 0.95


@pytest.mark.parametrize("what", ["missing", "torn", "other size", "no labels"])
def test_without_the_stage_the_report_says_what_to_do(folder, tmp_path, what):
    path = folder / "stages" / "embeddings" / f"{HASH[:32]}.safetensors"
    if what == "missing":
        path.unlink()
    elif what == "torn":
        path.write_bytes(b"\x08\x00\x00")
    elif what == "other size":
        save_file({"embeddings": np.zeros((N + 1, 8), np.float32)}, path)
    else:
        for record in folder.glob("cells/**/*.npz"):
            record.unlink()
    assert plans_of(folder) == []
    summary = build_report(folder, tmp_path / "out", formats=["md"])
    assert any("run without --no-stages" in note for note in summary.results.notes)


def test_names_never_cover_each_other_and_the_first_stands_at_its_place():
    places = np.array([[0.0, 0.0], [0.01, 0.01], [0.02, -0.01], [0.0, 0.5], [0.8, 0.0], *[[0.0, 0.0]] * 9])
    names = [f"a rather long {at}" for at in range(len(places))]
    found = text_map.apart(names, places, np.array([2.0, 2.0]))
    assert found[0] == (names[0], 0.0, 0.0)
    assert {name for name, *_ in found} >= {names[3], names[4]}
    assert len(found) == 5, "those without room are left out"
    for at, (name, x, y) in enumerate(found):
        for other, beside, above in found[:at]:
            wide = 2.0 * text_map.LETTER_WIDTH * (len(name) + len(other)) / 2
            assert abs(x - beside) >= wide or abs(y - above) >= 0.99 * 2.0 * text_map.LINE_HEIGHT


@pytest.mark.parametrize("ground", ["#ffffff", "#1a2027"], ids=["light", "dark"])
def test_correct_labels_can_be_seen_on_the_page(folder, ground):
    with figures.style():
        points = plans_of(folder)[0].draw().axes[0].lines[0]
    alpha, grey, below = points.get_alpha(), *(np.array(to_rgb(each)) for each in (points.get_color(), ground))
    low, high = sorted(luminance(255 * colour) for colour in (alpha * grey + (1 - alpha) * below, below))
    assert (high + 0.05) / (low + 0.05) >= 3
