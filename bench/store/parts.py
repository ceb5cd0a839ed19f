"""The parts of a result record: what each says of the data, the labels, the scores and the stages of a cell."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel


class DataFacts(BaseModel, extra="forbid"):
    """The data as the cell saw it."""

    fingerprint: str
    label_names: list[str]
    n_train: int
    n_valid: int
    n_test: int
    has_gold: bool  # False: no gold in the test split, so there are no scores
    n_scored: int | None = None  # test texts with gold, which scores are of; None: an old record, of all or of none
    notes: list[str] = []  # what was understood of a user's own data: gold, labellers, columns left out
    origin: str | None = None  # a user's own file or folder, relative to the results folder
    repeats: dict[str, int] | None = None  # "test in train": texts of one split that are also in another


class Scores(BaseModel, extra="allow"):
    """Metrics of one step's test probabilities (float16 rounding included), by their names in `store.metrics`.

    A record that is older than a metric does not have it: None, or absent where the metric is of another package.
    """

    __pydantic_extra__: dict[str, float | None]

    step: int
    accuracy: float
    macro_f1: float | None = None
    ece: float
    adaptive_ece: float | None = None
    classwise_ece: float | None = None
    mce: float | None = None
    brier: float | None = None
    nll: float | None = None
    absent_classes: int = 0  # classes neither present in gold nor predicted, left out of macro-F1

    def get(self, metric: str) -> float | None:
        """The score of a metric by name; None where this record does not have it."""
        return (self.__dict__ | (self.__pydantic_extra__ or {})).get(metric)


class ScoreSet(BaseModel, extra="forbid"):
    """The three numbers kept side by side; `oracle_best` is diagnostic only and never a published result."""

    last: Scores
    noisy_valid: Scores | None  # the step that is most accurate on the noisy valid labels; None where there are none
    oracle_best: Scores  # the step with the highest test accuracy: selected on test, diagnostic only


class PartialScore(BaseModel, extra="forbid"):
    """The accuracy of one step where a part of the test texts has gold, with 95 % limits: [value, low, high]."""

    wilson: tuple[float, float, float]  # of the texts with gold alone
    ppi: tuple[float, float, float] | None = None  # with the labeller's labels of the others; None: it cannot be told


class CurvePoint(BaseModel, extra="forbid"):
    """One step of training; None where there is no gold or nothing was visited."""

    step: int
    noisy_valid_accuracy: float | None = None  # None: no valid text has an answer
    test_accuracy: float | None = None
    test_ece: float | None = None
    fit_correct: float | None = None  # share of correctly labelled train texts predicted as labelled
    fit_wrong: float | None = None  # share of wrongly labelled train texts predicted as labelled: memorised noise
    recovered_wrong: float | None = None  # share of wrongly labelled train texts predicted as their gold class


class SparseCounts(BaseModel, extra="forbid"):
    """A table of counts int[C, C] by its entries that are not zero: equally long lists of rows, columns, counts."""

    classes: int
    rows: list[int]
    columns: list[int]
    counts: list[int]


class NoiseFacts(BaseModel, extra="forbid"):
    """The noisy labels of this cell, described by the scorer. None where gold is unknown."""

    kind: Literal["llm", "weak", "synthetic", "column"]
    labeller: str | None = None  # "mixtral-8x22b"
    prompting: str | None = None  # "zero" | "few"
    rate_train: float | None = None  # share of answered train labels that differ from gold
    rate_valid: float | None = None
    rate_trained: float | None = None  # share of the labels trained on that are wrong: answers, and draws for the rest
    no_answer_train: float = 0.0  # share of train texts without an answer
    no_answer_valid: float = 0.0
    # int[C, C]: rows gold, columns noisy label, answered only; sparse where there are many classes
    confusion_train: list[list[int]] | SparseCounts | None = None
    labeller_test_accuracy: float | None = None  # the labeller as a classifier; no answer is wrong, None: none at all
    labeller_test_no_answer: float | None = None

    def confusion(self) -> np.ndarray | None:
        """`confusion_train` as int64[C, C]."""
        stored = self.confusion_train
        if not isinstance(stored, SparseCounts):
            return None if stored is None else np.array(stored, dtype=np.int64)
        table = np.zeros((stored.classes, stored.classes), dtype=np.int64)
        table[stored.rows, stored.columns] = stored.counts
        return table


class TrainedNoise(NamedTuple):
    """The labels that methods train on: how many are wrong, and how many texts have no answer but a random class."""

    rate: float | None  # None: unknown for want of gold
    no_answer: float
    expected: bool  # computed from the rate among the answers, since the record is older than the count


class StageUse(BaseModel, extra="forbid"):
    """A shared stage that the cell used: found in the store (`reused`) or computed now."""

    name: str
    hash: str
    reused: bool
    seconds: float  # wall time that computing it took, in whichever cell it was computed
    processor: float | None = None  # processor time of it, all threads and child processes; None: an older record


class ErrorFacts(BaseModel, extra="forbid"):
    """Why a cell failed."""

    type: str
    message: str
    traceback_file: str | None = None  # name of a text file beside the record
