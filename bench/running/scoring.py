"""Predictions scored against gold, and the arrays that a record keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.data.task import Gold
from bench.noise.facts import NoisyLabels
from bench.store.intervals import prediction_powered, wilson
from bench.store.metrics.base import simplex
from bench.store.metrics.calibration import expected_calibration_error, reliability_bins
from bench.store.opinions import rounded
from bench.store.parts import CurvePoint, PartialScore, ScoreSet
from bench.store.scoring import score
from methods.base import Predictions


def score_steps(
    steps: list[Predictions], noisy_valid: np.ndarray, noisy_train: np.ndarray, gold: Gold
) -> tuple[ScoreSet | None, list[CurvePoint], dict[str, np.ndarray]]:
    """Scores of last / noisy-valid / oracle-best, the curve over steps, and the arrays to store.

    Scores are those of the float16 probabilities that are stored, so anyone can compute them again. Without gold
    in the test split there are no scores, and no oracle-best; where no valid text has an answer, no noisy-valid. Of
    texts without gold (-1) nothing is scored.
    """
    stored = [rounded(step.test) for step in steps]
    curve = [curve_point(step, kept, noisy_valid, noisy_train, gold) for step, kept in zip(steps, stored, strict=True)]
    last = len(steps) - 1
    answered = bool((noisy_valid >= 0).any())
    selected = last_best([point.noisy_valid_accuracy for point in curve]) if answered else None
    arrays = {"test_last": stored[last]} | ({} if selected is None else {"test_noisy_valid": stored[selected]})
    if gold.test is None:
        return None, curve, arrays
    known = gold.test >= 0
    best = last_best([point.test_accuracy for point in curve])
    kept_steps = {last, best} if selected is None else {last, selected, best}
    scored = {at: score(stored[at][known], gold.test[known], steps[at].step) for at in kept_steps}
    bins = reliability_bins(stored[last][known], gold.test[known])
    arrays |= {
        "test_oracle_best": stored[best],
        "gold": gold.test.astype(np.int64),
        "bins_count": bins.count,
        "bins_accuracy": bins.accuracy,
        "bins_confidence": bins.confidence,
    }
    by_valid = None if selected is None else scored[selected]
    return ScoreSet(last=scored[last], noisy_valid=by_valid, oracle_best=scored[best]), curve, arrays


def partial_scores(
    arrays: dict[str, np.ndarray], labeller: np.ndarray | None, gold: np.ndarray | None
) -> dict[str, PartialScore]:
    """The accuracy of the stored steps with its limits, where some test texts have gold and others have not.

    `labeller` int64[N_test]: the labels of the labeller, whose agreement with a method is the proxy for being right.
    """
    if gold is None or (gold >= 0).all():
        return {}
    known, found = gold >= 0, {}
    for rule in ("last", "noisy_valid"):
        if f"test_{rule}" in arrays:
            predicted = simplex(arrays[f"test_{rule}"]).argmax(1)
            hits = predicted[known] == gold[known]
            wide = wilson(int(hits.sum()), len(hits))
            assert wide is not None  # some are known
            proxy = None if labeller is None else predicted == labeller
            ppi = None if proxy is None else prediction_powered(hits, proxy[known], proxy[~known])
            found[rule] = PartialScore(wilson=wide, ppi=ppi)
    return found


def label_arrays(labels: NoisyLabels, gold: Gold) -> dict[str, np.ndarray]:
    """The noisy labels of train and, where the labeller gave some, of test (-1 = no answer), and the gold of train.

    int16[N_train], int16[N_test], int16[N_train]; what is unknown is left out.
    """
    found = {"train_labels": labels.train, "test_labels": labels.test, "train_gold": gold.train}
    return {name: values.astype(np.int16) for name, values in found.items() if values is not None}


def last_best(values: Sequence[float | None]) -> int:
    """Position of the largest value; of equal ones the last, so that a tie does not stop early. Raises ValueError."""
    if None in values:
        raise ValueError("a step has no accuracy")
    return len(values) - 1 - int(np.argmax(np.array(values[::-1])))


def curve_point(
    step: Predictions, test: np.ndarray, noisy_valid: np.ndarray, noisy_train: np.ndarray, gold: Gold
) -> CurvePoint:
    """One step as the scorer sees it: fit to correctly and to wrongly labelled training texts, test accuracy."""
    answered = noisy_valid >= 0
    agreed = step.valid.argmax(1)[answered] == noisy_valid[answered]
    facts: dict[str, float | None] = {"noisy_valid_accuracy": share(agreed)}
    if gold.test is not None:
        known = gold.test >= 0
        values = simplex(test[known])
        right = (values.argmax(1) == gold.test[known]).astype(float)
        facts["test_accuracy"] = float(right.mean())
        facts["test_ece"] = expected_calibration_error(values.max(1), right)
    if step.train is not None and gold.train is not None:
        seen = (noisy_train >= 0) & (gold.train >= 0) & ~np.isnan(step.train).any(1)
        predicted = np.nan_to_num(step.train).argmax(1)
        wrong = seen & (noisy_train != gold.train)
        correct = seen & (noisy_train == gold.train)
        facts["fit_correct"] = share(predicted[correct] == noisy_train[correct])
        facts["fit_wrong"] = share(predicted[wrong] == noisy_train[wrong])
        facts["recovered_wrong"] = share(predicted[wrong] == gold.train[wrong])
    return CurvePoint(step=step.step, **facts)


def share(hits: np.ndarray) -> float | None:
    """The mean of booleans; None of nothing."""
    return float(hits.mean()) if len(hits) else None
