"""What the mistakes of labellers are like: how predictable from the text, how much shared, in which classes.

Gold labels describe the labels here; nothing of it reaches a method. Labels are int64[n] with -1 for "no answer".
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.core.seeds import named_seed
from llm_labels.statistics import cohen_kappa

__all__ = ["Interval", "per_class", "predictability", "shared_mistakes", "unanimous"]

FOLDS = 5
LEAST = 2 * FOLDS
"""Wrong and right labels that a cross-fitted estimate needs at least, each."""


class Interval(NamedTuple):
    """An estimate with its 95 % interval; NaN where it cannot be had."""

    value: float
    low: float
    high: float


NOTHING = Interval(float("nan"), float("nan"), float("nan"))


def predictability(features: np.ndarray, gold: np.ndarray, labels: np.ndarray, name: str) -> Interval:
    """Cross-fitted AUC of "is this label wrong?" from the text alone.

    Parameters
    ----------
    features
        float[n, F], such as sentence embeddings.
    gold, labels
        int64[n]; texts without an answer or without gold (-1) do not count.
    name
        Names the draw of the folds.

    Returns
    -------
    Interval
        0.5: the text says nothing of whether its label is wrong; 1: it says all. Logistic regression on standardised
        features, five folds; the interval is that of Hanley and McNeil (Radiology 1982), clipped to [0, 1].
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = (labels >= 0) & (gold >= 0)
    wrong = (labels != gold)[known]
    bad, good = int(wrong.sum()), int((~wrong).sum())
    if min(bad, good) < LEAST:
        return NOTHING
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=named_seed("anatomy", name) % 2**32)
    scores = cross_val_predict(model, features[known], wrong, cv=folds, method="decision_function")
    auc = float(roc_auc_score(wrong, scores))
    q_bad, q_good = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (bad - 1) * (q_bad - auc**2) + (good - 1) * (q_good - auc**2)
    half = 1.96 * float(np.sqrt(max(variance, 0.0) / (bad * good)))
    return Interval(auc, max(auc - half, 0.0), min(auc + half, 1.0))


def per_class(gold: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Precision and recall of each class as the labeller assigns it.

    Parameters
    ----------
    gold, labels
        int64[n]; texts without an answer lower the recall only.
    class_names
        By class.

    Returns
    -------
    DataFrame
        `class`, `texts` (gold), `assigned`, `precision`, `recall` (fractions, NaN where undefined).
    """
    classes = len(class_names)
    known = gold >= 0
    gold, labels = gold[known], labels[known]
    right = np.bincount(gold[gold == labels], minlength=classes)
    assigned = np.bincount(labels[labels >= 0], minlength=classes)
    texts = np.bincount(gold, minlength=classes)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "class": class_names,
                "texts": texts,
                "assigned": assigned,
                "precision": right / assigned,
                "recall": right / texts,
            }
        )


def shared_mistakes(gold: np.ndarray, sets: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """How much pairs of labellers err on the same texts.

    Parameters
    ----------
    gold
        int64[n].
    sets
        Labels int64[n] by name.

    Returns
    -------
    DataFrame
        `a`, `b`, `texts` (both answered), `kappa` (Cohen's κ of "is it wrong": 0 = independent mistakes, 1 = the same
        texts), `same_wrong` (of the texts where both are wrong, the share with the same wrong class).
    """
    rows = []
    for (a, left), (b, right) in itertools.combinations(sets.items(), 2):
        both = (left >= 0) & (right >= 0) & (gold >= 0)
        wrong = np.stack([left != gold, right != gold])[:, both].astype(np.int64)
        joint = wrong.all(axis=0)
        same = float((left == right)[both][joint].mean()) if joint.any() else float("nan")
        rows.append({"a": a, "b": b, "texts": int(both.sum()), "kappa": cohen_kappa(*wrong), "same_wrong": same})
    return pd.DataFrame(rows, columns=["a", "b", "texts", "kappa", "same_wrong"])


def unanimous(gold: np.ndarray, sets: Mapping[str, np.ndarray]) -> tuple[float, int, Interval]:
    """Where all labellers say the same: the share of texts, their number, and how many of them are wrong.

    Parameters
    ----------
    gold
        int64[n].
    sets
        Labels int64[n] by name, at least two.

    Returns
    -------
    share : float
        Of the texts that all answered.
    texts : int
        Unanimous ones.
    wrong : Interval
        Share of them that is wrong, with Wilson's interval.
    """
    from statsmodels.stats.proportion import proportion_confint

    votes = np.stack(list(sets.values()))
    answered = (votes >= 0).all(axis=0) & (gold >= 0)
    agreed = answered & (votes == votes[0]).all(axis=0)
    count, wrong = int(agreed.sum()), int((votes[0] != gold)[agreed].sum())
    if not count:
        return 0.0, 0, NOTHING
    low, high = proportion_confint(wrong, count, method="wilson")
    return count / int(answered.sum()), count, Interval(wrong / count, float(low), float(high))
