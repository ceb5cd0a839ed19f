"""The contract of a method: what it sees, what it yields, how it is registered.

A method is a *generator of predictions*. It sees texts and noisy labels, never gold; it yields
`Predictions` after each epoch (or once), and the harness alone scores them.

    @register
    class Mine:
        \"\"\"One line. Author et al., venue year, equation.\"\"\"

        name = "mine"

        @config
        class Config:
            strength: float = Field(0.5, gt=0, description="unit; where the default comes from")

        def __init__(self, config): self.config = config

        def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]: ...
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from bench.core.texts import Texts

if TYPE_CHECKING:
    import torch

    from bench.training.encoders import Encoder
    from bench.training.stages import StageStore
    from bench.training.trainer import Recipe, Trainer

__all__ = ["RATE", "Field", "Method", "NoisyTask", "Predictions", "Texts", "Tools", "config"]

config = functools.partial(
    pydantic_dataclass,
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True),
)
"""Decorator of a method's `Config`: a frozen dataclass that refuses unknown and out-of-range values.

A number given for a text field is its text, so that `[tau=0.3]` needs no quotes."""


RATE = Field(
    "estimated",
    pattern=r"^(estimated|oracle|0(\.\d+)?)$",
    description="share of wrong labels to reckon with: estimated (without gold), a number in [0, 1), or oracle "
    "(the true rate: an ablation, never a result)",
)
"""The field `tau` of every method that needs a noise rate."""


@dataclass(frozen=True)
class NoisyTask:
    """Everything that a method may know. Labels are noisy; -1 = the labeller gave no answer."""

    name: str
    label_names: tuple[str, ...]
    train: Texts
    valid: Texts
    test: Texts
    train_labels: np.ndarray  # int64[N_train]
    valid_labels: np.ndarray  # int64[N_valid]

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return len(self.label_names)


@dataclass(frozen=True)
class Predictions:
    """What a method believes after one step (usually an epoch): class probabilities, rows sum to 1."""

    step: int
    valid: np.ndarray  # float32[N_valid, C]
    test: np.ndarray  # float32[N_test, C]
    train: np.ndarray | None = None
    """float32[N_train, C]: running predictions of the training texts, as each was visited in this
    epoch, before its update. Only used for the memorisation curve; None where there are none."""
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    """Small JSON-able facts for the record, e.g. {"noise_rate_estimate": 0.41}."""


class Tools(Protocol):
    """What the harness lends a method (the implementation is `bench.training.tools.CellTools`)."""

    trainer: Trainer  # the one Accelerate training loop
    encoder: Encoder  # the pretrained encoder of this cell
    sentence_encoder: Encoder  # who embeds sentences for neighbours and noise estimates
    stages: StageStore  # what methods share, content-addressed
    recipe: Recipe  # the shared training recipe: epochs, batch size, learning rate, ...
    seed: int  # the cell's seed
    axes: tuple[str, ...]  # name the data of this cell (task, noise source), never the method
    oracle_noise_rate: float | None  # the true noise rate, only where a method's config says tau="oracle"

    def generator(self, *axes: str | int) -> np.random.Generator:
        """A numpy generator named by this cell's data, seed and `axes` (equal axes, equal draws)."""
        ...

    def torch_generator(self, *axes: str | int) -> torch.Generator:
        """A CPU torch generator named the same way."""
        ...

    def fill(self, labels: np.ndarray, split: str, num_classes: int) -> np.ndarray:
        """`labels` int64[N] with every -1 replaced by a seeded uniform class, equal for all methods."""
        ...

    def progress(self, phase: str, done: int, total: int) -> None:
        """Report progress within a phase to the person who waits."""
        ...


class Method(Protocol):
    """A method that learns from noisy labels."""

    name: ClassVar[str]
    sees_gold: ClassVar[bool]  # set by `@register(reference=True)`, as for `oracle`: it is given gold training labels
    version: ClassVar[int]  # bump it when a change alters predictions: old records are then not reused
    Config: ClassVar[type]
    config: Any

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield predictions after each step; see `Predictions`."""
        ...

    # Optional, for planning alone; results do not depend on it:
    #
    # def shared_stages(self, epochs: int) -> dict[str, dict]:
    #     """Name of each training stage of methods.shared that `run` asks for -> settings that differ from its
    #     defaults (methods.shared.DEFAULTS). `epochs` are those of the recipe."""
