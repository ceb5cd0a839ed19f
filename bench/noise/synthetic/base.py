"""What a kind of synthetic noise is: it turns gold labels into noisy ones at a given rate.

A new kind is one file in this folder (or any file: `--noise ./mine.py@0.3`), or a class of another package under
the entry point group `bench.noise`, see docs/extending.md. It defines `flip`, or `draw` where its wrong labels depend
on more than a text's own gold class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from bench.core.errors import UsageError, unknown
from bench.core.registry import Registry

NOISES: Registry[SyntheticNoise] = Registry("noise", "bench.noise.synthetic", "bench.noise")
Rng = Callable[[str], np.random.Generator]
Drawn = tuple[dict[str, np.ndarray], dict[str, Any]]


class SyntheticNoise:
    """A kind of synthetic noise.

    Attributes
    ----------
    name : str
        Its short name: `sn` in `sn@0.3`.
    version : int
        Raised when a change alters labels; old records are then not reused.
    needs_embeddings : bool
        Whether `draw` needs sentence embeddings of the texts.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs_embeddings: ClassVar[bool] = False

    def most(self, num_classes: int) -> float:
        """The highest rate that makes sense for this many classes, in [0, 1].

        Parameters
        ----------
        num_classes : int
            C.
        """
        return 1.0

    def why_not(self, num_classes: int, rate: float) -> str | None:
        """Why this noise does not suit so many classes, and what to name instead; None where it does.

        Parameters
        ----------
        num_classes : int
            C.
        rate : float
            The share of labels that should be wrong, in [0, 1].
        """
        return None

    def flip(self, gold: np.ndarray, num_classes: int, rate: float, generator: np.random.Generator) -> np.ndarray:
        """Noisy labels of one split, where each depends on the text's own gold class alone.

        Parameters
        ----------
        gold : int64[n]
            Gold classes in 0..C-1.
        num_classes : int
            C.
        rate : float
            The share of labels that should be wrong, in [0, 1].
        generator : Generator
            Seeded by task, source, seed and split.

        Returns
        -------
        int64[n]
        """
        raise NotImplementedError(f"{type(self).__name__} has neither flip nor draw")

    def draw(
        self,
        gold: Mapping[str, np.ndarray],
        num_classes: int,
        rate: float,
        rng: Rng,
        embeddings: Mapping[str, np.ndarray] | None = None,
    ) -> Drawn:
        """Noisy labels for gold labels: of each split by itself, by `flip`, unless a kind says otherwise.

        Parameters
        ----------
        gold : {split: int64[n]}
            Gold classes of train and valid.
        num_classes : int
            C.
        rate : float
            The share of labels that should be wrong, in [0, 1].
        rng : Callable[[str], Generator]
            A generator per name, seeded by task, source, seed and that name; use the split's name for its draws.
        embeddings : {split: float[n, F]}, optional
            Sentence embeddings, only where `needs_embeddings`.

        Returns
        -------
        labels : {split: int64[n]}
        facts : dict
            Small facts for the record, e.g. the rate that was really drawn.
        """
        return {split: self.flip(labels, num_classes, rate, rng(split)) for split, labels in gold.items()}, {}


def register(cls: type[SyntheticNoise]) -> type[SyntheticNoise]:
    """Class decorator: make a kind of noise known under its `name`."""
    return NOISES.add(cls)


def parse_synthetic(text: str) -> tuple[type[SyntheticNoise], float]:
    """The kind and the rate of `NAME@RATE` or `FILE.py@RATE`. Raises UsageError with the allowed range."""
    name, _, rate = (part.strip() for part in text.rpartition("@")) if "@" in text else (text.strip(), "", "")
    kind = NOISES.find(name) if name.endswith(".py") else NOISES.available().get(name.lower())
    if kind is None:
        raise unknown("noise", text, ["weak", *(f"{known}@RATE" for known in NOISES.available())])
    if not re.fullmatch(r"\d*\.?\d+(e-\d+)?", rate.lower()) or not 0 <= float(rate) <= 1:
        raise UsageError(f"noise '{text}': the rate must be a number from 0 to 1, like {kind.name}@0.3")
    return kind, float(rate)
