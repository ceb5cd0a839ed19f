"""Small random problems for the tests of SiDyP."""

from __future__ import annotations

import numpy as np
import torch

from methods.sidyp.config import Config, behaviour
from methods.sidyp.denoiser import Denoiser
from methods.sidyp.fit import Stage1
from methods.sidyp.schedule import schedule


def stage1(
    *, train=40, valid=12, test=9, classes=4, branches=2, epochs=3, width=5, noise_rate=0.4, seed=0, present=None
) -> Stage1:
    """Random arrays of stage 1 with some class structure; `present`: the classes that labels come from."""
    rng = np.random.default_rng(seed)
    present = np.arange(classes) if present is None else np.asarray(present)
    sizes = {"train": train, "valid": valid, "test": test}
    centre = rng.standard_normal((classes, width))
    truth = {split: rng.choice(present, size) for split, size in sizes.items()}
    labels = {
        split: np.where(rng.random(len(y)) < noise_rate, rng.choice(present, len(y)), y) for split, y in truth.items()
    }
    dynamics, probabilities, embeddings = {}, {}, {}
    for split, size in sizes.items():
        noise = rng.standard_normal((branches, epochs, size, width))
        dynamics[split] = (centre[truth[split]] + 0.7 * noise).astype(np.float32)
        probabilities[split] = rng.dirichlet(np.ones(classes), (branches, size)).astype(np.float32)
        embeddings[split] = (centre[truth[split]] + 0.5 * rng.standard_normal((size, width))).astype(np.float32)
    texts = {split: [f"{split} {row}" for row in range(size)] for split, size in sizes.items()}
    return Stage1(dynamics, probabilities, embeddings, texts, labels["train"], labels["valid"], noise_rate, classes)


def config(**changes) -> Config:
    """A configuration that runs in a blink."""
    small = {
        "width": 6, "branches": 2, "epochs": 4, "batch_size": 16, "train_timesteps": 20, "inference_steps": 5,
        "train_samples": 3, "num_samples": 2, "neighbours": 5, "learning_rate": 0.01, "warm_up": 0.25,
        "evaluate_every": 1,
    }  # fmt: skip
    if changes.get("mode") == "official":  # it has no use for these
        del small["num_samples"], small["evaluate_every"]
    if changes.get("warm_up") == 1:
        del small["train_samples"]
    return Config(**{**small, **changes})


def denoiser(config: Config, *, classes=4, width=15, seed=0) -> Denoiser:
    """A denoiser in float64 with running statistics and affine parameters that are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    net = Denoiser(
        branches=config.branches, num_classes=classes, condition_width=width,
        width=None if config.width == "full" else config.width, train_timesteps=config.train_timesteps,
        generator=generator,
    ).double()  # fmt: skip
    for norm in (net.condition_norm, *net.norms):
        norm.running_mean.copy_(0.3 * torch.randn(norm.running_mean.shape, generator=generator))
        norm.running_var.copy_(0.5 + torch.rand(norm.running_var.shape, generator=generator))
        norm.weight.data.add_(0.2 * torch.randn(norm.weight.shape, generator=generator))
        norm.bias.data.add_(0.2 * torch.randn(norm.bias.shape, generator=generator))
    for layer in (*net.layers, net.head):
        layer.weight.data.mul_(4)  # so that classes, texts and noise matter
    return net


def float64_schedule(config: Config):
    """The schedule of a configuration in float64."""
    how = behaviour(config)
    return schedule(
        config.train_timesteps, config.inference_steps, config.simplex_value,
        scaled_time=how.scaled_time, clip=how.clip_simplex, dtype=torch.float64,
    )  # fmt: skip
