"""Seconds of SiDyP after stage 1, by phase, on random dynamics of SemEval's size (bert-base by default), and how
they compare with one epoch of stage 1.

    python benchmarks/sidyp_cost.py [--width 128|full] [--epochs 10] [--encoder-width 768] [--train 1749] ...

The epoch of stage 1 is measured on the same machine right after: `--stage1-steps` optimiser steps of one encoder of
bert-base's size (random weights) on batches of 128 texts of `--tokens` tokens (SemEval's mean with its marked
entities: 32), times the steps of an epoch, times the branches.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from methods.losses import epochs_of
from methods.sidyp.config import Config
from methods.sidyp.fit import Stage1, predictions, prepare
from methods.sidyp.train import train


def random_stage1(args: argparse.Namespace) -> Stage1:
    """Random dynamics and probabilities of the asked sizes; labels follow a hidden direction of the features."""
    rng = np.random.default_rng(0)
    sizes = {"train": args.train, "valid": args.valid, "test": args.test}
    shape = (args.branches, args.stage1_epochs)
    centre = rng.standard_normal((args.classes, args.encoder_width), dtype=np.float32)
    labels = {split: rng.integers(args.classes, size=size) for split, size in sizes.items()}
    dynamics, embeddings, probabilities = {}, {}, {}
    for split, size in sizes.items():
        noise = rng.standard_normal((*shape, size, args.encoder_width), dtype=np.float32)
        dynamics[split] = (noise + 0.3 * centre[labels[split]]).astype(np.float16)
        embeddings[split] = rng.standard_normal((size, 384), dtype=np.float32) + 0.3 * centre[labels[split], :384]
        probabilities[split] = rng.dirichlet(np.ones(args.classes), (args.branches, size)).astype(np.float32)
    wrong = rng.random(args.train) < args.noise
    noisy = np.where(wrong, rng.integers(args.classes, size=args.train), labels["train"])
    texts = {split: [f"{split} {row}" for row in range(size)] for split, size in sizes.items()}
    return Stage1(dynamics, probabilities, embeddings, texts, noisy, labels["valid"], args.noise, args.classes)


def stage1_epoch_seconds(args: argparse.Namespace, batch: int = 128, micro: int = 32) -> float:
    """Seconds of one epoch of the M branches, from `stage1_steps` steps of one after a first that is not counted."""
    from transformers import BertConfig, BertModel

    body = BertModel(BertConfig(hidden_size=args.encoder_width)).to(args.device).train()
    head = torch.nn.Linear(args.encoder_width, args.classes).to(args.device)
    parameters = [*body.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=5e-5, fused=True)
    generator = torch.Generator().manual_seed(0)
    started = 0.0
    for step in range(args.stage1_steps + 1):
        if step == 1:
            started = time.perf_counter()
        for _ in range(batch // micro):
            ids = torch.randint(1000, 30000, (micro, args.tokens), generator=generator).to(args.device)
            labels = torch.randint(args.classes, (micro,), generator=generator).to(args.device)
            logits = head(body(input_ids=ids).last_hidden_state[:, 0])
            (torch.nn.functional.cross_entropy(logits, labels) * micro / batch).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if args.device != "cpu":
            torch.cuda.synchronize()
    return (time.perf_counter() - started) / args.stage1_steps * -(-args.train // batch) * args.branches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", default=str(Config().width))
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--mode", default="paper", choices=["paper", "official"])
    parser.add_argument("--epochs", type=int, default=10, help="of the denoisers")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory-mb", type=int, default=Config().memory_mb)
    parser.add_argument("--noise", type=float, default=0.55)
    parser.add_argument("--stage1-steps", type=int, default=2, help="measured steps of stage 1; 0 leaves it out")
    parser.add_argument("--tokens", type=int, default=32)
    sizes = {"train": 1749, "valid": 178, "test": 600, "classes": 9, "branches": 3, "stage1-epochs": 10}
    for name, value in {**sizes, "encoder-width": 768}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    width = args.width if args.width == "full" else int(args.width)
    config = Config(width=width, mode=args.mode, epochs=args.epochs, precision=args.precision, memory_mb=args.memory_mb)
    stage1 = random_stage1(args)
    generator = torch.Generator().manual_seed(0)
    seconds, clock = {}, time.perf_counter()

    def lap(phase: str) -> None:
        nonlocal clock
        if args.device != "cpu":
            torch.cuda.synchronize()
        seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - clock
        clock = time.perf_counter()

    problem = prepare(stage1, config, generator, args.device)
    lap("marks, candidates, set-up")
    features = problem.trajectories["train"].to(args.device)
    epochs = train(
        problem.denoiser, config, problem.how, problem.schedule, features, problem.labels, problem.candidates,
        generator, 0,
    )  # fmt: skip
    for epoch in epochs:
        warm = epoch.number <= epochs_of(config.warm_up, config.epochs)
        lap("training: warm-up" if warm else "training: refinement")
    for split in ("valid", "test"):
        predictions(stage1, problem, epoch, split)
        lap(f"prediction: {split}, one epoch")
    for phase, value in seconds.items():
        print(f"{value:8.1f} s  {phase}")
    print(f"{sum(seconds.values()):8.1f} s  total; {problem.facts['trainable_parameters'] / 1e6:.0f} M parameters, "
          f"{args.device}, {torch.get_num_threads()} threads, width {problem.denoiser.width}")  # fmt: skip
    if args.stage1_steps:
        epoch = stage1_epoch_seconds(args)
        print(
            f"{epoch:8.1f} s  one epoch of stage 1, {args.branches} branches: ratio {sum(seconds.values()) / epoch:.3f}"
        )


if __name__ == "__main__":
    main()
