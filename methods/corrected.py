"""Spending a budget of human labels: rows to correct are chosen, and a method learns from the result."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from scipy.special import entr

from bench.core.errors import UsageError
from bench.core.selectors import parse
from bench.store.trust import combined
from methods import registry, shared, words
from methods.base import Field, Method, NoisyTask, Predictions, Tools, config
from methods.human import Rows, labels_of, replaced, without_classes
from methods.registry import register
from methods.stages import OUT_OF_FOLD, Stage


@register
class Corrected(Method):
    """A method trained on noisy labels, of which a person corrects k chosen ones.

    Rows are chosen before any gold is known: by a score of the noisy labels (highest first), or at random. Suspicion is
    that of `bench trust`, from classifiers on sentence embeddings and on words, out of fold (here equal texts may
    lie in several folds, and the classifier on embeddings learns from the random class of a text without a label, which
    `bench trust` leaves out), and, for an ensemble, its members' answers; disagreement is the entropy of those answers;
    entropy is that of the out-of-fold probabilities on sentence embeddings. Equal scores stand in the random order.
    """

    name = "corrected"
    version = 2

    @config
    class Config:
        """How many labels are corrected, which, and what learns from them."""

        rows: Rows = Field(100, description="k: number of train texts that a person labels (at least 1), or all")
        chosen: Literal["random", "suspicion", "disagreement", "entropy"] = Field(
            "random",
            description="how they are chosen: random, suspicion, disagreement (of an ensemble's members) or entropy",
        )
        method: str = Field("plain", description="the method that learns from the corrected labels")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        named = parse(config.method)
        if named.wrappers:
            outside = "".join(f"+{name}" for name in named.wrappers)
            raise UsageError(
                f"corrected: method={config.method}: write what follows + outside, corrected[...]{outside}"
            )
        self.inner = registry.build(registry.find(named.name), named.parameters, named.name)
        if self.inner.sees_gold or self.inner.human_rows() is not None:
            raise UsageError(f"corrected: method={config.method} learns from gold by itself: name one of noisy labels")
        if getattr(self.inner.config, "tau", None) == "oracle":
            raise UsageError(
                f"corrected: method={config.method}: tau=oracle needs more gold than was bought: leave it out"
            )
        self.exportable = self.inner.exportable  # type: ignore[misc]  # of the class elsewhere

    def built_again(self) -> Corrected:
        """With another object of the method that learns; see `registry.fresh`."""
        made = copy.copy(self)
        made.inner = registry.fresh(self.inner)
        return made

    def human_rows(self) -> int | Literal["all"]:
        """See `Method.human_rows`."""
        return self.config.rows

    def human_scores(self, task: NoisyTask, tools: Tools) -> np.ndarray | None:
        """See `Method.human_scores`."""
        if self.config.chosen == "random":
            return None
        if self.config.chosen == "disagreement":
            assert task.answers is not None  # the harness skips the cell otherwise
            counts = (task.answers[:, :, None] == np.arange(task.num_classes)).sum(axis=0)
            return entropy(counts / counts.sum(axis=1, keepdims=True).clip(1))
        believed = shared.out_of_fold(task, tools)
        if self.config.chosen == "entropy":
            return entropy(believed)
        others = [] if task.answers is None else list(task.answers)
        told = words.out_of_fold(task.train.texts, task.train_labels, task.num_classes, tools.generator("words"))
        opinions = {name: [each] for name, each in {"sentence embeddings": believed, **told}.items()}
        return combined(task.train_labels, opinions, others, task.num_classes).suspicion

    def shared_stages(self, epochs: int) -> dict[Stage, dict[str, Any]]:
        """What rows are chosen by; runs on the corrected labels serve no cell of other labels."""
        chosen_by_text = self.config.chosen in ("suspicion", "entropy")
        return {OUT_OF_FOLD: OUT_OF_FOLD.settings(self.config)} if chosen_by_text else {}

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions of the method that learns from the corrected labels."""
        human, given = labels_of(task), shared.labels(task, tools).train
        known = dataclasses.replace(task, train_labels=replaced(given, human), human=None)
        facts = without_classes(task, human) | {"labels_changed": int((given[human.rows] != human.labels).sum())}
        for step in self.inner.run(known, tools):
            yield dataclasses.replace(step, diagnostics={**step.diagnostics, **facts})


def entropy(shares: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats of the rows of `shares` float[N, C], float64[N]; a row of zeros has 0."""
    return entr(shares).sum(axis=1)
