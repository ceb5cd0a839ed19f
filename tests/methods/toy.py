"""A task whose texts are points on paper and whose encoder reads them: methods run in seconds, without a model."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np

from bench.core.texts import Texts
from bench.training.encoders import Encoder
from bench.training.recipe import Recipe
from bench.training.stages import StageStore
from bench.training.tools import Tools
from methods import registry
from methods.base import NoisyTask

WIDTH = 6


class ToyEncoder(Encoder):
    """Frozen "sentence embeddings": the numbers that a text consists of."""

    @functools.cached_property
    def sentences(self):
        return SimpleNamespace(get_embedding_dimension=lambda: WIDTH)

    def embed(self, texts):
        return np.array([[float(word) for word in text.split()] for text in texts], dtype=np.float32).reshape(-1, WIDTH)


def flipped(truth, rate, num_classes, rng):
    """Asymmetric noise: with probability `rate` a label moves on to the next class."""
    return np.where(rng.random(len(truth)) < rate, (truth + 1) % num_classes, truth)


def toy_task(sizes=(400, 60, 300), num_classes=3, rate=0.3, spread=0.35, seed=0):
    """(task, gold test labels, gold train labels): Gaussian classes on the axes, noise on train and valid."""
    rng = np.random.default_rng(seed)
    texts, gold = {}, {}
    for split, size in zip(("train", "valid", "test"), sizes, strict=True):
        gold[split] = rng.integers(0, num_classes, size)
        points = np.eye(WIDTH)[gold[split]] + spread * rng.normal(size=(size, WIDTH))
        lines = tuple(" ".join(f"{value:.6f}" for value in point) for point in points)
        texts[split] = Texts(tuple(map(str, range(size))), lines)
    task = NoisyTask(
        "toy",
        tuple(f"class {c}" for c in range(num_classes)),
        **texts,
        train_labels=flipped(gold["train"], rate, num_classes, rng),
        valid_labels=flipped(gold["valid"], rate, num_classes, rng),
    )
    return task, gold["test"], gold["train"]


def toy_tools(seed=1, epochs=10, batch_size=64, **recipe):
    """Tools without a store, on the toy encoder."""
    encoder = ToyEncoder("toy", "frozen", "toy", "0", "mean", 128)
    chosen = Recipe(epochs=epochs, batch_size=batch_size, **({"learning_rate": 3e-3} | recipe))
    return Tools(encoder, encoder, chosen, StageStore(None), seed, ("toy",))


def run(name, task, tools, **parameters):
    """All predictions of a method."""
    return list(registry.build(registry.find(name), parameters).run(task, tools))


def accuracy(predictions, gold):
    """Share of test rows whose most probable class is the gold one, in the last step."""
    return float((predictions[-1].test.argmax(axis=1) == gold).mean())
