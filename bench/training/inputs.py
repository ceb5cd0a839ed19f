"""What a network is fed, batch by batch: token ids, activations within an encoder, or sentence embeddings."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch


@dataclass(frozen=True)
class _PerToken:
    """Values per token of n texts without padding; text i has those from `offsets[i]` to `offsets[i + 1]`."""

    values: np.ndarray  # [total, ...]
    offsets: np.ndarray  # int64[n + 1]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """int64[n], tokens per text."""
        return np.diff(self.offsets)

    def layout(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For texts padded to the longest of these rows: the places of their values int64[B, L], and bool[B, L]."""
        lengths = self.lengths[rows]
        columns = np.arange(max(int(lengths.max()), 1))
        inside = columns < lengths[:, None]
        return np.where(inside, self.offsets[rows][:, None] + columns, 0), inside


@dataclass(frozen=True)
class TokenInputs(_PerToken):
    """Token ids: `values` int32[total]."""

    pad_id: int

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask` int64[B, L], padded to the longest text of these rows."""
        where, inside = self.layout(rows)
        ids = np.where(inside, self.values[where], self.pad_id).astype(np.int64)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(inside.astype(np.int64))}


@dataclass(frozen=True)
class HiddenInputs(_PerToken):
    """Activations below the layers that are trained: `values` float16[total, D]."""

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """`inputs_embeds` float32[B, L, D] and `attention_mask` int64[B, L], padded with zeros."""
        where, inside = self.layout(rows)
        hidden = self.values[where].astype(np.float32)
        hidden[~inside] = 0
        return {"inputs_embeds": torch.from_numpy(hidden), "attention_mask": torch.from_numpy(inside.astype(np.int64))}


@dataclass(frozen=True)
class FeatureInputs:
    """Frozen sentence embeddings, float32[n, D], scaled to unit variance per coordinate on average."""

    features: np.ndarray
    lengths: ClassVar[None] = None  # every row costs the same

    def __len__(self) -> int:
        return len(self.features)

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """`features` float32[B, D]."""
        return {"features": torch.from_numpy(self.features[rows])}


Inputs = TokenInputs | HiddenInputs | FeatureInputs
