"""Multinomial logistic regression for hundreds of features and up to thousands of classes, penalty after penalty.

The problem is that of scikit-learn's `LogisticRegression` on standardised features, in its convention of C: with
ρ = 1/(C·n) and p = softmax(XW + b), minimise mean −log p(label) + ρ/2·‖W‖². Two classes have one weight vector there,
w₁ − w₀, which is a ridge of 2ρ here. SciPy's L-BFGS solves it in coordinates that whiten
(XᵀX/n) ⊗ mean(diag p − ppᵀ) + ρI, nearly the Hessian while the penalty is strong: few products with X are then needed.

Shapes: n rows, D features, C classes that occur. Products are float32, sums over rows float64.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize  # here, because a library that is loaded later escapes the limit on its threads
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import pad

TOLERANCE = 2e-7
"""Of the whitened gradient's squared length, about twice what the objective may still fall (nats)."""
MAX_ITERATIONS = 200


def product(left: Tensor, right: Tensor) -> Tensor:
    """left [..., n, k] @ right [..., k, C], columns in multiples of 16: a CPU is up to four times faster at these."""
    columns = right.shape[-1]
    return (left @ pad(right, (0, -columns % 16)))[..., :columns]


@contextlib.contextmanager
def one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """A pool of as many workers as torch has threads, each computing with one.

    Threads that share one product wait for the slowest at every step, which costs many times the work itself where
    other processes want the cores too; and numbers then do not depend on how many there are.
    """
    threads = torch.get_num_threads()
    try:
        with (
            threadpool_limits(1, user_api="blas"),  # SciPy's own, which its L-BFGS calls
            ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):
            yield pool
    finally:
        torch.set_num_threads(threads)  # torch hands the last number that was set to every new thread


class Axes(NamedTuple):
    """Eigenvalues (from 0) and eigenvectors of a symmetric matrix, float32."""

    spectrum: Tensor  # [D]
    vectors: Tensor  # [D, D], one per column

    @classmethod
    def of(cls, matrix: Tensor) -> Axes:
        """The axes of `matrix` float32[D, D]."""
        values, vectors = torch.linalg.eigh(matrix)
        return cls(values.clamp_min(0), vectors)


class Scale(NamedTuple):
    """What standardises features: mean and standard deviation, float32[D]; a constant feature has deviation 1."""

    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, features: np.ndarray) -> Scale:
        """The scale of `features` float[n, D]."""
        mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        spread = np.where(spread > 1e-6 * np.abs(mean), spread, 1.0)
        return cls(torch.from_numpy(mean).float(), torch.from_numpy(spread).float())

    def apply(self, features: np.ndarray) -> Tensor:
        """Standardised features, float32[n, D]."""
        return (torch.from_numpy(features).float() - self.mean).div_(self.spread)


def axes_of(features: np.ndarray) -> Axes:
    """The principal axes of standardised `features` float[n, D]; those of many rows serve the fits on most of them."""
    inputs = Scale.of(features).apply(features)
    return Axes.of(inputs.T @ inputs / len(inputs))


class Logistic:
    """One classifier; each `fit` starts from the one before, so go from strong penalties to weak ones."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, axes: Axes) -> None:
        """`features` float[n, D], n > 0; `labels` int64[n] in 0..C-1, every class at least once; see `axes_of`."""
        self.scale, self.axes, self.labels = Scale.of(features), axes, torch.from_numpy(labels)
        self.inputs = self.scale.apply(features) @ axes.vectors  # [n, D], once for all penalties
        shares = np.bincount(labels) / len(labels)
        start = np.concatenate([np.zeros((features.shape[1], len(shares))), np.log(shares)[None]])
        self.parameters = torch.from_numpy(start).float()  # [D + 1, C], weights along `axes`; the bias comes last

    def fit(self, inverse_penalty: float) -> None:
        """Fit the rows that the classifier was made with; `inverse_penalty` is scikit-learn's C."""
        classes = self.parameters.shape[1]
        if classes < 2:
            return
        inputs, rows, target = self.inputs, torch.arange(len(self.labels)), self.labels
        ridge = (2 if classes == 2 else 1) / (inverse_penalty * len(rows))
        turn, stretch = self._whitening(self._logits(inputs, self.parameters).softmax(dim=1), ridge)
        gradient = torch.zeros(())

        def evaluate(point: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal gradient
            whitened = torch.from_numpy(point).float().view_as(stretch) * stretch
            log_p = self._logits(inputs, whitened @ turn.T).log_softmax(dim=1)
            loss = -float(log_p[rows, target].mean(dtype=torch.float64))
            residual = log_p.exp_()
            residual[rows, target] -= 1
            residual /= len(rows)
            slope = torch.cat([product(inputs.T, residual), residual.sum(dim=0, keepdim=True)]) @ turn
            slope[:-1] += ridge * whitened[:-1]  # lengths are the same along any axes
            gradient = (slope * stretch).double()
            return loss + ridge / 2 * float(whitened[:-1].double().square().sum()), gradient.numpy().ravel()

        def enough(intermediate_result) -> None:
            if float(gradient.square().sum()) < TOLERANCE:
                raise StopIteration

        start = (self.parameters @ turn / stretch).double().numpy().ravel()
        limits = {"maxiter": MAX_ITERATIONS, "ftol": 1e-9, "gtol": 1e-6}
        found = minimize(evaluate, start, jac=True, method="L-BFGS-B", callback=enough, options=limits)
        self.parameters = torch.from_numpy(found.x).float().view_as(stretch) * stretch @ turn.T

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """p(class | row), float64[n, C], rows sum to 1."""
        inputs = self.scale.apply(features) @ self.axes.vectors
        return self._logits(inputs, self.parameters).double().softmax(dim=1).numpy()

    def _logits(self, inputs: Tensor, parameters: Tensor) -> Tensor:
        """[n, C], of `inputs` along `axes`."""
        return product(inputs, parameters[:-1]) + parameters[-1]

    def _whitening(self, p: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
        """(axes of the classes [C, C], stretch [D + 1, C]): parameters are (whitened · stretch) · axesᵀ."""
        classes = Axes.of(torch.diag(p.mean(dim=0)) - p.T @ p / len(p))
        weights = classes.spectrum.clamp_min(1e-6)  # 0 along the constant, where the gradient is 0 as well
        curvature = torch.cat([self.axes.spectrum[:, None] * weights + ridge, weights[None]])
        return classes.vectors, curvature.rsqrt()
