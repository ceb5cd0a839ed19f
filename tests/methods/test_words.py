"""What the words of texts say of their labels, out of fold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier

from methods import words
from methods.confident import fold_of_rows


def texts_of(labels: np.ndarray, draw: np.random.Generator) -> list[str]:
    return [f"{('good', 'bad', 'odd')[label]} thing {draw.integers(6)} of {draw.integers(9)}" for label in labels]


def test_every_text_is_predicted_by_scikit_learn_without_its_fold():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 150)
    texts = texts_of(labels, draw)
    found = words.out_of_fold(texts, labels, 3, np.random.default_rng(1))
    fold = fold_of_rows(labels, 5, np.random.default_rng(1))
    x = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(texts)
    for model, believed in zip(
        (MultinomialNB(), KNeighborsClassifier(30, weights="distance")), found.values(), strict=True
    ):
        for number in range(5):
            inside, outside = fold != number, fold == number
            expected = model.fit(x[inside], labels[inside]).predict_proba(x[outside])
            np.testing.assert_allclose(believed[outside], expected)
        assert (believed.argmax(axis=1) == labels).mean() > 0.95


def test_the_memory_for_distances_changes_no_value(monkeypatch):
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 150)
    texts = texts_of(labels, draw)
    found = words.out_of_fold(texts, labels, 3, np.random.default_rng(1))
    assert tuple(found) == words.NAMES
    monkeypatch.setattr(words, "WORKING_MEMORY", 1e-3)  # one text at a time
    for name, believed in words.out_of_fold(texts, labels, 3, np.random.default_rng(1)).items():
        np.testing.assert_array_equal(believed, found[name])


def test_texts_without_an_answer_are_predicted_and_teach_nothing():
    draw = np.random.default_rng(0)
    gold = draw.integers(0, 3, 150)
    texts = texts_of(gold, draw)
    given = np.where(np.arange(150) % 3 == 0, -1, gold)
    for believed in words.out_of_fold(texts, given, 4, np.random.default_rng(1)).values():
        assert (believed.argmax(axis=1) == gold)[given < 0].mean() > 0.9
        assert believed.sum(axis=1) == pytest.approx(1)
        assert (believed[:, 3] == 0).all()  # a class that no text was given


@pytest.mark.parametrize(
    ("texts", "labels"),
    [(["a one", "a two"], [-1, -1]), (["x y z", "u v w"], [0, 1]), (["", ""], [0, 1])],
    ids=["no answer", "no word twice", "no words"],
)
def test_where_words_say_nothing_there_is_no_opinion(texts, labels):
    assert words.out_of_fold(texts, np.array(labels), 2, np.random.default_rng(0)) == {}


def test_fewer_texts_than_folds_and_neighbours_will_do():
    found = words.out_of_fold(["good day", "good day", "bad"], np.array([0, 0, 1]), 2, np.random.default_rng(0))
    for believed in found.values():
        assert believed.sum(axis=1) == pytest.approx(1)
