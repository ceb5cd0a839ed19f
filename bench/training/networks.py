"""The networks that are trained: a pretrained body, or a frozen one, and a head."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Output(NamedTuple):
    """What a classifier says of a batch of B texts."""

    logits: torch.Tensor  # float32[B, C]
    features: torch.Tensor  # float32[B, D]: the encoder's output before the pooler (z in the literature)
    pooled: torch.Tensor  # float32[B, D]: after pooler and tanh, before dropout


class Classifier(nn.Module):
    """Body -> features z -> pooler (linear, tanh) -> dropout -> linear (spec: plain fine-tuning)."""

    def __init__(self, body: nn.Module, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.pooler = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    def forward(self, **inputs: torch.Tensor) -> Output:
        """Logits and features of a batch (see `Inputs.batch`)."""
        features = self.body(**inputs)
        pooled = torch.tanh(self.pooler(features))
        return Output(self.classify(pooled), features.float(), pooled.float())

    def classify(self, pooled: torch.Tensor) -> torch.Tensor:
        """float32[B, C] logits of pooled features [B, D] (mixup mixes here)."""
        return self.head(self.dropout(pooled)).float()


class TransformerBody(nn.Module):
    """A Hugging Face encoder with `cls` or `mean` pooling of its last hidden layer."""

    def __init__(self, model: nn.Module, pooling: str) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling

    def forward(self, attention_mask: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """float[B, D] features of token ids, or of the activations below the layers of this body."""
        hidden = self.model(attention_mask=attention_mask, **inputs).last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1).clamp_min(1)


class FrozenBody(nn.Module):
    """The trained hidden layer over frozen sentence embeddings; its output plays the part of the encoder's."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width_in, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """float32[B, width] features."""
        return torch.relu(self.hidden(features))
