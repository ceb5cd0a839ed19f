"""SiDyP after stage 1, on arrays: marks, candidates, denoisers, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import UsageError
from methods.neighbours import checked_k
from methods.sidyp.config import MAX_WIDTH, Behaviour, Config, behaviour
from methods.sidyp.denoiser import Denoiser
from methods.sidyp.dynamics import Trajectories, centroids, marked_count, noise_markers, noise_scores
from methods.sidyp.retrieval import Candidates, majority, retrieve
from methods.sidyp.sample import (
    Noise,
    batch_noise,
    chain_rows,
    example_noise,
    gumbel_like,
    predict,
    refined_labels,
    transitions,
)
from methods.sidyp.schedule import Schedule, schedule
from methods.sidyp.train import Epoch, train

SPLITS = ("valid", "test")  # those that are predicted


@dataclass(frozen=True)
class Stage1:
    """What the co-regularised classifiers of stage 1, the sentence encoder and the task hand over."""

    dynamics: Mapping[str, np.ndarray]  # split -> float16/32[M, E, n, D], features after every epoch
    probabilities: Mapping[str, np.ndarray]  # split -> float32[M, n, C], final p(noisy label | text)
    embeddings: Mapping[str, np.ndarray]  # "train" (and "valid" for select=prior_valid) -> float[n, D_e]
    texts: Mapping[str, Sequence[str]]  # by split: name the noise of each text
    train_labels: np.ndarray  # int64[n], noisy, no -1
    valid_labels: np.ndarray  # int64[n_valid], noisy, no -1
    noise_rate: float  # estimated share of wrong train labels
    num_classes: int


@dataclass
class Problem:
    """Everything that training and prediction need, on the device."""

    config: Config
    how: Behaviour
    schedule: Schedule
    trajectories: Trajectories
    marked: Tensor  # bool[M, n]
    candidates: Candidates
    denoiser: Denoiser
    labels: Tensor  # int64[n]
    noise: dict[str, Noise]  # by split
    prior_valid: np.ndarray | None  # int64[n_valid], neighbour-voted labels of valid (select=prior_valid)
    facts: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """Predictions after one epoch."""

    epoch: int
    probabilities: dict[str, np.ndarray]  # "valid", "test" -> float32[N, C], rows sum to 1
    facts: dict[str, Any] = field(default_factory=dict)


def prepare(
    stage1: Stage1, config: Config, generator: torch.Generator, device: torch.device | str = "cpu", seed: int = 0
) -> Problem:
    """Marks, candidates, denoisers and prediction noise. Raises UsageError when k exceeds the texts that vote.

    `generator` gives the initial parameters and breaks ties; `seed` names the noise of prediction.
    """
    how = behaviour(config)
    classes, size = stage1.num_classes, len(stage1.train_labels)
    reference_size = size - marked_count(size, stage1.noise_rate) - int(config.exclude_self)
    neighbours = checked_k(config.neighbours, reference_size, "sidyp")
    means = centroids(stage1.dynamics["train"], stage1.train_labels, classes)
    marked = _marks(stage1, "train", means)
    candidates = _candidates(stage1, "train", marked, config, neighbours)
    prior_valid = None
    if how.select == "prior_valid" and len(stage1.valid_labels):
        valid_marked = _marks(stage1, "valid", means)
        allowed = max(1, int((~valid_marked).sum(1).min()) - int(config.exclude_self))
        votes = _candidates(stage1, "valid", valid_marked, config, min(neighbours, allowed))
        prior_valid = majority(votes.weights, generator).numpy()
    width = None if config.width == "full" else config.width
    trajectories = Trajectories({name: stage1.dynamics[name] for name in ("train", *SPLITS)}, width is not None)
    if width is None and trajectories.width > MAX_WIDTH:
        raise UsageError(
            f"sidyp: width=full is {trajectories.width:,} units per layer (epochs x encoder width), more than "
            f"{MAX_WIDTH:,}: name a number, or train fewer --epochs"
        )
    denoiser = Denoiser(
        branches=len(marked), num_classes=classes, condition_width=trajectories.width, width=width,
        train_timesteps=config.train_timesteps, generator=generator,
    ).to(device)  # fmt: skip
    denoiser.compute_in(torch.bfloat16 if config.precision == "bf16" else None)
    tables = schedule(
        config.train_timesteps, config.inference_steps, config.simplex_value,
        scaled_time=how.scaled_time, clip=how.clip_simplex,
    )  # fmt: skip
    counts = candidates.counts.double()
    uncertain = candidates.uncertain
    facts = {
        "noise_rate_estimate": float(stage1.noise_rate),
        "marked": int(marked[0].sum()),
        "neighbours": neighbours,
        "certain_share": float((~uncertain).double().mean()),
        "uncertain_share": float(uncertain.double().mean()),
        "dominant_share": float((counts == 2).double().mean()),
        "candidates_of_uncertain": float(counts[uncertain].mean()) if uncertain.any() else 0.0,
        "trainable_parameters": sum(parameter.numel() for parameter in denoiser.parameters()),
    }
    candidates = Candidates(candidates.weights.to(device), candidates.uncertain.to(device))
    return Problem(
        config=config, how=how, trajectories=trajectories, marked=marked, candidates=candidates, denoiser=denoiser,
        schedule=tables.to(device), labels=torch.from_numpy(stage1.train_labels).to(device),
        noise={name: prediction_noise(config, stage1.texts[name], classes, seed) for name in SPLITS},
        prior_valid=prior_valid, facts=facts,
    )  # fmt: skip


def fit(stage1: Stage1, problem: Problem, generator: torch.Generator, seed: int = 0, on_epoch=None) -> Iterator[Step]:
    """Train the denoisers and yield predictions of valid and test.

    Every `evaluate_every` epochs and at the last; with select=prior_valid the predictions are those of the best epoch
    so far. `generator` gives every draw of training; `on_epoch(Epoch)` sees the state after each epoch.
    """
    config, device = problem.config, problem.labels.device
    features = problem.trajectories["train"].to(device)
    best: tuple[float, Step] | None = None
    epochs = train(
        problem.denoiser, config, problem.how, problem.schedule, features, problem.labels, problem.candidates,
        generator, seed,
    )  # fmt: skip
    for epoch in epochs:
        if on_epoch is not None:
            on_epoch(epoch)
        last = epoch.number == config.epochs
        by_prior = problem.prior_valid is not None
        if not (last or by_prior or epoch.number % config.evaluate_every == 0):
            continue
        facts = {**problem.facts, **epoch.facts, "epoch": epoch.number}
        if by_prior:
            valid = predictions(stage1, problem, epoch, "valid")
            score = float((valid.argmax(1) == problem.prior_valid).mean())
            if best is None or score > best[0]:
                test = predictions(stage1, problem, epoch, "test")
                best = score, Step(epoch.number, {"valid": valid, "test": test}, {"selected_epoch": epoch.number})
            facts |= {**best[1].facts, "prior_valid_accuracy": score}
            yield Step(epoch.number, best[1].probabilities, facts)
        else:
            yield Step(epoch.number, {name: predictions(stage1, problem, epoch, name) for name in SPLITS}, facts)


def predictions(stage1: Stage1, problem: Problem, epoch: Epoch, split: str) -> np.ndarray:
    """P(y|x) of a split, float32[N, C], with the denoisers of `epoch`."""
    chunks = transitions(
        epoch.denoiser, problem.schedule, problem.trajectories[split], *problem.noise[split],
        kind=problem.how.posterior, memory_bytes=problem.config.memory_mb * 2**20,
    )  # fmt: skip
    return predict(torch.from_numpy(np.asarray(stage1.probabilities[split])), chunks)


def label_posterior(stage1: Stage1, problem: Problem, epoch: Epoch, seed: int) -> np.ndarray:
    """P(y | x, ỹ) of the train texts, float32[N, C]: what the denoisers of `epoch` make of each text's own label."""
    config, classes = problem.config, stage1.num_classes
    found = np.empty((len(stage1.train_labels), classes), np.float32)
    rows = chain_rows(epoch.denoiser, config.num_samples, problem.config.memory_mb * 2**20)
    rows = max(config.batch_size, rows - rows % config.batch_size)
    for start in range(0, len(found), rows):
        part = slice(start, start + rows)
        noise = prediction_noise(config, stage1.texts["train"][part], classes, seed)
        features, labels = problem.trajectories["train"][:, part], problem.labels[part]
        found[part] = refined_labels(
            epoch.denoiser, problem.schedule, features, labels, *noise, kind=problem.how.posterior
        )
    return found


def prediction_noise(config: Config, texts: Sequence[str], num_classes: int, seed: int) -> Noise:
    """The draws of the reverse process; one sample where all would be equal (official)."""
    fresh, steps = behaviour(config).fresh_noise, config.inference_steps
    samples = config.num_samples if fresh else 1
    return Noise(
        example_noise(seed, texts, samples, steps, num_classes)
        if fresh
        else batch_noise(seed, len(texts), config.batch_size, steps, num_classes),
        gumbel_like(samples, steps, num_classes, seed, texts) if config.projection == "sample" else None,
    )


def _marks(stage1: Stage1, split: str, means: Tensor) -> Tensor:
    labels = stage1.train_labels if split == "train" else stage1.valid_labels
    return noise_markers(noise_scores(stage1.dynamics[split], labels, means), stage1.noise_rate)


def _candidates(stage1: Stage1, split: str, marked: Tensor, config: Config, neighbours: int) -> Candidates:
    return retrieve(
        stage1.embeddings[split], stage1.train_labels if split == "train" else stage1.valid_labels,
        marked, stage1.num_classes, neighbours,
        certain_threshold=config.certain_threshold, dominant_threshold=config.dominant_threshold,
        exclude_self=config.exclude_self,
    )  # fmt: skip
