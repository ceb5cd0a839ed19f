import numpy as np
import pytest
import torch

from methods.sidyp.retrieval import candidates, majority, retrieve
from tests.methods.sidyp import reference, toy

THRESHOLDS = {"certain_threshold": 0.9, "dominant_threshold": 0.8}


def random_marks(branches, size, count, seed=0):
    scores = torch.rand(branches, size, generator=torch.Generator().manual_seed(seed))
    return torch.zeros(branches, size, dtype=torch.bool).scatter_(1, scores.argsort(1)[:, :count], True)


@pytest.mark.parametrize(("classes", "present"), [(4, None), (4, [2, 3]), (6, [1, 4])])
def test_candidates_equal_scikit_learns_votes(classes, present):
    """Also where classes are absent from the voters, which the released code shifts into wrong columns."""
    data = toy.stage1(train=120, classes=classes, present=present, noise_rate=0.5)
    marked = random_marks(2, 120, 50)
    found = retrieve(data.embeddings["train"], data.train_labels, marked, classes, 10, **THRESHOLDS)
    weights, uncertain = reference.retrieve(
        data.embeddings["train"].astype(np.float64), data.train_labels, marked.numpy(), classes, 10, 0.9, 0.8
    )
    np.testing.assert_allclose(found.weights, weights, atol=1e-6)
    np.testing.assert_array_equal(found.uncertain, uncertain)
    assert uncertain.any()


def test_rows_sum_to_one_and_certain_means_one_candidate():
    data = toy.stage1(train=120)
    found = retrieve(data.embeddings["train"], data.train_labels, random_marks(2, 120, 60), 4, 10, **THRESHOLDS)
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(2, 120, dtype=torch.float64))
    assert torch.equal(found.counts == 1, ~found.uncertain)
    assert torch.equal(found.weights.amax(-1) == 1, ~found.uncertain)


def test_an_unmarked_text_is_certain_of_its_own_label_unless_it_may_not_vote():
    data = toy.stage1(train=120, noise_rate=0.5)
    marked = random_marks(2, 120, 60)
    arguments = data.embeddings["train"], data.train_labels, marked, 4, 10
    own = retrieve(*arguments, **THRESHOLDS).weights.argmax(-1)
    labels = torch.from_numpy(data.train_labels).expand(2, -1)
    assert (own == labels)[~marked].all()
    others = retrieve(*arguments, **THRESHOLDS, exclude_self=True)
    assert (others.weights.argmax(-1) != labels)[~marked].any()


def test_a_text_with_the_same_embedding_shares_the_vote():
    embeddings = np.array([[0.0], [0.0], [1.0], [2.0]], dtype=np.float32)
    found = retrieve(embeddings, np.array([0, 1, 1, 1]), torch.zeros(1, 4, dtype=torch.bool), 2, 3, **THRESHOLDS)
    assert found.weights[0, :2].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert found.uncertain[0].tolist() == [True, True, False, False]


def test_thresholds_on_votes():
    votes = torch.tensor(
        [[[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.5, 0.25, 0.25], [0.4, 0.35, 0.25]]], dtype=torch.float64
    )
    found = candidates(votes, 0.9, 0.8)
    expected = [[1, 0, 0], [0.625, 0.375, 0], [0.5, 0.25, 0.25], [0.4, 0.35, 0.25]]
    np.testing.assert_allclose(found.weights[0], expected, atol=1e-7)
    assert found.counts.tolist() == [[1, 2, 3, 3]]


def test_majority_of_branches_and_drawn_ties():
    weights = torch.eye(3, dtype=torch.float64)[torch.tensor([[0, 1], [0, 2], [1, 1]])]
    assert majority(weights, torch.Generator().manual_seed(0)).tolist() == [0, 1]
    tied = torch.eye(2, dtype=torch.float64)[torch.tensor([[0] * 200, [1] * 200])]
    share = majority(tied, torch.Generator().manual_seed(0)).double().mean()
    assert 0.35 < share < 0.65
