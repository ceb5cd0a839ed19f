"""What SiDyP did with chosen texts: candidates, weights by epoch, and paths over the label simplex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from methods.sidyp.config import Config
from methods.sidyp.fit import Problem, Stage1, fit, prepare
from methods.sidyp.sample import Noise, reverse_all
from methods.sidyp.train import Epoch


@dataclass(frozen=True)
class Trace:
    """The story of some train texts (rows) and of some test texts, all branches M."""

    rows: np.ndarray  # int64[Q], positions in train
    marked: np.ndarray  # bool[M, Q]: seemed wrongly labelled
    uncertain: np.ndarray  # bool[M, Q]: more than one candidate
    weights: np.ndarray  # float32[epochs + 1, M, Q, C]: candidate weights, entry 0 as retrieved
    test_rows: np.ndarray  # int64[P], positions in test
    paths: np.ndarray  # float32[R + 1, M, C_j, S, P, C]: simplex points before each reverse step and the last
    classifier: np.ndarray  # float32[M, P, C]: p(noisy label j | text)
    prediction: np.ndarray  # float32[P, C]: P(y | text)


def trace(
    stage1: Stage1,
    config: Config,
    generator: torch.Generator,
    *,
    rows: Sequence[int],
    test_rows: Sequence[int] = (),
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Trace:
    """Train as a run with the same generator and seed does, and record the chosen train and test rows."""
    chosen = torch.as_tensor(rows, dtype=torch.int64)
    shown = torch.as_tensor(test_rows, dtype=torch.int64)
    problem = prepare(stage1, config, generator, device, seed)
    weights, last = [_weights(problem, chosen)], None

    def remember(epoch: Epoch) -> None:
        nonlocal last
        last = epoch
        weights.append(_weights(problem, chosen))

    for step in fit(stage1, problem, generator, seed, on_epoch=remember):
        prediction = step.probabilities["test"]
    assert last is not None  # there is an epoch
    return Trace(
        rows=chosen.numpy(),
        marked=problem.marked[:, chosen].numpy(),
        uncertain=problem.candidates.uncertain[:, chosen.to(device)].cpu().numpy(),
        weights=np.stack(weights),
        test_rows=shown.numpy(),
        paths=reverse_paths(stage1, problem, last, shown),
        classifier=np.asarray(stage1.probabilities["test"])[:, shown.numpy()].astype(np.float32),
        prediction=prediction[shown.numpy()],
    )


def _weights(problem: Problem, rows: torch.Tensor) -> np.ndarray:
    weights = problem.candidates.weights
    return weights[:, rows.to(weights.device)].float().cpu().numpy()


@torch.no_grad()
def reverse_paths(stage1: Stage1, problem: Problem, epoch: Epoch, rows: torch.Tensor) -> np.ndarray:
    """Simplex points float32[R + 1, M, C_j, S, P, C] of test texts `rows` int64[P]: before each step and the last."""
    normal, gumbel = problem.noise["test"]
    noise = Noise(normal[:, rows], None if gumbel is None else gumbel[:, rows])
    path: list[torch.Tensor] = []
    reverse_all(epoch.denoiser.eval(), problem.schedule, problem.trajectories["test"][:, rows], noise, path=path)
    return torch.stack(path).unflatten(2, (stage1.num_classes, len(normal))).float().cpu().numpy()
