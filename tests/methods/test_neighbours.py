"""Neighbours and votes against scikit-learn and slow obvious loops."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from bench.core.errors import UsageError
from methods import neighbours


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    references = rng.normal(size=(120, 6)).astype(np.float32)
    references[7] = references[3]  # two equal texts
    queries = np.concatenate([rng.normal(size=(30, 6)).astype(np.float32), references[:10]])
    return queries, references, rng.integers(0, 4, 120)


def scattered(classifier, queries, num_classes):
    """scikit-learn's probabilities in all C columns."""
    out = np.zeros((len(queries), num_classes))
    out[:, classifier.classes_] = classifier.predict_proba(queries)
    return out


def test_nearest_equals_scikit_learn(points):
    queries, references, _ = points
    expected, _ = NearestNeighbors(n_neighbors=9).fit(references.astype(float)).kneighbors(queries.astype(float))
    found = neighbours.nearest(queries, references, 9)
    np.testing.assert_allclose(found.distances, expected, atol=1e-12)
    by_hand = np.linalg.norm(queries[:, None].astype(float) - references[found.indices], axis=-1)
    np.testing.assert_allclose(found.distances, by_hand, atol=1e-12)


def test_equal_vectors_are_at_distance_exactly_zero(points):
    _, references, _ = points
    found = neighbours.nearest(1000 + references, 1000 + references, 2)
    assert (found.distances[:, 0] == 0).all()
    assert set(found.indices[3]) == {3, 7}
    assert found.distances[3, 1] == 0


def test_excluding_self_equals_scikit_learn_without_queries(points):
    _, references, _ = points
    expected, _ = NearestNeighbors(n_neighbors=5).fit(references.astype(float)).kneighbors()
    found = neighbours.nearest(references, references, 5, exclude_self=True)
    np.testing.assert_allclose(found.distances, expected, atol=1e-12)
    assert not (found.indices == np.arange(120)[:, None]).any()


def test_blocks_do_not_change_the_result(points, monkeypatch):
    _, references, labels = points
    whole = neighbours.vote(references, references, labels, 4, 10, exclude_self=True)
    monkeypatch.setattr(neighbours, "_BLOCK_BYTES", 8 * 120 * 7)
    cut = neighbours.vote(references, references, labels, 4, 10, exclude_self=True)
    np.testing.assert_allclose(cut, whole, atol=1e-12)


@pytest.mark.parametrize("k", [1, 10, 120])
def test_vote_equals_scikit_learn_with_duplicates(points, k):
    queries, references, labels = points
    labels[7] = labels[3]  # scikit-learn settles a tie of twins at the k-th place by chance
    reference = KNeighborsClassifier(k, weights="distance").fit(references.astype(float), labels)
    expected = scattered(reference, queries.astype(float), 4)
    found = neighbours.vote(queries, references, labels, 4, k)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_vote_with_absent_classes_lands_in_the_right_columns(points):
    queries, references, labels = points
    labels = 2 + labels % 2  # classes 0, 1 (and 4) never occur
    reference = KNeighborsClassifier(10, weights="distance").fit(references.astype(float), labels)
    found = neighbours.vote(queries, references, labels, 5, 10)
    np.testing.assert_allclose(found, scattered(reference, queries.astype(float), 5), atol=1e-10)
    assert (found[:, [0, 1, 4]] == 0).all()


def test_masks_equal_one_fit_on_each_subset(points):
    queries, references, labels = points
    masks = np.random.default_rng(1).random((3, 120)) < 0.5
    found = neighbours.vote(queries, references, labels, 4, 10, allowed=masks)
    assert found.shape == (3, 40, 4)
    for mask, got in zip(masks, found, strict=True):
        expected = neighbours.vote(queries, references[mask], labels[mask], 4, 10)
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_a_query_at_distance_zero_takes_the_label_of_its_twins(points):
    _, references, labels = points
    labels = labels.copy()
    labels[[3, 7]] = 0, 1
    found = neighbours.vote(references, references, labels, 4, 10)
    np.testing.assert_array_equal(found[3], [0.5, 0.5, 0, 0])
    unique = np.setdiff1d(np.arange(120), [3, 7])
    np.testing.assert_array_equal(found[unique], np.eye(4)[labels[unique]])


def test_ties_at_the_last_place_go_to_the_earlier_row():
    references = np.repeat(np.array([[1.0, 0.3], [-1.0, 2.0]]), 4, axis=0)
    found = neighbours.nearest(np.array([[0.1, 0.0]]), references, 6)
    assert found.indices.tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize(("twins", "others"), [(60, 0), (60, 940), (60, 4940), (19, 100), (12, 30)])
def test_of_many_equal_references_the_first_ones_count_however_many_others_there_are(twins, others):
    draw = np.random.default_rng(0)
    near, far = 0.01 * draw.normal(size=(4, 8)), 20 + draw.normal(size=(others, 8))
    references = np.concatenate([near, np.repeat(draw.normal(size=(1, 8)), twins, axis=0), far])
    queries = np.concatenate([references[[4]], near.mean(axis=0, keepdims=True)])
    allowed = np.ones((2, len(references)), dtype=bool)
    allowed[1, [5, 8]] = False
    free, masked = neighbours.nearest(queries, references, 10, allowed=allowed).indices
    assert free[0].tolist() == list(range(4, 14))
    assert masked[0].tolist() == [4, 6, 7, *range(9, 16)]
    assert sorted(free[1]) == list(range(10))
    assert sorted(masked[1]) == [0, 1, 2, 3, 4, 6, 7, 9, 10, 11]
    without_self = neighbours.nearest(references, references, 10, exclude_self=True).indices
    assert without_self[4].tolist() == list(range(5, 15))
    assert without_self[9].tolist() == [*range(4, 9), *range(10, 15)]


def test_fewer_references_than_k_all_vote_and_none_gives_the_uniform(points):
    queries, references, labels = points
    mask = np.zeros(120, dtype=bool)
    mask[:3] = True
    expected = neighbours.vote(queries, references[:3], labels[:3], 4, 3)
    np.testing.assert_allclose(neighbours.vote(queries, references, labels, 4, 10, allowed=mask), expected)
    nobody = neighbours.vote(queries, references, labels, 4, 10, allowed=np.zeros(120, dtype=bool))
    np.testing.assert_array_equal(nobody, np.full((40, 4), 0.25))
    alone = neighbours.vote(references[:1], references[:1], labels[:1], 4, 10, exclude_self=True)
    np.testing.assert_array_equal(alone, np.full((1, 4), 0.25))


def test_bad_shapes_are_named(points):
    queries, references, _ = points
    with pytest.raises(ValueError, match="k = 0"):
        neighbours.nearest(queries, references, 0)
    with pytest.raises(ValueError, match="exclude_self"):
        neighbours.nearest(queries, references, 3, exclude_self=True)
    with pytest.raises(ValueError, match="one width"):
        neighbours.nearest(queries[:, :2], references, 3)


def test_k_is_ten_or_all_unless_asked_for_and_never_more_than_there_are():
    assert neighbours.checked_k(None, 50, "npc") == 10
    assert neighbours.checked_k(None, 4, "npc") == 4
    assert neighbours.checked_k(None, 0, "npc") == 1
    assert neighbours.checked_k(4, 4, "npc") == 4
    with pytest.raises(UsageError) as error:
        neighbours.checked_k(5, 4, "npc")
    assert str(error.value) == (
        "method npc: neighbours = 5 is larger than the 4 texts that can vote: choose neighbours in [1, 4]"
    )


def test_neighbours_of_unit_vectors_are_those_of_largest_cosine(points):
    queries, references, _ = points
    found = neighbours.nearest(neighbours.unit_length(queries), neighbours.unit_length(references), 3)
    cosine = cosine_similarity(queries, references)
    np.testing.assert_allclose(
        np.take_along_axis(cosine, found.indices, 1), -np.sort(-cosine, axis=1)[:, :3], atol=1e-6
    )
    np.testing.assert_array_equal(neighbours.unit_length(np.zeros((2, 3))), np.zeros((2, 3)))
