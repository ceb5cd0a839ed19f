"""What a training step costs when only the upper layers of an encoder are trained.

    python -m benchmarks.top_layers [--encoder mpnet] [--texts 32] [--tokens 36] [--top 2,4,6]

Prints seconds of the processor (all threads) per optimiser step of the whole encoder and of its upper layers, and of
computing the activations below the cut once; in float32, and the step under bf16 autocast beside it.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from bench.training import upper
from bench.training.encoders import load_encoder
from bench.training.inputs import HiddenInputs, TokenInputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="mpnet")
    parser.add_argument("--texts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=36)
    parser.add_argument("--top", default="2,4,6")
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()

    rows = np.arange(options.texts)
    offsets = np.arange(options.texts + 1) * options.tokens
    whole = load_encoder(options.encoder, options.tokens)
    ids = np.random.default_rng(0).integers(1000, 20000, offsets[-1]).astype(np.int32)
    tokens = TokenInputs(ids, offsets, pad_id=0).batch(rows)
    base, half = (step_seconds(whole, tokens, options.steps, bf16) for bf16 in (False, True))
    print(f"{options.encoder}, {options.texts} texts of {options.tokens} tokens, {torch.get_num_threads()} threads")
    print(f"  whole  {base:6.2f} s per step (bf16: {half:.2f} s)")
    for top in map(int, options.top.split(",")):
        part = load_encoder(f"{options.encoder}:top{top}", options.tokens)
        started = time.process_time()
        hidden = upper.activations(upper.lower_part(part.model, top, part.name), ids, offsets, "cpu")
        once = time.process_time() - started
        batch = HiddenInputs(hidden, offsets).batch(rows)
        seconds, half = (step_seconds(part, batch, options.steps, bf16) for bf16 in (False, True))
        faster = f"{base / seconds:.1f} x faster; bf16: {half:.2f} s"
        print(f"  top{top:<3} {seconds:6.2f} s per step ({faster}); lower layers {once:.2f} s, once")


def step_seconds(encoder, batch: dict[str, torch.Tensor], steps: int, bf16: bool) -> float:
    """Processor seconds of an optimiser step as in `bench.training.loop`: the fastest of a few."""
    net = encoder.classifier(9, 0.1, torch.Generator().manual_seed(0)).train()
    optimiser = torch.optim.Adam(net.parameters(), fused=True)  # as in `bench.training.loop`
    found = []
    for _ in range(steps):
        started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = net(**batch).logits.float().logsumexp(1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        found.append(time.process_time() - started)
    return min(found)


if __name__ == "__main__":
    main()
