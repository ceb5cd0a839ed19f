"""Noisy labels described against gold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.core.arrays import read_only
from bench.core.texts import SPLITS
from bench.data.task import Gold
from bench.noise.source import NoiseSource
from bench.store.parts import NoiseFacts, SparseCounts
from llm_labels.statistics import confusion


def noise_facts(labels: NoisyLabels, gold: Gold, num_classes: int, filled: np.ndarray | None = None) -> NoiseFacts:
    """The labels described against gold: rates, share without an answer, confusion, the labeller's own accuracy.

    `filled` int64[N_train] are the train labels that methods learn from, with a class for every text.
    """
    source = labels.source
    counts = accuracy = None
    if gold.train is not None:
        answered = (labels.train >= 0) & (gold.train >= 0)
        counts = _counts(gold.train[answered], labels.train[answered], num_classes)
    if labels.test is not None and gold.test is not None and (labels.test >= 0).any():
        accuracy = float((labels.test == gold.test)[gold.test >= 0].mean())
    return NoiseFacts(
        kind=source.kind,
        labeller=source.labeller,
        prompting=source.prompting,
        rate_train=wrong_share(labels.train, gold.train),
        rate_valid=wrong_share(labels.valid, gold.valid),
        rate_trained=None if filled is None else wrong_share(filled, gold.train),
        no_answer_train=float((labels.train < 0).mean()),
        no_answer_valid=float((labels.valid < 0).mean()),
        confusion_train=counts,
        labeller_test_accuracy=accuracy,
        labeller_test_no_answer=None if labels.test is None else float((labels.test < 0).mean()),
    )


DENSE_CLASSES = 100
"""Up to this many classes a record holds the whole table of gold class by noisy label."""


def _counts(gold: np.ndarray, labels: np.ndarray, num_classes: int) -> list[list[int]] | SparseCounts:
    """Counts by gold class and noisy label, as a record keeps them."""
    if num_classes <= DENSE_CLASSES:
        return confusion(gold, labels, num_classes)[:, :num_classes].tolist()
    pairs, counts = np.unique(gold * num_classes + labels, return_counts=True)
    rows, columns = np.divmod(pairs, num_classes)
    return SparseCounts(classes=num_classes, rows=rows.tolist(), columns=columns.tolist(), counts=counts.tolist())


def wrong_share(labels: np.ndarray, gold: np.ndarray | None) -> float | None:
    """The share of answered labels that differ from gold; None without gold or answers."""
    if gold is None:
        return None
    both = (labels >= 0) & (gold >= 0)
    return float((labels != gold)[both].mean()) if both.any() else None


@dataclass(frozen=True)
class NoisyLabels:
    """The labels of one cell, read-only; -1 = no answer."""

    train: np.ndarray  # int64[N_train]
    valid: np.ndarray  # int64[N_valid]
    test: np.ndarray | None  # int64[N_test]: the labeller itself as a classifier; LLM and column sources only
    source: NoiseSource
    facts: dict[str, Any] = field(default_factory=dict)  # e.g. the mean flip rate that IDN drew, the labelling's cost

    def __post_init__(self) -> None:
        for split in SPLITS:
            if (values := getattr(self, split)) is not None:
                object.__setattr__(self, split, read_only(values))

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the source's id and the labels of all splits."""
        digest = hashlib.sha256(self.source.id.encode())
        for values in (self.train, self.valid, self.test):
            digest.update(b"\x1fnone" if values is None else f"\x1f{len(values)}".encode())
            if values is not None:
                digest.update(np.ascontiguousarray(values, dtype="<i8").tobytes())
        return digest.hexdigest()
