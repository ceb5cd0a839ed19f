"""What a record keeps of a SiDyP run for figures: candidates, the prior by epoch, a few paths over the simplex."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from methods.sidyp.fit import Problem, Stage1, Step
from methods.sidyp.trace import reverse_paths
from methods.sidyp.train import Epoch

CORNERS = 3
"""Classes of a path: the likeliest ones, so that it can be drawn in a triangle."""


class Story:
    """Collects the state after each epoch; draws nothing at random and changes no prediction."""

    def __init__(self, stage1: Stage1, problem: Problem) -> None:
        self.stage1, self.problem = stage1, problem
        self.last: Epoch | None = None
        counts = problem.candidates.counts
        shares = torch.bincount(counts.flatten(), minlength=stage1.num_classes + 1).double() / counts.numel()
        self.candidates = [round(share, 4) for share in shares[1:].tolist()]
        self.prior = [{"epoch": 0} | prior_facts(problem)]

    def remember(self, epoch: Epoch) -> None:
        """Take note of the candidate weights after an epoch."""
        self.last = epoch
        facts = {"epoch": epoch.number, "moved": round(epoch.facts["weights_moved"], 4)}
        self.prior.append(facts | prior_facts(self.problem))

    def told(self, step: Step) -> dict[str, Any]:
        """`candidates`: share of texts with 1, 2, ... C; `prior`: one row per epoch; `paths`: see `path_facts`."""
        found = {"candidates": self.candidates, "prior": self.prior, "paths": []}
        prediction = step.probabilities["test"]
        if self.stage1.num_classes >= CORNERS and len(prediction) and self.last is not None:
            rows = example_rows(prediction)
            paths = reverse_paths(self.stage1, self.problem, self.last, torch.as_tensor(rows, dtype=torch.int64))
            found["paths"] = [path_facts(paths[..., i, :], prediction[row], row) for i, row in enumerate(rows)]
        return found


def prior_facts(problem: Problem) -> dict[str, float]:
    """Of the uncertain texts: mean weight of the noisy label and of the best candidate, mean entropy in nats."""
    weights, uncertain = problem.candidates.weights, problem.candidates.uncertain
    if not bool(uncertain.any()):
        return {"noisy_label": 0.0, "best": 1.0, "entropy": 0.0}
    noisy = weights.gather(-1, problem.labels.view(1, -1, 1).expand(len(weights), -1, 1)).squeeze(-1)
    entropy = -torch.special.xlogy(weights, weights).sum(-1)

    def mean(values: Tensor) -> float:
        return round(float(values[uncertain].double().mean()), 4)

    return {"noisy_label": mean(noisy), "best": mean(weights.amax(-1)), "entropy": mean(entropy)}


def example_rows(prediction: np.ndarray) -> list[int]:
    """The surest, the median and the least sure test text of `prediction` float32[N, C]."""
    order = np.argsort(-prediction.max(1), kind="stable")
    return list(dict.fromkeys(int(order[place]) for place in (0, len(order) // 2, len(order) - 1)))


def path_facts(points: np.ndarray, prediction: np.ndarray, row: int) -> dict[str, Any]:
    """The chains of one test text through the triangle of its three likeliest classes, first branch.

    `points` float32[R + 1, M, C_j, S, C] on the simplex scale, `prediction` float32[C]. Gives `classes` (3 ids),
    `prediction` (3), `chains` [3 given labels x S] of R + 1 points; each is the softmax of the simplex point over
    the three classes.
    """
    classes = np.sort(np.argsort(-prediction, kind="stable")[:CORNERS])
    corner = softmax(points[:, 0][:, classes][..., classes].astype(np.float64), axis=-1)  # [R + 1, 3, S, 3]
    chains = np.moveaxis(corner, 0, 2).reshape(-1, len(points), CORNERS)
    return {
        "row": row,
        "classes": classes.tolist(),
        "prediction": [round(float(p), 4) for p in prediction[classes]],
        "chains": np.round(chains, 3).tolist(),
    }
