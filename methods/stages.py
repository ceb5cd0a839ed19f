"""The stages that several methods share, each computed once per (data, encoder, recipe, seed, code version).

`methods.shared` computes them. Imports no torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.core.registry import content_of

if TYPE_CHECKING:
    import numpy as np

    from bench.training.stages import StageStore


def _content() -> str:
    """The hash of the user's file that makes a stage; "" for any other file."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals["__name__"] in (__name__, "dataclasses"):
        frame = frame.f_back
    return "" if frame is None else content_of(frame.f_globals["__name__"])


@dataclass(frozen=True)
class Stage:
    """One kind of shared stage.

    Attributes
    ----------
    name
        What the store, records and the forecast of `--dry-run` call it.
    version
        Part of every key. Bump it when the computation changes: old entries are then not found.
    defaults
        Its settings where a method says nothing.
    content
        Of a stage that a user's file defines: the file's hash, by itself. An edited file has another stage.
    """

    name: str
    version: int
    defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    content: str = field(default_factory=_content, init=False)

    def settings(self, config: Any) -> dict[str, Any]:
        """Its settings: those fields of a method's `config` that have their names, else the defaults."""
        return {name: getattr(config, name, value) for name, value in self.defaults.items()}

    def full_key(self, key: Mapping[str, Any]) -> dict[str, Any]:
        """What the store knows an entry by: `key` (everything it depends on but the version), with the version."""
        return {**key, "version": [self.version, self.content] if self.content else self.version}

    def get(
        self, store: StageStore, key: Mapping[str, Any], compute: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Its arrays for `key` (see `full_key`), read from `store` or computed and kept."""
        return store.get(self.name, self.full_key(key), compute)


TOKENS = Stage("tokens", 1)
LOWER = Stage("lower layers", 1)  # activations below the layers that are trained, in mode topK
EMBEDDINGS = Stage("embeddings", 1)  # of sentences: for frozen encoders, neighbours and estimates of noise
PLAIN = Stage("plain run", 2)  # plain fine-tuning with its predictions after every epoch
BRANCHES = Stage("branches run", 2, {"branches": 3, "alpha": 5.0, "warmup": 0.1})  # co-regularised, with their dynamics
OUT_OF_FOLD = Stage("out of fold", 3, {"folds": 5})  # cross-fitted class probabilities on embeddings
NOISE_RATE = Stage("noise rate", 2)  # by confident learning that is repeated on what it keeps
