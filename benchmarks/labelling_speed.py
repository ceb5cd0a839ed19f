"""How fast a local labeller is, and whether its shortcuts change anything.

    python benchmarks/labelling_speed.py [--model smollm2] [--task tweets] [--texts 200] [--threads 2]

Prints, for float32 and bfloat16: seconds to load the model, texts and tokens per second with the prompt's cache and
packing and without, tokens per second of a plain forward of the same model on batches of like length (what the
machine can do), the largest difference between the two ways' scores, and how often the two precisions choose the
same label. Seconds are of the processor, over all threads, so that other programs do not count.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from bench.data.load import load_task
from llm_labels.labellers.local import LocalLabeller, calibrate
from llm_labels.labellers.scoring import PACK_TOKENS
from llm_labels.prompts import completion_body, completion_prefix, find_prompt, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--task", default="tweets")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--plain-texts", type=int, default=20, help="texts scored without cache and packing")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pack-tokens", type=int, default=PACK_TOKENS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    task = load_task(options.task, data_dir=options.data_dir)
    prompt = find_prompt(task.info.name, task.label_names)
    examples = shown(prompt, task.train.texts)
    texts = task.valid.texts[: options.texts]
    print(f"{options.model} on {task.name}: {len(texts)} texts, {len(examples)} examples, {options.threads} threads")
    labels = {}
    for precision in ("float32", "bfloat16"):
        labeller = LocalLabeller(options.model, precision=precision)
        scorer, load_seconds = timed(lambda: labeller.scorer)  # noqa: B023
        scorer.pack_tokens = options.pack_tokens
        opening = labeller._opening(completion_prefix(prompt, examples))
        words = [labeller.tokens(" " + label.word) for label in prompt.labels]
        bodies = sorted((labeller.tokens(completion_body(prompt, text)) for text in texts), key=len)
        prefix = scorer.prefix(opening)
        free = scorer.score(prefix, [labeller.tokens(completion_body(prompt, text)) for text in ("N/A", "")], words)
        scores, seconds = timed(lambda: scorer.score(prefix, bodies, words))  # noqa: B023
        bare = bare_forward(scorer, bodies, options.pack_tokens)
        some = bodies[:: max(1, len(bodies) // options.plain_texts)]
        plain, plain_seconds = timed(lambda: np.stack([scorer.score_plain(opening, body, words) for body in some]))  # noqa: B023
        again = scorer.score(prefix, some, words)
        labels[precision] = calibrate(scores.astype(float), free.astype(float), "contextual").argmax(1)
        rate, plain_rate = len(bodies) / seconds, len(some) / plain_seconds
        fed = sum(len(body) + sum(len(word) - 1 for word in words) for body in bodies)
        print(
            f"  {precision:9} load {load_seconds:5.1f} s   packed {rate:7.1f} texts/s, {fed / seconds:6.0f} tokens/s"
            f" = {fed / seconds / bare:4.0%} of a plain forward's {bare:6.0f}"
            f"   without cache and packing {plain_rate:6.2f} texts/s   gain {rate / plain_rate:5.1f}x"
            f"   largest difference {np.abs(again - plain).max():.1e} nats"
        )
    same = (labels["float32"] == labels["bfloat16"]).mean()
    print(f"  bfloat16 chooses the label of float32 for {same:.1%} of the texts")


def bare_forward(scorer, bodies, tokens):
    """Tokens per processor second of the model on plain batches of like length, one logit read per row."""
    length = max(1, sum(map(len, bodies)) // len(bodies))
    shape = max(1, tokens // length), length
    batch = torch.randint(scorer.model.config.vocab_size, shape, device=scorer.device)
    with torch.inference_mode():
        scorer.model(input_ids=batch, logits_to_keep=1)
        _, seconds = timed(lambda: [scorer.model(input_ids=batch, logits_to_keep=1) for _ in range(5)])
    return 5 * batch.numel() / seconds


def timed(work):
    """(result, processor seconds) of a call; with a GPU wall seconds."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    start = clock()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, clock() - start


if __name__ == "__main__":
    main()
