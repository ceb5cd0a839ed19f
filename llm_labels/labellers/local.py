"""A local model as a labeller: label words scored as continuations, calibrated, deterministic.

Calibration removes the model's preference for some labels whatever the text says:
- contextual (Zhao et al. 2021, arXiv 2102.09690): q_c proportional to p_c / p_cf,c, where p_cf is the mean label
  distribution of content-free texts in the same prompt;
- batch (Zhou et al. 2023, arXiv 2309.17249): from each score the label's mean score over train texts is taken;
- auto: contextual, unless it fails by a sign that needs no gold: of the labels that it gives to a sample of the
  train texts the entropy is below 0.7 ln C (nearly all texts get the same few labels). Then batch.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import softmax

from bench.core.errors import UsageError
from llm_labels.cache import Answer
from llm_labels.labellers import Decoded, Question, Usage, in_packs
from llm_labels.labellers.models import ModelFiles, choose_precision, find_model, load_model
from llm_labels.prompts import Prompt, completion_body, completion_prefix

if TYPE_CHECKING:
    from llm_labels.labellers.scoring import ContinuationScorer, Prefix

Calibration = Literal["auto", "none", "contextual", "batch"]
CALIBRATIONS = ("auto", "none", "contextual", "batch")
CONTENT_FREE = ("N/A", "", "[MASK]")
BATCH_TEXTS = 256
"""Train texts, evenly spaced, over which batch calibration takes its mean."""
LEAST_ENTROPY = 0.7
"""Share of ln C below which contextual calibration counts as failed. Over the 15 sets made with this project its
train labels have 0.37 to 0.58 (six sets) or 0.77 to 0.99 (nine); the threshold stands in the gap."""
VERSION = 2
"""Raise it when scores change: answers that were kept are then asked for again. 2: rotary frequencies in float32."""
BLOCK = 256
"""Questions that are packed together. Blocks depend on the questions alone, not on what is already answered,
so a resumed labelling gives the same bits as an uninterrupted one."""
STORED_TOKENS = 512
"""After about so many tokens, or what is fed at once, answers are stored (and Ctrl-C is heard): every second or so."""


class LocalLabeller:
    """Scores label words with a causal LM.

    `model` is a name known to `find_model` (smollm2, gemma3-270m), a .gguf file, a model folder or a hub name.
    `device` and `precision` default to what the machine does fastest; both are named in the label set's card.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        calibration: Calibration = "auto",
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        min_margin: float = 0.0,
    ) -> None:
        if calibration not in CALIBRATIONS:
            raise UsageError(f"calibration '{calibration}' is unknown: choose {', '.join(CALIBRATIONS)}")
        if not 0 <= min_margin < 1:
            raise UsageError(f"min_margin {min_margin} is not in [0, 1): it is a difference of two probabilities")
        self.files: ModelFiles = find_model(model)
        self.name = name or self.files.name
        self.revision = self.files.revision
        self.calibration = calibration
        self.device, self.precision = choose_precision(device, precision)
        self.min_margin = min_margin
        self.decoding = {"min_margin": min_margin} if min_margin else {}
        self.usage = Usage(usd=0.0)

    def settings(self) -> dict[str, Any]:
        """What shapes a score (calibration does not: it is applied to the scores afterwards)."""
        return {"kind": "scored", "length_normalised": True, "precision": self.precision, "version": VERSION}

    def price(self, tokens_in: float, tokens_out: float) -> float:
        """0: what a local model costs is seconds."""
        return 0.0

    def references(self, train: Sequence[str]) -> list[str]:
        """The content-free texts, or a sample of the train texts, or nothing."""
        content_free = list(CONTENT_FREE) if self.calibration in ("auto", "contextual") else []
        if self.calibration not in ("auto", "batch"):
            return content_free
        rows = np.unique(np.linspace(0, len(train) - 1, min(BATCH_TEXTS, len(train))).round().astype(int))
        return [*content_free, *(train[row] for row in rows)]

    def check(self, prompt: Prompt, questions: Sequence[Question]) -> None:
        """Raise UsageError where the longest prompt does not fit the model."""
        limit = self.scorer.max_positions if questions else None
        if not limit:
            return
        word = max(len(self.following(f"{prompt.answer_name}:", f" {label.word}")) for label in prompt.labels)
        for opening, group in _by_opening(prompt, questions).items():
            body = max(len(self.tokens(completion_body(prompt, question.text))) for question in group)
            if (longest := len(self._opening(opening)) + body + word) > limit:
                fewer = "fewer examples (--prompting zero), or " if group[0].examples else ""
                raise UsageError(
                    f"a prompt of {longest} tokens does not fit the model ({limit} positions): use {fewer}a prompt "
                    "file with a smaller max_characters (--prompt-file)"
                )

    def ask(
        self,
        prompt: Prompt,
        questions: Sequence[Question],
        known: Container[str],
        store: Callable[[str, Answer], None],
        stop: Callable[[], bool],
    ) -> None:
        """Score every unknown question; see `Labeller.ask`."""
        if all(question.key in known for question in questions):
            return
        continuations = [self.following(f"{prompt.answer_name}:", f" {label.word}") for label in prompt.labels]
        for prefix_text, group in _by_opening(prompt, questions).items():
            bodies = [self.tokens(completion_body(prompt, question.text)) for question in group]
            order = sorted(range(len(group)), key=lambda at: (len(bodies[at]), group[at].key))
            prefix: Prefix | None = None
            for start in range(0, len(order), BLOCK):
                block = order[start : start + BLOCK]
                if all(group[at].key in known for at in block):
                    continue
                prefix = prefix or self.scorer.prefix(self._opening(prefix_text))
                room = max(STORED_TOKENS, self.scorer.pack_tokens)
                for pack in in_packs(block, [len(bodies[at]) for at in block], room):
                    if stop():
                        return
                    started = time.perf_counter()
                    scores = self.scorer.score(prefix, [bodies[at] for at in pack], continuations)
                    seconds = (time.perf_counter() - started) / len(pack)
                    if not np.isfinite(scores).all():
                        raise UsageError(
                            f"model '{self.name}' gives scores that are not numbers in {self.precision}: "
                            "its file is damaged, or it needs --precision float32"
                        )
                    for at, row in zip(pack, scores, strict=True):
                        rounded = tuple(round(float(score), 6) for score in row)
                        self.usage.requests += 1
                        self.usage.tokens_in += len(bodies[at])
                        store(group[at].key, Answer("", rounded, len(bodies[at]), 0, round(seconds, 5)))

    def decode(self, prompt: Prompt, answers: Sequence[Answer], references: Sequence[Answer]) -> Decoded:
        """Calibrated argmax. -1 only where the two best labels are less than `min_margin` apart."""
        words = [label.word for label in prompt.labels]
        if not answers:
            return Decoded(np.zeros(0, np.int64), (), np.zeros((0, len(words)), np.float32), "none")
        scores = np.array([answer.scores for answer in answers], dtype=np.float64)
        reference = np.array([answer.scores for answer in references], dtype=np.float64).reshape(-1, len(words))
        kind, reference = choose_calibration(reference) if self.calibration == "auto" else (self.calibration, reference)
        probabilities = calibrate(scores, reference, kind)
        best, top = probabilities.argmax(axis=1), np.sort(probabilities, axis=1)[:, -2:]
        labels = np.where(top[:, 1] - top[:, 0] < self.min_margin, -1, best)
        kept = tuple(f"{words[c]} {p[c]:.3f}" for c, p in zip(best, probabilities, strict=True))
        return Decoded(labels.astype(np.int64), kept, probabilities.astype(np.float32), kind)

    @functools.cached_property
    def _loaded(self) -> tuple[ContinuationScorer, Any]:
        return load_model(self.files, self.device, self.precision)

    @property
    def scorer(self) -> ContinuationScorer:
        """The model, loaded at the first use."""
        return self._loaded[0]

    def tokens(self, text: str) -> list[int]:
        """Token ids of a piece of a prompt; a text cannot smuggle in special tokens."""
        tokenizer = self._loaded[1]
        return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def following(self, stem: str, text: str) -> list[int]:
        """Token ids of `text` after `stem`: alone, some tokenizers begin every text with a token of its own."""
        first, whole = self.tokens(stem), self.tokens(stem + text)
        return whole[len(first) :] if whole[: len(first)] == first else self.tokens(text)

    def _opening(self, text: str) -> list[int]:
        """Token ids of the beginning of a prompt, with the beginning-of-text token where the model uses one."""
        tokenizer = self._loaded[1]
        ids = self.tokens(text)
        plain = tokenizer("a")["input_ids"]
        uses_bos = tokenizer.bos_token_id is not None and plain and plain[0] == tokenizer.bos_token_id
        return [tokenizer.bos_token_id, *ids] if uses_bos else ids


def _by_opening(prompt: Prompt, questions: Sequence[Question]) -> dict[str, list[Question]]:
    """The questions by the beginning of their prompts."""
    groups: dict[str, list[Question]] = {}
    for question in questions:
        groups.setdefault(completion_prefix(prompt, question.examples), []).append(question)
    return groups


def calibrate(scores: np.ndarray, reference: np.ndarray, kind: Calibration) -> np.ndarray:
    """float64[N, C] label probabilities from scores float64[N, C] (nats) and reference scores float64[R, C].

    contextual: q_c proportional to p_c / p_cf,c with p = softmax(s) and p_cf the mean of the reference rows' p;
    batch: softmax(s - mean of the reference rows' s); none: softmax(s).
    """
    if kind == "none":
        return softmax(scores, axis=1)
    if not len(reference):
        raise UsageError(f"{kind} calibration needs reference scores, and there are none: use calibration none")
    if kind == "batch":
        return softmax(scores - reference.mean(axis=0), axis=1)
    content_free = softmax(reference, axis=1).mean(axis=0)
    return softmax(scores - np.log(np.maximum(content_free, 1e-12)), axis=1)


def choose_calibration(reference: np.ndarray) -> tuple[Calibration, np.ndarray]:
    """What "auto" stands for, and its reference scores, given those of the content-free texts and the train sample."""
    content_free, sample = reference[: len(CONTENT_FREE)], reference[len(CONTENT_FREE) :]
    num_classes = reference.shape[1]
    labels = calibrate(sample, content_free, "contextual").argmax(axis=1)
    shares = np.bincount(labels, minlength=num_classes) / max(1, len(labels))
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum() / np.log(num_classes)
    return ("contextual", content_free) if entropy >= LEAST_ENTROPY else ("batch", sample)
