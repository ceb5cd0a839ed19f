"""A small, realistic results folder: real arrays, real metrics, written the way the runner writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.core.seeds import named_generator
from bench.store.metrics.calibration import reliability_bins
from bench.store.records import (
    CellKey,
    CurvePoint,
    DataFacts,
    ErrorFacts,
    NoiseFacts,
    Record,
    ScoreSet,
    StageUse,
    write_record,
)
from bench.store.scoring import score

TASKS = {
    "trec": ("DESC", "ENTY", "HUM", "ABBR", "LOC", "NUM"),
    "tweets": ("negative", "positive"),
}
NOISES = {"mixtral-8x22b/few": 0.25, "weak": 0.35, "sn@0.3": 0.3}
METHODS = {"plain": 0.0, "co-teaching": 0.35, "oracle": 1.0}
SETUPS = (("minilm", "fine-tuned"), ("minilm", "frozen"))
STEPS = 4


def cell_key(task="trec", noise="weak", method="plain", seed=1, encoder=("minilm", "fine-tuned"), **changes) -> CellKey:
    """A full key; `changes` replaces any of its fields."""
    fields = {
        "task": task,
        "noise": noise,
        "method": method,
        "method_version": 1,
        "config": {} if method != "co-teaching" else {"forget_rate": "estimated", "warm_epochs": 2},
        "encoder": encoder[0],
        "encoder_mode": encoder[1],
        "encoder_revision": "c0ffee" * 4,
        "sentence_encoder": "minilm",
        "recipe": {"epochs": STEPS, "learning_rate": 1e-3 if encoder[1] == "frozen" else 5e-5, "max_length": 128},
        "options": {"uncovered": "uniform"} if noise == "weak" else {},
        "seed": seed,
        "data": f"data-{task}-{noise.split('@')[0]}",
    }
    return CellKey(**(fields | changes))


def noise_facts(noise: str, rate: float, gold: np.ndarray, num_classes: int, seed: int) -> NoiseFacts:
    """The description of noisy train labels with wrong answers at `rate`."""
    draw = named_generator("noise", noise, num_classes, seed)
    noisy = np.where(draw.random(len(gold)) < rate, (gold + 1) % num_classes, gold)
    confusion = np.zeros((num_classes, num_classes), int)
    np.add.at(confusion, (gold, noisy), 1)
    llm = "/" in noise
    return NoiseFacts(
        kind="llm" if llm else "weak" if noise == "weak" else "synthetic",
        labeller=noise.split("/")[0] if llm else None,
        prompting=noise.split("/")[1] if llm else None,
        rate_train=float((gold != noisy).mean()),
        rate_valid=rate,
        no_answer_train=0.01 if llm else 0.0,
        confusion_train=confusion.tolist(),
        labeller_test_accuracy=1 - rate if llm else None,
        labeller_test_no_answer=0.005 if llm else None,
    )


def predictions(gold: np.ndarray, num_classes: int, rate: float, strength: float, step: int, draw) -> np.ndarray:
    """float16[N, C]: better with `strength`, more confident and more wrong the longer noise is fitted."""
    memorised = (1 - strength) * rate * (0.3 + 0.7 * step / STEPS)
    target = np.where(draw.random(len(gold)) < memorised, (gold + 1) % num_classes, gold)
    logits = draw.normal(size=(len(gold), num_classes)) + (1.5 + 0.6 * step) * np.eye(num_classes)[target]
    p = np.exp(logits)
    return (p / p.sum(1, keepdims=True)).astype(np.float16)


def done_record(key: CellKey, label_names=None, n_test=200, n_train=400, has_gold=True, **changes):
    """A finished cell and its arrays, simulated from the key alone."""
    names = label_names or TASKS.get(key.task, ("no", "yes"))
    base = key.noise.split("[")[0]
    rate, strength = NOISES.get(base, 0.3), METHODS.get(key.method.split("+")[0], 0.2)
    gold = named_generator("gold", key.task).integers(len(names), size=n_test)
    train_gold = named_generator("train gold", key.task).integers(len(names), size=n_train)
    axes = (key.task, key.noise, key.method, repr(sorted(key.config.items())), key.encoder_mode)
    draw = named_generator("cell", *axes, key.seed)
    strength = strength - 0.15 * (key.encoder_mode == "frozen") * (key.method != "oracle")
    steps = [predictions(gold, len(names), rate, strength, step, draw) for step in range(1, STEPS + 1)]
    scores = [score(p, gold, step) for step, p in enumerate(steps, 1)]
    best = max(scores, key=lambda each: each.accuracy)
    arrays = {"test_last": steps[-1], "test_noisy_valid": steps[2], "test_oracle_best": steps[best.step - 1]}
    curve = [
        CurvePoint(
            step=each.step,
            noisy_valid_accuracy=0.5 + 0.05 * each.step,
            test_accuracy=each.accuracy if has_gold else None,
            test_ece=each.ece if has_gold else None,
            fit_correct=0.7 + 0.05 * each.step if has_gold else None,
            fit_wrong=0.1 + (1 - strength) * 0.15 * each.step if has_gold else None,
            recovered_wrong=0.6 - 0.1 * each.step if has_gold else None,
        )
        for each in scores
    ]
    facts = noise_facts(key.noise, rate, train_gold, len(names), key.seed)
    if has_gold:
        bins = reliability_bins(steps[-1], gold)
        arrays |= {"gold": gold} | {f"bins_{name}": array for name, array in vars(bins).items()}
    else:
        blank = ("rate_train", "rate_valid", "confusion_train", "labeller_test_accuracy")
        facts = facts.model_copy(update=dict.fromkeys(blank))
    fields = {
        "hash": key.hash,
        "key": key,
        "status": "done",
        "data": DataFacts(
            fingerprint=key.data,
            label_names=list(names),
            n_train=n_train,
            n_valid=50,
            n_test=n_test,
            has_gold=has_gold,
        ),
        "noise": facts,
        "scores": ScoreSet(last=scores[-1], noisy_valid=scores[2], oracle_best=best) if has_gold else None,
        "curve": curve,
        "seconds": {"train": 8.0 + key.seed, "score": 0.5, "total": 9.0 + key.seed},
        "stages": [StageUse(name="tokens", hash="a1" * 8, reused=key.seed > 1, seconds=1.5)],
        "peak_memory_mb": 812.5,
        "parameters": 22_000_000 * (2 if key.method == "co-teaching" else 1),
        "device": {"name": "cpu", "precision": "no", "threads": 2},
        "versions": {"torch": "2.13.0"},
        "code_version": "abc1234",
        "command": f"bench run --tasks {key.task} --noise {key.noise} --methods {key.method} --seeds {key.seed}",
        "created": f"2026-01-0{key.seed}T10:00:00Z",
    }
    return Record(**(fields | changes)), arrays


def write_done(folder: Path, key: CellKey, **changes) -> Path:
    """Write one finished cell; returns the record's path."""
    record, arrays = done_record(key, **changes)
    return write_record(record, folder, arrays)


def write_grid(folder: Path, tasks=TASKS, noises=NOISES, methods=METHODS, seeds=(1, 2, 3), setups=SETUPS) -> list[Path]:
    """Write every combination as a finished cell."""
    return [
        write_done(folder, cell_key(task, noise, method, seed, encoder))
        for encoder in setups
        for task in tasks
        for noise in noises
        for method in methods
        for seed in seeds
    ]


def write_results(folder: Path) -> Path:
    """The folder most tests read: a full grid plus one of everything that goes wrong or is unusual.

    2 tasks x 3 noise sources x 3 methods x 3 seeds x 2 encoder modes, one cell of them failed and one noise
    source skipped for co-teaching; a second configuration of co-teaching; a task without gold; a torn file
    and a foreign one.
    """
    write_grid(folder)
    failed = cell_key("trec", "weak", "co-teaching", 3)
    record = Record(
        hash=failed.hash,
        key=failed,
        status="failed",
        reason="RuntimeError: loss is not finite at step 12",
        error=ErrorFacts(type="RuntimeError", message="loss is not finite at step 12"),
        command="bench run --tasks trec --noise weak --methods co-teaching --seeds 3",
    )
    failed.path(folder).with_suffix(".npz").unlink()
    write_record(record, folder)
    for seed in (1, 2, 3):
        key = cell_key("tweets", "asn@0.3", "co-teaching", seed)
        reason = "asn needs at least 3 classes: drop it for tweets"
        write_record(Record(hash=key.hash, key=key, status="skipped", reason=reason), folder)
        write_done(folder, cell_key("tweets", "asn@0.3", "plain", seed))
        config = {"forget_rate": 0.3, "warm_epochs": 2}
        write_done(folder, cell_key("trec", "sn@0.3", "co-teaching", seed, config=config))
        write_done(folder, cell_key("reviews", "crowd", "plain", seed), has_gold=False)
    (folder / "cells" / "trec" / "torn.json").write_text('{"schema": 1, "key": {')
    (folder / "cells" / "trec" / "foreign.json").write_text('{"hello": "world"}')
    return folder
