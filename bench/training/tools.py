"""What the harness lends a method for one cell: trainer, encoder, stages, named generators, progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.core.seeds import named_generator, named_seed

if TYPE_CHECKING:
    from bench.training.encoders import Encoder
    from bench.training.recipe import Recipe
    from bench.training.stages import StageStore
    from bench.training.trainer import Trainer


@dataclass
class Tools:
    """What the harness lends a method for one cell.

    Attributes
    ----------
    encoder : Encoder
        The pretrained encoder of this cell.
    sentence_encoder : Encoder
        The model for sentence embeddings: neighbours and noise estimates.
    recipe : Recipe
        The shared training recipe: epochs, batch size, learning rate, ...
    stages : StageStore
        What methods share, content-addressed.
    seed : int
        The cell's seed.
    axes : tuple of str
        They name the data of this cell (task, noise source), never the method.
    oracle_noise_rate : float or None
        The true noise rate, only where a method's config says tau="oracle".
    progress : callable
        Told how far a phase is: its name, what is done, of how much.
    track : callable or None
        Gets the loss of every step: values by name, and the step.
    trainer : Trainer
        The one Accelerate training loop.
    """

    encoder: Encoder
    sentence_encoder: Encoder
    recipe: Recipe
    stages: StageStore
    seed: int
    axes: tuple[str, ...] = ()
    oracle_noise_rate: float | None = None
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    track: Callable[[dict[str, float], int], None] | None = None
    trainer: Trainer = field(init=False)

    def __post_init__(self) -> None:
        from bench.training.trainer import Trainer  # takes seconds to load, which importing `methods.base` need not

        axes: tuple[str | int, ...] = (*self.axes, self.seed)
        self.trainer = Trainer(self.encoder, self.recipe, axes, lambda *at: self.progress(*at), track=self.track)

    def generator(self, *axes: str | int) -> np.random.Generator:
        """A numpy generator named by this cell's data, seed and `axes` (equal axes, equal draws)."""
        return named_generator(*self.axes, self.seed, *axes)

    def torch_generator(self, *axes: str | int) -> torch.Generator:
        """A CPU torch generator named the same way."""
        return torch.Generator().manual_seed(named_seed(*self.axes, self.seed, *axes))

    def fill(self, labels: np.ndarray, split: str, num_classes: int) -> np.ndarray:
        """Labels in which every -1 (no answer) is a class drawn uniformly, by seed, equal for all methods.

        Parameters
        ----------
        labels : ndarray
            int64[N].
        split : str
            train, valid or test; it names the draw.
        num_classes : int
            C.

        Returns
        -------
        ndarray
            int64[N] in [0, C).
        """
        drawn = self.generator("no answer", split).integers(0, num_classes, len(labels))
        return np.where(labels < 0, drawn, labels).astype(np.int64)
