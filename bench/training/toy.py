"""A small encoder without pretrained weights: hashed words, projected. For conformance checks and tests, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal

import numpy as np

from bench.training.encoders import Encoder

WIDTH = 64


@dataclass
class ToyEncoder(Encoder):
    """An encoder in frozen mode whose sentence embeddings are hashed bags of words, unit length."""

    name: str = "toy"
    mode: str = "frozen"
    folder: str = ""
    revision: str = "toy-1"
    pooling: Literal["cls", "mean"] = "mean"
    max_length: int = 128

    sentences = SimpleNamespace(get_embedding_dimension=lambda: WIDTH)  # only its width is asked for

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32[n, 64]; the same text always gets the same vector."""
        if not len(texts):
            return np.zeros((0, WIDTH), np.float32)
        from sklearn.feature_extraction.text import HashingVectorizer

        counts = HashingVectorizer(n_features=WIDTH, norm=None, alternate_sign=False).transform(texts).toarray()
        counts = counts + 1e-3  # a text without words still has a direction
        return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)
