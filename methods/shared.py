"""Stages that several methods share (see `methods.stages`), as calls for the `run` of a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.core.errors import Skip
from bench.core.hashes import hash_arrays
from bench.core.texts import SPLITS, Texts
from bench.training.encoders import Encoder
from bench.training.inputs import Inputs
from bench.training.stages import Arrays, StageStore
from methods import confident, losses
from methods import noise_rate as estimators
from methods.base import NoisyTask, Tools
from methods.runs import Run, cross_entropy, run_of
from methods.stages import BRANCHES, EMBEDDINGS, LOWER, NOISE_RATE, OUT_OF_FOLD, PLAIN, TOKENS, Stage

RATE_RANGE = (0.05, 0.6)


@dataclass(frozen=True)
class Labels:
    """Noisy labels without gaps: a label that the labeller did not give is a seeded uniform class."""

    train: np.ndarray  # int64[N_train]
    valid: np.ndarray  # int64[N_valid]


def labels(task: NoisyTask, tools: Tools) -> Labels:
    """The noisy labels with every "no answer" filled in, the same for all methods of a cell.

    Parameters
    ----------
    task, tools
        What `run` was given.

    Returns
    -------
    Labels
        int64[N_train] and int64[N_valid], classes 0..C-1.
    """
    return Labels(
        tools.fill(task.train_labels, "train", task.num_classes),
        tools.fill(task.valid_labels, "valid", task.num_classes),
    )


def inputs(task: NoisyTask, tools: Tools) -> dict[str, Inputs]:
    """What `tools.trainer` trains and predicts on.

    Parameters
    ----------
    task, tools
        What `run` was given.

    Returns
    -------
    dict of str to Inputs
        By split: tokens, or scaled sentence embeddings when the encoder is frozen.
    """
    return {split: _inputs(getattr(task, split), tools) for split in SPLITS}


def input_stage(texts: Texts, encoder: Encoder) -> tuple[Stage, dict[str, Any]]:
    """The stage that makes an encoder's inputs of texts, and its key (see `Stage.full_key`)."""
    key = _texts_key(texts, encoder)
    if encoder.mode == "frozen":
        return EMBEDDINGS, key
    return (LOWER, key | {"top": encoder.top}) if encoder.top else (TOKENS, key)


def _inputs(texts: Texts, tools: Tools) -> Inputs:
    encoder = tools.encoder
    stage, key = input_stage(texts, encoder)

    def tokens() -> Arrays:
        return TOKENS.get(tools.stages, _texts_key(texts, encoder), lambda: encoder.tokenise(texts.texts))

    if stage == EMBEDDINGS:
        return encoder.inputs({"embeddings": embed_texts(texts, encoder, tools.stages)})
    if stage == LOWER:
        return encoder.inputs(LOWER.get(tools.stages, key, lambda: encoder.lower(tokens())))
    return encoder.inputs(tokens())


def embeddings(task: NoisyTask, tools: Tools) -> dict[str, np.ndarray]:
    """Sentence embeddings by the sentence encoder, through the store.

    Parameters
    ----------
    task, tools
        What `run` was given.

    Returns
    -------
    dict of str to ndarray
        By split: float32[N, D_e], rows of unit length.
    """
    return {split: embed_texts(getattr(task, split), tools.sentence_encoder, tools.stages) for split in SPLITS}


def embed_texts(texts: Texts, encoder: Encoder, stages: StageStore) -> np.ndarray:
    """Sentence embeddings of N texts by an encoder, through the store: float32[N, D_e], rows of unit length."""
    found = EMBEDDINGS.get(stages, _texts_key(texts, encoder), lambda: {"embeddings": encoder.embed(texts.texts)})
    return found["embeddings"]


def _texts_key(texts: Texts, encoder: Encoder) -> dict[str, Any]:
    return {"texts": texts.fingerprint, "encoder": encoder.revision, "max_length": encoder.max_length}


def plain_run(task: NoisyTask, tools: Tools, train_labels: np.ndarray | None = None) -> Run:
    """Plain fine-tuning of one network with cross entropy.

    Parameters
    ----------
    task, tools
        What `run` was given.
    train_labels
        int64[N_train], classes 0..C-1; None: the filled noisy labels.

    Returns
    -------
    Run
        The finished run, with M = 1, from the store where another method of the cell made it.
    """
    targets = labels(task, tools).train if train_labels is None else train_labels
    return run_of(PLAIN, task, tools, targets, cross_entropy, lambda: inputs(task, tools), settings=PLAIN.defaults)


def branch_run(task: NoisyTask, tools: Tools, **settings: Any) -> Run:
    """M co-regularised branches (CR; stage 1 of DyGen and SiDyP) with the features after every epoch.

    Loss: mean_m CE(p_m, ỹ) + α_t · mean_m KL(p̄ ‖ p_m), α_t = 0 during the first `warmup` share of all steps
    (Zhou & Chen, EMNLP 2021).

    Parameters
    ----------
    task, tools
        What `run` was given.
    **settings
        What differs from `BRANCHES.defaults`. branches: M. alpha: α, the weight of the divergence after the warm-up.
        warmup: the share of all steps without it, in [0, 1). shuffle, restarts: see `Trainer.fit`.

    Returns
    -------
    Run
        The finished run, from the store where another method of the cell made it.
    """
    settings = {**BRANCHES.defaults, **settings}
    habits = {name: value for name, value in settings.items() if name not in BRANCHES.defaults}
    return run_of(
        BRANCHES,
        task,
        tools,
        labels(task, tools).train,
        losses.co_regularised_loss(settings["alpha"], settings["warmup"]),
        lambda: inputs(task, tools),
        settings=settings,
        networks=settings["branches"],
        dynamics=True,
        **habits,
    )


def out_of_fold(
    task: NoisyTask, tools: Tools, *, folds: int = OUT_OF_FOLD.defaults["folds"], which: Sequence[str] = ("train",)
) -> np.ndarray:
    """Cross-fitted p(noisy label | x): logistic regression on standardised sentence embeddings.

    Parameters
    ----------
    task, tools
        What `run` was given.
    folds
        How many parts; each is predicted by a model of the others.
    which
        The splits, train or valid.

    Returns
    -------
    ndarray
        float64[n, C], rows in the order of the splits. A class that is absent from a fold's training part gets 0.
    """
    given = labels(task, tools)
    vectors = embeddings(task, tools)
    x = np.concatenate([vectors[split] for split in which])
    y = np.concatenate([getattr(given, split) for split in which])
    key = _embedding_key(task, tools, x, y) | {"folds": folds}

    def compute() -> Arrays:
        generator = tools.generator("folds")
        return {"probabilities": confident.out_of_fold_logistic(x, y, task.num_classes, generator, folds=folds)}

    return OUT_OF_FOLD.get(tools.stages, key, compute)["probabilities"]


def noise_rate(task: NoisyTask, tools: Tools, tau: str = "estimated") -> float:
    """The share of wrong labels that a method should reckon with.

    Parameters
    ----------
    task, tools
        What `run` was given.
    tau
        "estimated", clipped to [0.05, 0.6]: confident learning on sentence embeddings, repeated on what it keeps
        (`methods.noise_rate.refined`). It sees no gold, and of eight estimators it best predicts how the estimate
        answers added noise (`benchmarks/noise_rate.py`). "oracle": the true rate of the labels that methods learn
        from, an ablation that is always labelled so. A number in [0, 1): that number.

    Returns
    -------
    float
        A fraction.

    Raises
    ------
    Skip
        For "oracle" where no training text has both a gold and a noisy label.
    """
    if tau == "oracle":
        if tools.oracle_noise_rate is None:
            raise Skip("tau=oracle needs training texts with both a gold and a noisy label: use tau=estimated")
        return float(tools.oracle_noise_rate)
    if tau != "estimated":
        return float(tau)
    vectors, given = embeddings(task, tools)["train"], labels(task, tools).train

    def compute() -> Arrays:
        found = estimators.refined(vectors, given, task.num_classes, tools.generator("folds"))
        return {"rate": np.array([found.rate])}

    found = NOISE_RATE.get(tools.stages, _embedding_key(task, tools, vectors, given), compute)
    return float(np.clip(found["rate"][0], *RATE_RANGE))


def _embedding_key(task: NoisyTask, tools: Tools, vectors: np.ndarray, given: np.ndarray) -> dict[str, Any]:
    """Everything that a computation on sentence embeddings and noisy labels depends on."""
    return {
        "x": hash_arrays(x=vectors),
        "y": hash_arrays(y=given),
        "classes": task.num_classes,
        "seed": tools.seed,
        "axes": list(tools.axes),
    }
