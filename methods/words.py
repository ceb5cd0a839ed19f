"""What the words of texts say of their labels, out of fold: another view beside sentence embeddings.

An encoder that was trained for meaning need not see what decides a label; words and pairs of words often do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from methods.confident import fold_of_rows

NEIGHBOURS = 30
"""Texts that vote, or all where there are fewer."""
MOST_TERMS = 20_000
WORKING_MEMORY = 64
"""MiB of distances at once: 20,000 texts take 0.6 GB in all, 1.5 GB by the limit of scikit-learn, and no longer."""
NAMES = ("naive Bayes on words", "neighbours in words")


def out_of_fold(
    texts: Sequence[str],
    labels: np.ndarray,
    num_classes: int,
    generator: np.random.Generator,
    *,
    folds: int = 5,
    together: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Out-of-fold p(label | text) by classifier on TF-IDF of words and pairs of words, float64[N, C], rows sum to 1.

    The classifiers are multinomial naive Bayes, and the distance-weighted vote of the nearest texts. `labels` int64[N]
    in 0..C-1; -1 = no answer: such a text is predicted, and nothing is learned from it. `generator` draws the folds
    (`together` as in `fold_of_rows`). Nothing where no word occurs in two texts, or no text has a label.
    """
    from sklearn import config_context
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.neighbors import KNeighborsClassifier

    known = labels >= 0
    try:
        terms = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=MOST_TERMS)
        vectors = terms.fit_transform(texts)
    except ValueError:  # no term is left
        return {}
    fold = fold_of_rows(np.where(known, labels, 0), folds, generator, together=together)
    found = {name: np.full((len(labels), num_classes), 1 / num_classes) for name in NAMES}
    for number in range(folds):
        inside, outside = np.flatnonzero(known & (fold != number)), np.flatnonzero(fold == number)
        if not len(inside) or not len(outside):
            continue
        models: tuple[Any, ...] = (
            MultinomialNB(),
            KNeighborsClassifier(min(NEIGHBOURS, len(inside)), weights="distance", algorithm="brute"),
        )
        for model, believed in zip(models, found.values(), strict=True):
            model.fit(vectors[inside], labels[inside])
            believed[outside] = 0.0
            with config_context(working_memory=WORKING_MEMORY):
                believed[np.ix_(outside, model.classes_)] = model.predict_proba(vectors[outside])
    return found if known.any() else {}
