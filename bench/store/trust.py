"""How far training labels are to be trusted: what is believed of each text, and how well that finds wrong labels.

Beliefs float[N, C] are probabilities of the true class, rows of NaN where there is no opinion; labels ỹ int64[N],
-1 = no answer. Only `detection` sees gold, to score what was found without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.store.opinions import OPINIONS, whole


def opinion(arrays: Mapping[str, np.ndarray], classes: int) -> np.ndarray | None:
    """What a cell's method believes of its training labels, float32[N, C], from its arrays; None: nothing is there."""
    name = next((name for name in OPINIONS if name in arrays), None)
    return None if name is None else whole(name, arrays, classes)


def suspicion(belief: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """1 − the belief in the given label, float64[N] in [0, 1]; without a label 1 − the largest belief; NaN stays."""
    own = np.where(labels >= 0, belief[np.arange(len(labels)), labels], belief.max(axis=1))
    return 1 - own.astype(np.float64).clip(0, 1)


@dataclass(frozen=True)
class Trust:
    """What is believed of N labels of one labeller, and how far those who were asked agree."""

    labels: np.ndarray  # int64[N], as given; -1 = no answer
    believed: np.ndarray  # float64[N, C], rows sum to 1: what the methods alone believe
    belief: np.ndarray  # float64[N, C], rows sum to 1: with the other labellers' votes
    votes: np.ndarray  # float64[N, C]: how many other labellers gave each class
    best: np.ndarray  # int64[methods, N]: the class that each method believes in most
    seeds_agree: np.ndarray  # float64[N]: share of a method's seeds with that method's best class, mean over methods
    lone: np.ndarray  # bool[N]: labels that no other text has: classifiers that did not see them know nothing of them

    @property
    def suspicion(self) -> np.ndarray:
        """How far a label is to be doubted, float64[N] in [0, 1]: 1 / (1 + lift · (1 + share)).

        The lift is what the methods believe of the label for this text over what they believe of it on average, so that
        a class which the labeller gives too readily does not vouch for itself. The share is that of the other
        labellers with this label, the mean over the texts where none answered. 0.5: the text says nothing for or
        against its label, and no other labeller gave it. The lift of a `lone` label is 1. Without a label: 1 − the
        largest belief.
        """
        rows, answered = np.arange(len(self.labels)), self.labels >= 0
        average = self.believed[answered].mean(axis=0) if answered.any() else np.ones(self.believed.shape[1])
        lift = np.where(self.lone, 1.0, self.believed[rows, self.labels] / average[self.labels].clip(1e-12))
        share = self.labellers_agree
        usual = share[~np.isnan(share)].mean() if (~np.isnan(share)).any() else 0.0
        doubted = 1 / (1 + lift * (1 + np.where(np.isnan(share), usual, share)))
        return np.where(answered, doubted, suspicion(self.belief, self.labels))

    @property
    def suggested(self) -> np.ndarray:
        """int64[N]: the class of the largest belief."""
        return self.belief.argmax(axis=1)

    @property
    def foreseen(self) -> tuple[float, float]:
        """Share of the given labels that the methods believe in most, and of the most frequent one; NaN without any."""
        labels = self.labels[self.labels >= 0]
        if not len(labels):
            return np.nan, np.nan
        hits = self.believed.argmax(axis=1)[self.labels >= 0] == labels
        return float(hits.mean()), float(np.bincount(labels).max() / len(labels))

    @property
    def methods_agree(self) -> np.ndarray:
        """float64[N]: the share of the methods whose own best class is the suggested one."""
        return (self.best == self.suggested).mean(axis=0)

    @property
    def labellers_agree(self) -> np.ndarray:
        """float64[N]: the share of the other labellers that gave the given label; NaN where none answered."""
        rows, count = np.arange(len(self.labels)), self.votes.sum(axis=1)
        known = (self.labels >= 0) & (count > 0)
        return np.where(known, self.votes[rows, self.labels] / count.clip(1), np.nan)

    @property
    def cleaned_vote(self) -> np.ndarray:
        """`cleaned` for labels that are made from those of the other labellers, by a vote or the like, int64[N].

        The voters cannot outvote their own vote. It changes where it would without any other labeller, and to a class
        that one of them gave.
        """
        alone = dataclasses.replace(self, belief=self.believed, votes=np.zeros_like(self.votes)).cleaned
        named = self.votes[np.arange(len(alone)), alone] > 0
        return np.where(named | (self.labels < 0), alone, self.labels)

    @property
    def cleaned(self) -> np.ndarray:
        """The labels with those corrected that methods and labellers agree on, int64[N]; -1 = still no answer.

        θ_j is the mean belief in class j over the texts labelled j. A text counts to the most believed of the classes
        with belief ≥ θ (confident learning, Northcutt et al., JAIR 2021, section 3.1). That class takes the place of
        the given label where more than half of the methods prefer it. If other labellers answered, more of them must
        have given it than gave the given label, whose own labeller counts (one other never outvotes it); one method
        that prefers it is then enough. Without them a `lone` label stays.
        """
        classes = self.belief.shape[1]
        answered = self.labels >= 0
        counts = np.bincount(self.labels[answered], minlength=classes)
        own = self.belief[answered, self.labels[answered]]
        totals = np.bincount(self.labels[answered], weights=own, minlength=classes)
        thresholds = np.where(counts > 0, totals / np.maximum(counts, 1), np.inf)
        confident = self.belief >= thresholds - 1e-9
        guess = np.where(confident, self.belief, -1.0).argmax(axis=1)
        rows = np.arange(len(self.labels))
        for_given = self.votes[rows, self.labels] + 1
        alone = self.votes.sum(axis=1) == 0
        outvoted = (alone & ~self.lone) | (self.votes[rows, guess] > for_given) | ~answered
        likelier = ~answered | (self.belief[rows, guess] > self.belief[rows, self.labels])
        agreed = confident.any(axis=1) & (guess == self.suggested) & (self.methods_agree > np.where(alone, 0.5, 0.0))
        agreed &= outvoted & likelier
        return np.where(agreed, guess, self.labels)


def combined(
    labels: np.ndarray,
    opinions: Mapping[Any, Sequence[np.ndarray]],
    others: Sequence[np.ndarray],
    classes: int,
    together: np.ndarray | None = None,
) -> Trust:
    """The opinions of several methods, with one or more seeds each, and the labels of other labellers as one belief.

    The belief is the mean over methods of their means over seeds; where other labellers answered, the mean of that and
    of their votes' shares. `others` are int64[N] each. Where no opinion saw the label of its own text, `together`
    int64[N] numbers equal texts: a label that only one of them has is `lone`.
    """
    by_method = {name: np.stack([np.asarray(each, np.float64) for each in seeds]) for name, seeds in opinions.items()}
    means = np.stack([_mean(seeds) for seeds in by_method.values()])
    believed = _mean(means)
    believed = np.where(np.isnan(believed), 1 / classes, believed)
    believed /= believed.sum(axis=1, keepdims=True).clip(1e-12)
    votes = np.zeros((len(labels), classes))
    for answers in others:
        rows = np.flatnonzero(answers >= 0)
        votes[rows, answers[rows]] += 1
    count = votes.sum(axis=1)
    asked = count > 0
    belief = believed.copy()
    belief[asked] = (believed[asked] + votes[asked] / count[asked, None]) / 2
    best = means.argmax(axis=2)
    same = [seeds.argmax(axis=2) == best[at] for at, seeds in enumerate(by_method.values())]
    return Trust(
        labels,
        believed,
        belief,
        votes=votes,
        best=best,
        seeds_agree=np.mean([each.mean(axis=0) for each in same], axis=0),
        lone=np.zeros(len(labels), dtype=bool) if together is None else _lone(labels, together, classes),
    )


def _lone(labels: np.ndarray, together: np.ndarray, classes: int) -> np.ndarray:
    """Which labels only one text has, bool[N]; `together` int64[N] numbers equal texts."""
    answered = labels >= 0
    given, _ = np.unique(np.stack([labels, together])[:, answered], axis=1)
    return answered & (np.bincount(given, minlength=classes)[labels] == 1)


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis of what is not NaN; NaN where all is."""
    count = (~np.isnan(values)).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


class Detection(NamedTuple):
    """How well a ranking by suspicion finds the wrong labels; shares in [0, 1]."""

    rows: int  # labels that were ranked: answered, with gold
    errors: int
    chance: float  # average precision of a random ranking: the error rate
    average_precision: float
    first_50: float  # precision among the first 50
    first_100: float
    first_errors: float  # precision among as many as there are errors
    found_in_tenth: float  # share of the errors among the first tenth of the rows
    corrected: float  # share of the wrong labels whose suggestion is right


def detection(suspicion: np.ndarray, suggested: np.ndarray, labels: np.ndarray, gold: np.ndarray) -> Detection | None:
    """The ranking scored against gold int64[N] (-1 = unknown); None without a right or without a wrong label.

    In counts from the top, equal suspicions share what they find: each place of a tie counts with the tie's share of
    errors. Average precision takes a tie for one threshold, as scikit-learn does.
    """
    ranked = (labels >= 0) & (gold >= 0) & ~np.isnan(suspicion)
    wrong = (labels != gold)[ranked]
    errors, rows = int(wrong.sum()), len(wrong)
    if not 0 < errors < rows:
        return None
    from sklearn.metrics import average_precision_score

    _, place, size = np.unique(-suspicion[ranked], return_inverse=True, return_counts=True)
    expected = (np.bincount(place, weights=wrong) / size)[place][np.argsort(place, kind="stable")]
    found = np.concatenate([[0.0], np.cumsum(expected)])

    def precision(most: int) -> float:
        return float(found[min(most, rows)] / min(most, rows))

    return Detection(
        rows,
        errors,
        errors / rows,
        float(average_precision_score(wrong, suspicion[ranked])),
        precision(50),
        precision(100),
        precision(errors),
        float(found[max(1, round(rows / 10))] / errors),
        float((suggested == gold)[ranked][wrong].mean()),
    )
