"""May a labeller replace human annotators? The alternative-annotator test (alt-test).

Calderon, Reichart, Dror, "The Alternative Annotator Test for LLM-as-a-Judge: How to Statistically Justify Replacing
Human Annotators with LLMs", ACL 2025, arXiv 2501.10970. Each annotator is left out in turn: is the labeller at least as
near to the others as the one left out, given that it is cheaper by ε? Labels are int64[n], -1 = none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

EPSILONS = {"crowd": 0.1, "skilled": 0.15, "expert": 0.2}
"""ε of the paper, by who the annotators are: the dearer they are, the more a labeller may fall short of them."""
FEWEST = 30
"""Texts that an annotator must share with another one to be tested, as in the paper."""
LEVEL = 0.05


class AltTest(NamedTuple):
    """The outcome for one labeller."""

    annotators: int  # that were tested
    texts: int  # with labels of two annotators or more
    advantage: float  # ρ: chance that the labeller is as near to the others as the annotator left out, or nearer
    winning: dict[str, float]  # ω by kind of annotators: share of them that the labeller may stand in for

    def passes(self, kind: str) -> bool:
        """Whether the labeller may replace annotators of a kind: ω of a half or more."""
        return self.winning[kind] >= 0.5


def alt_test(labels: np.ndarray, annotators: Mapping[str, np.ndarray]) -> AltTest | None:
    """The test of `labels` int64[n] against two or more annotators, int64[n] each.

    Paired one-sided t-tests per annotator, corrected by Benjamini and Yekutieli (5 %). A text that the labeller gave no
    label is one at which it agrees with no annotator. None where no annotator shares `FEWEST` texts with another one.
    """
    from scipy.stats import ttest_1samp
    from statsmodels.stats.multitest import multipletests

    votes = np.stack(list(annotators.values()), axis=1)
    given = votes >= 0
    usable = given.sum(axis=1) >= 2
    differences, advantages = [], []
    for at in range(votes.shape[1]):
        rows = usable & given[:, at]
        if rows.sum() < FEWEST:
            continue
        others = given[rows].copy()
        others[:, at] = False
        count = others.sum(axis=1)
        ours, theirs = (
            ((votes[rows] == value[:, None]) & others).sum(axis=1) / count for value in (labels[rows], votes[rows, at])
        )
        advantages.append(float((ours >= theirs).mean()))
        differences.append((theirs >= ours).astype(float) - (ours >= theirs))
    if not differences:
        return None

    def p_value(difference: np.ndarray, epsilon: float) -> float:
        if np.ptp(difference) == 0:
            return 0.0 if difference[0] < epsilon else 1.0
        return float(ttest_1samp(difference, epsilon, alternative="less").pvalue)

    winning = {
        kind: float(multipletests([p_value(d, epsilon) for d in differences], LEVEL, method="fdr_by")[0].mean())
        for kind, epsilon in EPSILONS.items()
    }
    return AltTest(len(differences), int(usable.sum()), float(np.mean(advantages)), winning)
