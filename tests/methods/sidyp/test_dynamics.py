import numpy as np
import pytest
import torch

from methods.sidyp import dynamics as module
from methods.sidyp.dynamics import Trajectories, centroids, marked_count, noise_markers, noise_scores
from tests.methods.sidyp import reference, toy


def test_marks_equal_the_slow_reference():
    data = toy.stage1()
    means = centroids(data.dynamics["train"], data.train_labels, 4)
    marked = noise_markers(noise_scores(data.dynamics["train"], data.train_labels, means), 0.4)
    expected = reference.markers(data.dynamics["train"].astype(np.float64), data.train_labels, 0.4, 4)
    np.testing.assert_array_equal(marked, expected)


def test_small_blocks_change_nothing(monkeypatch):
    data = toy.stage1()
    labels, block = data.train_labels, data.dynamics["train"]
    whole = noise_scores(block, labels, centroids(block, labels, 4)), Trajectories(data.dynamics, True)["valid"]
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    torch.testing.assert_close(noise_scores(block, labels, centroids(block, labels, 4)), whole[0])
    torch.testing.assert_close(Trajectories(data.dynamics, True)["valid"], whole[1])


@pytest.mark.parametrize(("size", "rate", "count"), [(40, 0.4, 16), (10, 0.3, 3), (7, 0.05, 0), (100, 0.29, 29)])
def test_exactly_the_asked_share_is_marked_in_every_branch(size, rate, count):
    scores = torch.rand(3, size, generator=torch.Generator().manual_seed(1))
    assert marked_count(size, rate) == count
    assert noise_markers(scores, rate).sum(1).tolist() == [count] * 3


def test_a_wrong_label_on_a_clear_text_scores_highest():
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    features = 10 * np.eye(3)[labels] + 0.1 * rng.standard_normal((2, 4, 30, 3))
    labels = labels.copy()
    labels[7] = (labels[7] + 1) % 3
    scores = noise_scores(features, labels, centroids(features, labels, 3))
    assert scores.argmax(1).tolist() == [7, 7]


def test_centroids_come_from_train_alone_and_an_absent_class_is_harmless():
    data = toy.stage1(present=[0, 2])
    means = centroids(data.dynamics["train"], data.train_labels, 4)
    assert means[:, :, [1, 3]].abs().sum() == 0
    chosen = data.dynamics["train"][1, 2, data.train_labels == 2]
    torch.testing.assert_close(means[1, 2, 2], torch.from_numpy(chosen.mean(0)))


def test_one_epoch_has_no_spread():
    data = toy.stage1(epochs=1)
    means = centroids(data.dynamics["train"], data.train_labels, 4)
    scores = noise_scores(data.dynamics["train"], data.train_labels, means)
    own = means[:, 0, torch.from_numpy(data.train_labels)]
    torch.testing.assert_close(scores, (torch.from_numpy(data.dynamics["train"][:, 0]) - own).norm(dim=-1))


def test_trajectories_put_epochs_side_by_side_oldest_first():
    data = toy.stage1()
    plain = Trajectories(data.dynamics, standardise=False)["test"]
    block = data.dynamics["test"]
    np.testing.assert_array_equal(plain[1, 4], np.concatenate([block[1, e, 4] for e in range(3)]).astype(np.float16))


def test_standardised_by_train_mean_and_deviation_with_constants_left_alone():
    data = toy.stage1()
    data.dynamics["train"][..., 0] = 3.0
    data.dynamics["valid"][..., 0] = 3.0
    scaled = Trajectories(data.dynamics, standardise=True, dtype=torch.float32)
    train = scaled["train"].reshape(2, 40, 3, 5)
    torch.testing.assert_close(train[..., 1:].mean(1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(train[..., 1:].std(1, correction=0), torch.ones(2, 3, 4))
    assert scaled["valid"].reshape(2, 12, 3, 5)[..., 0].abs().max() < 1e-5


def test_a_feature_that_hardly_varies_in_train_stays_finite_elsewhere():
    train = np.zeros((1, 1, 1000, 2), np.float32)
    train[0, 0, 0, 0] = 1e-3
    train[..., 1] = np.arange(1000)
    found = Trajectories({"train": train, "test": np.full((1, 1, 3, 2), 3.0, np.float32)}, standardise=True)
    assert all(found[split].isfinite().all() for split in ("train", "test"))
    assert found["test"][0, 0, 0] == torch.finfo(torch.float16).max
