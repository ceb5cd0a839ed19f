"""Stages that several methods share, each computed once per (data, encoder, recipe, seed, code version).

| stage        | what                                                        | serves                       |
|--------------|-------------------------------------------------------------|------------------------------|
| tokens       | token ids                                                   | every fine-tuned method      |
| embeddings   | sentence embeddings                                         | frozen mode, neighbours, τ̂  |
| plain run    | plain fine-tuning with its per-epoch predictions            | plain, NPC, +ts              |
| branch run   | M co-regularised branches with their training dynamics      | CR, DyGen, SiDyP             |
| out of fold  | cross-fitted class probabilities on embeddings              | confident learning           |
| noise rate   | τ̂ by confident learning that is repeated on what it keeps   | co-teaching, JoCoR, DyGen, SiDyP |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from bench.core.errors import Skip
from bench.core.texts import SPLITS, Texts
from bench.training.encoders import Inputs
from bench.training.stages import Arrays, hash_arrays
from bench.training.trainer import Batch, softmax
from methods import confident, losses
from methods import noise_rate as estimators
from methods.base import NoisyTask, Predictions, Tools

RATE_RANGE = (0.05, 0.6)
VERSIONS = {"tokens": 1, "embeddings": 1, "plain": 2, "branches": 2, "out of fold": 3, "noise rate": 2}
"""Bump one when its computation changes: old entries are then not found."""


DEFAULTS: dict[str, dict] = {
    "plain run": {},
    "branches run": {"branches": 3, "alpha": 5.0, "warmup": 0.1},
    "noise rate": {},
    "out of fold": {"folds": 5},
}
"""The settings of the stages that planning knows of, as they are when a method says nothing."""


def rate_stages(tau: str) -> dict[str, dict]:
    """The stage of `noise_rate`, for `Method.shared_stages`."""
    return {"noise rate": {}} if tau == "estimated" else {}


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


def _inputs(texts: Texts, tools: Tools) -> Inputs:
    encoder = tools.encoder
    if encoder.mode == "frozen":
        return encoder.inputs({"embeddings": embed_texts(texts, encoder, tools.stages)})
    key = {
        "texts": texts.fingerprint,
        "encoder": encoder.revision,
        "max_length": encoder.max_length,
        "version": VERSIONS["tokens"],
    }
    return encoder.inputs(tools.stages.get("tokens", key, lambda: encoder.tokenise(texts.texts)))


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


def embed_texts(texts: Texts, encoder, stages) -> np.ndarray:
    """Sentence embeddings float32[N, D_e] of texts, through the store."""
    key = {
        "texts": texts.fingerprint,
        "encoder": encoder.revision,
        "max_length": encoder.max_length,
        "version": VERSIONS["embeddings"],
    }
    return stages.get("embeddings", key, lambda: {"embeddings": encoder.embed(texts.texts)})["embeddings"]


@dataclass(frozen=True)
class Run:
    """A finished training run of M networks over E epochs."""

    probabilities: dict[str, np.ndarray]  # valid, test -> float32[E, M, N, C] after each epoch
    running: np.ndarray  # float32[E, N_train, C]: as each training text was visited, mean over networks
    final_logits: dict[str, np.ndarray]  # train, valid, test -> float32[M, N, C]
    features: dict[str, np.ndarray]  # split -> float16[M, E, N, D] dynamics, or [M, 1, N, D] of the last epoch

    def final(self, split: str) -> np.ndarray:
        """p(noisy label | x) of the final networks, float32[M, N, C]."""
        return softmax(self.final_logits[split])

    def predictions(self) -> Iterator[Predictions]:
        """The mean over networks after each epoch."""
        for epoch in range(len(self.running)):
            yield Predictions(
                step=epoch + 1,
                valid=self.probabilities["valid"][epoch].mean(0),
                test=self.probabilities["test"][epoch].mean(0),
                train=self.running[epoch],
            )


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

    def loss(outputs, batch: Batch):
        return F.cross_entropy(outputs[0].logits, batch.targets["label"], reduction="none")

    return _run("plain", task, tools, targets, loss, networks=1, settings={}, dynamics=False)


def branch_run(
    task: NoisyTask,
    tools: Tools,
    *,
    branches: int = 3,
    alpha: float = 5.0,
    warmup: float = 0.1,
    shuffle: bool = True,
    restarts: bool = False,
) -> Run:
    """M co-regularised branches (CR; stage 1 of DyGen and SiDyP) with the features after every epoch.

    Loss: mean_m CE(p_m, ỹ) + α_t · mean_m KL(p̄ ‖ p_m), α_t = 0 during the first `warmup` share of all steps
    (Zhou & Chen, EMNLP 2021).

    Parameters
    ----------
    task, tools
        What `run` was given.
    branches
        M.
    alpha
        α, the weight of the divergence after the warm-up.
    warmup
        The share of all steps without it, in [0, 1).
    shuffle, restarts
        See `Trainer.fit`.

    Returns
    -------
    Run
        The finished run, from the store where another method of the cell made it.
    """
    settings = {"branches": branches, "alpha": alpha, "warmup": warmup}
    habits = {"shuffle": shuffle, "restarts": restarts}
    if habits != {"shuffle": True, "restarts": False}:
        settings |= habits

    def loss(outputs, batch: Batch):
        strength = losses.ramped_strength(alpha, batch.progress, warmup)
        logits = torch.stack([output.logits for output in outputs])
        return losses.co_regularised_cross_entropy(logits, batch.targets["label"], strength)

    targets = labels(task, tools).train
    return _run("branches", task, tools, targets, loss, networks=branches, settings=settings, dynamics=True, **habits)


def run_key(name: str, task: NoisyTask, tools: Tools, targets: np.ndarray, settings: dict) -> dict:
    """Everything that a training run depends on."""
    return {
        "splits": {split: getattr(task, split).fingerprint for split in SPLITS},
        "axes": list(tools.axes),
        "labels": hash_arrays(labels=targets),
        "classes": task.num_classes,
        "encoder": [tools.encoder.revision, tools.encoder.mode, tools.encoder.pooling, tools.encoder.max_length],
        "recipe": dataclasses.asdict(tools.recipe),
        "device": tools.trainer.accelerator.device.type,
        "seed": tools.seed,
        "settings": settings,
        "version": VERSIONS[name],
    }


def _run(name, task, tools: Tools, targets, loss, *, networks: int, settings: dict, dynamics: bool, **habits) -> Run:
    def compute() -> Arrays:
        trainer = tools.trainer
        data = inputs(task, tools)
        nets = trainer.classifiers(networks, task.num_classes, name)
        epochs = trainer.fit(
            nets,
            data,
            loss,
            targets={"label": targets},
            name=name,
            evaluate=SPLITS if dynamics else ("valid", "test"),
            features=dynamics,
            **habits,
        )
        kept = [_keep(epoch, dynamics) for epoch in epochs]
        arrays = {part: np.stack([epoch[part] for epoch in kept]) for part in kept[0]}
        if dynamics:
            features = {f"features_{s}": arrays.pop(f"features_{s}").swapaxes(0, 1) for s in SPLITS}
            final = {f"final_{s}": arrays[f"logits_{s}"][-1] for s in SPLITS}
            del arrays["logits_train"]
        else:
            predicted = {split: trainer.predict(nets, data[split], features=True) for split in SPLITS}
            features = {
                f"features_{s}": z.astype(np.float16)[:, None] for s, (_, z) in predicted.items() if z is not None
            }
            final = {f"final_{s}": logits for s, (logits, _) in predicted.items()}
        return {**arrays, **features, **final, "parameters": np.array([trainer.parameters])}

    key = run_key(name, task, tools, targets, settings)
    arrays = tools.stages.get(f"{name} run", key, compute)
    tools.trainer.parameters = int(arrays["parameters"][0])
    return Run(
        probabilities={split: softmax(arrays[f"logits_{split}"]) for split in ("valid", "test")},
        running=arrays["running"],
        final_logits={split: arrays[f"final_{split}"] for split in SPLITS},
        features={split: arrays[f"features_{split}"] for split in SPLITS},
    )


def _keep(epoch, dynamics: bool) -> Arrays:
    kept = {f"logits_{split}": logits for split, logits in epoch.logits.items()} | {"running": epoch.running}
    if dynamics:
        kept |= {f"features_{split}": z.astype(np.float16) for split, z in epoch.features.items()}
    return kept


def out_of_fold(task: NoisyTask, tools: Tools, *, folds: int = 5, which: Sequence[str] = ("train",)) -> np.ndarray:
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
    key = _embedding_key("out of fold", task, tools, x, y) | {"folds": folds}

    def compute() -> Arrays:
        generator = tools.generator("folds")
        return {"probabilities": confident.out_of_fold_logistic(x, y, task.num_classes, generator, folds=folds)}

    return tools.stages.get("out of fold", key, compute)["probabilities"]


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

    key = _embedding_key("noise rate", task, tools, vectors, given)
    return float(np.clip(tools.stages.get("noise rate", key, compute)["rate"][0], *RATE_RANGE))


def _embedding_key(name: str, task: NoisyTask, tools: Tools, vectors: np.ndarray, given: np.ndarray) -> dict:
    """Everything that a computation on sentence embeddings and noisy labels depends on."""
    return {
        "x": hash_arrays(x=vectors),
        "y": hash_arrays(y=given),
        "classes": task.num_classes,
        "seed": tools.seed,
        "axes": list(tools.axes),
        "version": VERSIONS[name],
    }
