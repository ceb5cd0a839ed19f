"""What the mistakes of labellers are like: how predictable from the text, how much shared.

Gold labels describe the labels here; nothing of it reaches a method. Labels are int64[n] with -1 for "no answer", and
gold labels are -1 where they are unknown.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.core.seeds import named_generator, named_seed
from bench.store.intervals import Estimate, wilson
from llm_labels.labelsets import SplitLabels
from llm_labels.statistics import cohen_kappa

if TYPE_CHECKING:
    from bench.data.task import TaskData

FOLDS = 5
LEAST = 2 * FOLDS
"""Wrong and right labels that a cross-fitted estimate needs at least, each."""

STRENGTH = 0.01
"""C of the logistic regression: small, as there are nearly as many features as texts."""

NOTHING = Estimate(float("nan"), float("nan"), float("nan"))
"""What cannot be estimated."""


def predictability(features: np.ndarray, gold: np.ndarray, labels: np.ndarray, name: str) -> Estimate:
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
    Estimate
        0.5: the text says nothing of whether its label is wrong; 1: it says all. Logistic regression on standardised
        features, five folds. The interval is that of Hanley and McNeil (Radiology 1982), which takes the scores as
        given, times how much further than it says the AUC of permuted labels spreads (`_spread`); in [0, 1].
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
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=300))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=named_seed("anatomy", name) % 2**32)
    scores = cross_val_predict(model, features[known], wrong, cv=folds, method="decision_function")
    auc = float(roc_auc_score(wrong, scores))
    parts = [test for _, test in folds.split(wrong, wrong)]
    wider = max(_spread(features[known], wrong, parts, named_generator("anatomy-spread", name)), 1.0)
    half = 1.96 * wider * _hanley_mcneil(auc, bad, good)
    return Estimate(auc, max(auc - half, 0.0), min(auc + half, 1.0))


def _hanley_mcneil(auc: float, bad: int, good: int) -> float:
    """The standard error of an AUC whose scores do not depend on the labels."""
    q_bad, q_good = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (bad - 1) * (q_bad - auc**2) + (good - 1) * (q_good - auc**2)
    return float(np.sqrt(max(variance, 0.0) / (bad * good)))


def _spread(
    features: np.ndarray, wrong: np.ndarray, parts: Sequence[np.ndarray], rng: np.random.Generator, draws: int = 200
) -> float:
    """How much further cross-fitted AUCs of permuted labels spread than Hanley and McNeil's standard error at 0.5.

    The classifiers of the folds share texts, so that one chance pattern moves all scores. Labels are permuted within
    the folds `parts`; all draws are fitted at once, by the first Newton step of the logistic regression.
    """
    from scipy.stats import rankdata

    permuted = np.empty((len(wrong), draws))
    for part in parts:
        permuted[part] = rng.permuted(np.repeat(wrong[part, None], draws, axis=1), axis=0)
    scores = np.empty_like(permuted)
    curvature = wrong.mean() * (1 - wrong.mean())
    for part in parts:
        fitted = np.setdiff1d(np.arange(len(wrong)), part)
        centre, scale = features[fitted].mean(axis=0), features[fitted].std(axis=0)
        inside, outside = ((features[rows] - centre) / np.where(scale > 0, scale, 1) for rows in (fitted, part))
        normal = curvature * inside.T @ inside + np.eye(features.shape[1]) / STRENGTH
        scores[part] = outside @ np.linalg.solve(normal, inside.T @ (permuted[fitted] - permuted[fitted].mean(axis=0)))
    bad, good = int(wrong.sum()), int((~wrong).sum())
    ranks = (rankdata(scores, axis=0) * permuted).sum(axis=0)
    aucs = (ranks - bad * (bad + 1) / 2) / (bad * good)
    return float(aucs.std(ddof=1)) / _hanley_mcneil(0.5, bad, good)


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


def unanimous(gold: np.ndarray, sets: Mapping[str, np.ndarray]) -> tuple[float, int, Estimate]:
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
        Of the texts that all answered; NaN where there are none.
    texts : int
        Unanimous ones.
    wrong : Estimate
        Share of them that is wrong, with Wilson's interval.
    """
    votes = np.stack(list(sets.values()))
    answered = (votes >= 0).all(axis=0) & (gold >= 0)
    agreed = answered & (votes == votes[0]).all(axis=0)
    count, wrong = int(agreed.sum()), int((votes[0] != gold)[agreed].sum())
    share = count / int(answered.sum()) if answered.any() else float("nan")
    return share, count, wilson(wrong, count) or NOTHING


def mean_kappa(gold: np.ndarray, sets: Mapping[str, np.ndarray], name: str, draws: int = 200) -> Estimate:
    """The mean over all pairs of labellers of the κ of `shared_mistakes`.

    Parameters
    ----------
    gold
        int64[n].
    sets
        Labels int64[n] by name.
    name
        Names the draws of the bootstrap.
    draws
        How often the texts are drawn again.

    Returns
    -------
    Estimate
        With the percentile interval of a bootstrap over texts, the labellers as they are. Pairs without a κ do not
        count.
    """
    votes = np.stack(list(sets.values()), axis=1)
    answered = (votes >= 0) & (gold >= 0)[:, None]
    wrong = (answered & (votes != gold[:, None])).astype(float)
    answered = answered.astype(float)
    upper = np.triu_indices(votes.shape[1], 1)

    def mean(weights: np.ndarray) -> float:
        both = answered.T @ (weights[:, None] * answered)
        joint = wrong.T @ (weights[:, None] * wrong)
        own = wrong.T @ (weights[:, None] * answered)  # the row's labeller is wrong, the column's answered too
        with np.errstate(invalid="ignore", divide="ignore"):
            left, right = own / both, own.T / both
            chance = left * right + (1 - left) * (1 - right)
            kappa = ((1 - left - right + 2 * joint / both - chance) / (1 - chance))[upper]
        known = kappa[np.isfinite(kappa)]
        return float(known.mean()) if len(known) else float("nan")

    drawn = named_generator("anatomy-bootstrap", name).multinomial(len(gold), np.full(len(gold), 1 / len(gold)), draws)
    found = np.array([mean(weights) for weights in drawn.astype(float)])
    if np.isnan(found).all():
        return NOTHING
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return Estimate(mean(np.ones(len(gold))), float(low), float(high))


def on_train(task: TaskData, sets: Mapping[str, Mapping[str, SplitLabels]]) -> dict[str, np.ndarray]:
    """By set, the labels of all train texts of a task, int64[N_train]; -1 also for texts that were not asked."""
    return {name: parts["train"].spread(len(task.train)) for name, parts in sets.items() if "train" in parts}


def anatomy(
    task: TaskData, sets: Mapping[str, Mapping[str, SplitLabels]], features: np.ndarray | None, features_of: str
) -> dict[str, pd.DataFrame]:
    """What the mistakes in the train labels of a task are like; nothing where the task has no gold labels there.

    Parameters
    ----------
    task
        The whole task.
    sets
        Labels by set and split.
    features
        float[N_train, F], of the texts.
    features_of
        What the features are, for people.

    Returns
    -------
    dict of str to DataFrame
        `predictable` (a row per set), `mistakes` (per pair of sets), `shared` (of all sets together; from two sets on):
        see the functions of this module.
    """
    gold, name, whole = task.gold.train, task.info.name, on_train(task, sets)
    if gold is None or features is None or not whole or not (gold >= 0).any():
        return {}
    once = np.where(pd.Series(task.train.texts).duplicated(), -1, gold)  # a repeated text would be in two folds
    predictable = []
    for each, labels in whole.items():
        known = (labels >= 0) & (gold >= 0)
        auc = predictability(features, once, labels, f"{name} {each}")
        row = {"task": name, "labels": each, "texts": int(known.sum()), "wrong": int((labels != gold)[known].sum())}
        predictable.append(row | _columns("auc", auc) | {"features": features_of})
    found = {"predictable": pd.DataFrame(predictable)}
    if len(whole) < 2:
        return found
    pairs = shared_mistakes(gold, whole)
    share, texts, wrong = unanimous(gold, whole)
    row = {"task": name, "sets": len(whole), **_columns("kappa", mean_kappa(gold, whole, name))}
    row |= {"kappa_least": pairs["kappa"].min(), "kappa_most": pairs["kappa"].max()}
    row |= {"same_wrong": pairs["same_wrong"].mean(), "unanimous_share": share, "unanimous": texts}
    shared = pd.DataFrame([row | _columns("unanimous_wrong", wrong)])
    return found | {"mistakes": pairs.assign(task=name), "shared": shared}


def _columns(name: str, interval: Estimate) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
