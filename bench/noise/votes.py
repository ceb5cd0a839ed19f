"""Several answers per text become one label."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np

CROWDLAB_VERSION = 1
"""Raised when a change alters labels; old records are then not reused."""


def majority_vote(votes: np.ndarray, num_classes: int, rng: np.random.Generator, uncovered: str) -> np.ndarray:
    """The class with most votes, int64[n, F] -> int64[n]; -1 = no vote; ties fall to a uniform choice among the best.

    A row without any vote gets a uniform class (`uncovered="uniform"`) or -1 (`"drop"`).
    """
    rows, voters = np.nonzero(votes >= 0)
    flat = rows * num_classes + votes[rows, voters]
    counts = np.bincount(flat, minlength=len(votes) * num_classes).reshape(len(votes), num_classes)
    # counts are whole numbers: a uniform addend below 1 orders equal counts at random and nothing else
    winners = (counts + rng.random(counts.shape)).argmax(axis=1)
    return np.where(counts.any(axis=1) | (uncovered == "uniform"), winners, -1)


def dawid_skene(answers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Dawid & Skene 1979: every labeller's confusion by EM (crowd-kit), int64[n]; -1 where no labeller answered.

    Train and valid are fitted together, test by itself, so that no test answer can reach a train label.
    """
    import pandas
    from crowdkit.aggregation import DawidSkene

    def fitted(votes: np.ndarray) -> np.ndarray:
        rows, members = np.nonzero(votes >= 0)
        labels = np.full(len(votes), -1, dtype=np.int64)
        if len(rows):
            table = pandas.DataFrame({"task": rows, "worker": members, "label": votes[rows, members]})
            with warnings.catch_warnings(action="ignore"):  # of pandas about crowd-kit's own code
                found = DawidSkene(n_iter=100).fit_predict(table)
            labels[found.index.to_numpy()] = found.to_numpy()
        return labels

    return _apart({split: fitted(votes) for split, votes in _together(answers).items()}, len(answers["train"]))


def crowdlab(
    answers: Mapping[str, np.ndarray],
    embeddings: Mapping[str, np.ndarray],
    num_classes: int,
    rng: Callable[[str], np.random.Generator],
) -> dict[str, np.ndarray]:
    """CROWDLAB's consensus (Goh, Tkachenko & Mueller 2022; cleanlab), int64[n]; -1 where no labeller answered.

    A logistic regression on sentence embeddings float[n, D] learns the majority vote, and its out-of-fold
    probabilities are weighed against the answers int64[n, M] by how trustworthy each proves to be. Train and valid are
    taken together, test by itself, so that no test answer can reach a train label. No gold label is used.
    """
    votes, vectors = _together(answers), _together(embeddings)
    found = {split: _consensus(votes[split], vectors[split], num_classes, rng(split)) for split in votes}
    return _apart(found, len(answers["train"]))


def _together(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Train and valid as one, under "train"; test, if it is there, by itself."""
    both = np.concatenate([parts["train"], parts["valid"]])
    return {"train": both} | ({"test": parts["test"]} if "test" in parts else {})


def _apart(parts: Mapping[str, np.ndarray], n_train: int) -> dict[str, np.ndarray]:
    """The splits again after `_together`."""
    return {**parts, "train": parts["train"][:n_train], "valid": parts["train"][n_train:]}


def _consensus(
    votes: np.ndarray, embeddings: np.ndarray, num_classes: int, generator: np.random.Generator
) -> np.ndarray:
    from cleanlab.multiannotator import get_label_quality_multiannotator

    from methods.confident import out_of_fold_logistic

    labels = majority_vote(votes, num_classes, generator, "drop")
    rows = np.flatnonzero(labels >= 0)
    given = votes[rows][:, (votes >= 0).any(axis=0)]
    if not len(rows) or ((given >= 0).sum(axis=1) < 2).all():
        return labels  # nothing to weigh: no text has two answers
    probabilities = out_of_fold_logistic(embeddings[rows], labels[rows], num_classes, generator)
    with warnings.catch_warnings(action="ignore"):  # of classes that no consensus has
        quality = get_label_quality_multiannotator(
            np.where(given >= 0, given, np.nan),
            probabilities,
            return_detailed_quality=False,
            return_annotator_stats=False,
            verbose=False,
        )
    labels[rows] = quality["label_quality"]["consensus_label"].to_numpy(dtype=np.int64)
    return labels
