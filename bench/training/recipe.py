"""The training recipe that every method shares, so that a comparison is one of methods."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from bench.core.errors import UsageError, first_problem

Pooling = Literal["auto", "cls", "mean"]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Recipe:
    """Hyper-parameters of the shared training loop; every field is part of a cell's key."""

    epochs: int = Field(
        default=10, ge=1, le=1000, description="passes over the training texts (as in SiDyP's code; its scripts use 20)"
    )
    batch_size: int = Field(default=128, ge=1, description="texts per optimiser step (as in SiDyP's script)")
    learning_rate: float = Field(
        default=5e-5, gt=0, le=1, description="peak of the linear schedule (as in SiDyP's script)"
    )
    warmup: float = Field(
        default=0.06,
        ge=0,
        lt=1,
        description="share of all steps in which the learning rate rises (as in SiDyP's script)",
    )
    clip: float = Field(default=1.0, gt=0, description="maximum gradient norm per network, over all its parameters")
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="dropout probability in the encoder and before the last layer (as in BERT)"
    )
    adam_epsilon: float = Field(default=1e-9, gt=0, description="constant in Adam's denominator (as in SiDyP's script)")
    weight_decay: float = Field(
        default=0.0, ge=0, description="decoupled weight decay; 0 means plain Adam (as in SiDyP's script)"
    )
    max_length: int = Field(
        default=128,
        ge=2,
        le=8192,
        description="maximum tokens per text; longer ones are cut (a task may set its own limit)",
    )
    pooling: Pooling = "auto"
    precision: Literal["no", "bf16", "fp16"] = "no"


FROZEN = {"learning_rate": 1e-3}
"""A head on frozen features starts from random weights and needs larger steps than a pretrained body."""

BY_ENCODER = {
    "minilm": {"learning_rate": 2e-4, "batch_size": 32},
    "mpnet": {"learning_rate": 2e-4, "batch_size": 32},
}
"""MiniLM-L6 (22 M parameters) barely moves at BERT's rate: after 3 epochs over 1,000 tweets it fits 68 % of its
*training* labels at 5e-5 and batches of 128 (the larger class), 98 % at 2e-4 and batches of 32. all-mpnet-base-v2: the
best on noisy validation labels, one seed (`benchmarks/recipe_choice.py`, results/reference/recipe); of 2e-5, 5e-5, 1e-4
and 2e-4 on three sets for its four upper layers, of the last three on one set for the whole of it."""


def make_recipe(mode: str, encoder: str = "", **asked: Any) -> Recipe:
    """The recipe for an encoder and its mode, with what was asked for on top.

    Raises UsageError naming the option, its value and the allowed range.
    """
    defaults = FROZEN if mode == "frozen" else BY_ENCODER.get(encoder, {})
    values = defaults | {name: value for name, value in asked.items() if value is not None}
    try:
        return Recipe(**values)
    except ValidationError as error:
        raise UsageError(first_problem(error).option) from None
