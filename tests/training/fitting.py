"""A small training run on made-up texts."""

import torch
import torch.nn.functional as F

from bench.core.seeds import named_generator
from bench.training.recipe import Recipe
from bench.training.toy import ToyEncoder
from bench.training.trainer import Trainer

CLASSES = 3
SIZES = {"train": 45, "valid": 9, "test": 11}
AXES = ("task", "noise", 1)


def texts(split):
    draw = named_generator("trainer texts", split)
    return [" ".join(f"w{w}" for w in draw.integers(0, 40, int(draw.integers(2, 20)))) for _ in range(SIZES[split])]


def trainer(**recipe):
    defaults = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "dropout": 0.0}
    return Trainer(ToyEncoder(), Recipe(**defaults | recipe), AXES)


def cross_entropy(outputs, batch):
    return torch.stack([F.cross_entropy(o.logits, batch.targets["label"], reduction="none") for o in outputs])


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def fit(run, networks, inputs, labels, loss=cross_entropy, **options):
    return list(run.fit(networks, inputs, loss, targets={"label": labels}, name="test", **options))
