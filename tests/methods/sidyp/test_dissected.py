"""SiDyP taken apart (`benchmarks.sidyp_dissected`), on a small task with a tiny encoder."""

import numpy as np
import pandas as pd
import pytest
import torch

import bench
from benchmarks import sidyp_dissected
from methods.sidyp import train
from methods.sidyp.retrieval import Candidates


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dissected")


@pytest.fixture
def options(reviews, tiny_bert, folder):
    chosen = {"tasks": str(reviews), "label_columns": "bob", "encoder": f"{tiny_bert}:frozen", "seeds": "1,2"}
    return chosen | {"results": str(folder / "results"), "epochs": 3}


def test_every_arm_is_measured_once_and_told_in_tables(options, folder, tmp_path, monkeypatch):
    sidyp_dissected.measure(tmp_path / "runs", **options)
    monkeypatch.setattr(sidyp_dissected, "dissect", lambda *cells: 1 / 0)
    sidyp_dissected.measure(tmp_path / "runs", **options)
    for other in ({"encoder": options["encoder"].removesuffix(":frozen")}, {"epochs": 4}, {"limit": 90}):
        with pytest.raises(ZeroDivisionError):  # that is another cell
            sidyp_dissected.measure(tmp_path / "runs", **options | other)
    text = sidyp_dissected.report(tmp_path / "runs", tmp_path / "out")
    assert (tmp_path / "out" / "table.md").read_text() == text
    assert "| reviews, bob, tiny-bert:frozen (2 seeds) |" in text

    accuracy = pd.read_csv(tmp_path / "out" / "accuracy.csv").pivot_table(
        index="arm", columns="seed", values="accuracy"
    )
    assert set(accuracy.index) == set(sidyp_dissected.SHOWN)
    [cell, again] = bench.open_cells(methods="sidyp", **options)
    gold = cell.data.gold.test
    *_, last = cell.predictions()
    assert accuracy.loc["diffusion, moved", 1] == pytest.approx((last.test.argmax(1) == gold).mean(), abs=1e-4)
    stage1 = again.method.stage1(again.task, again.tools)
    right = stage1.probabilities["test"].mean(0).argmax(1) == gold
    assert accuracy.loc["stage 1", 2] == pytest.approx(right.mean(), abs=1e-4)
    for arm, name in sidyp_dissected.SHOWN.items():
        assert f"| {name} | {100 * accuracy.loc[arm].mean():.1f}" in text

    labels = pd.read_csv(tmp_path / "out" / "labels.csv").set_index(["seed", "marks", "texts"]).sort_index()
    whole = labels.loc[1, "estimated rate"].loc["all"]
    assert whole["share of texts"] == 100
    assert whole["noisy label right"] == pytest.approx(100 * (1 - cell.wrong.mean()), abs=0.01)
    assert whole["true class among candidates"] >= whole["best candidate right, retrieved"]
    assert labels.loc[1, "oracle marks"].loc["dominant", "noisy label right"] == 0


def test_fixed_candidates_stay_and_moved_ones_move(options):
    cell = bench.open_cells(methods="sidyp", **options)[0]
    stage1, update = cell.method.stage1(cell.task, cell.tools), train.update_weights
    fixed, moved = (sidyp_dissected.diffusion(cell, stage1, moves=moves) for moves in (False, True))
    assert torch.equal(fixed.after, fixed.before)
    assert torch.equal(moved.before, fixed.before)
    assert not torch.equal(moved.after, moved.before)
    assert train.update_weights is update


def test_candidates_of_the_caller_are_used_and_left_as_they_are(options):
    cell = bench.open_cells(methods="sidyp", **options)[0]
    stage1 = cell.method.stage1(cell.task, cell.tools)
    weights = torch.full((3, len(stage1.train_labels), 2), 0.5, dtype=torch.float64)
    own = Candidates(weights.clone(), torch.ones(weights.shape[:2], dtype=torch.bool))
    found = sidyp_dissected.diffusion(cell, stage1, own)
    assert torch.equal(found.before, weights)
    assert torch.equal(own.weights, weights)
    assert not torch.equal(found.after, weights)


def test_the_classifier_learns_the_weights_that_it_is_given(options):
    """All weight on one class: it predicts that class whatever the noisy label."""
    cell = bench.open_cells(methods="sidyp", **options)[0]
    stage1 = cell.method.stage1(cell.task, cell.tools)
    weights = torch.tensor([0.0, 1.0], dtype=torch.float64).expand(3, len(stage1.train_labels), 2)
    for conditional in (True, False):
        found = sidyp_dissected.classifier(cell, stage1, weights, conditional)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
        assert found[:, 1].min() > 0.6


def test_the_vote_of_one_neighbour_is_its_candidates(options):
    cell = bench.open_cells(methods="sidyp", **options)[0]
    stage1 = cell.method.stage1(cell.task, cell.tools)
    weights = torch.rand(3, len(stage1.train_labels), 2, generator=torch.Generator().manual_seed(0)).double()
    distance = np.linalg.norm(stage1.embeddings["test"][:, None] - stage1.embeddings["train"], axis=2)
    expected = weights.mean(0)[distance.argmin(1)]
    np.testing.assert_allclose(sidyp_dissected.vote(stage1, weights, 1), expected)


def test_differences_are_paired_by_seed_and_bold_only_where_texts_agree():
    rng = np.random.default_rng(0)
    plain = [(rng.random(400) < 0.5).astype(int).tolist() for _ in range(3)]
    better = [[hit or int(row % 3 == 0) for row, hit in enumerate(right)] for right in plain]
    seeds = [
        dict.fromkeys(sidyp_dissected.SHOWN, right) | {"stage 1": more}
        for right, more in zip(plain, better, strict=True)
    ]
    found = sidyp_dissected.Differences("toy", seeds)
    gain = 100 * (np.mean(better, axis=1) - np.mean(plain, axis=1))
    assert found.gap("stage 1", "plain").seeds.mean == pytest.approx(gain.mean())
    assert found.shown("stage 1", "plain").startswith(f"**+{gain.mean():.1f} ± ")
    assert found.shown("vote, fixed", "plain") == "0.0 ± 0.0"
    assert found.accuracy("plain") == pytest.approx(100 * np.mean(plain))
