"""What methods cost as classes and texts grow: CPU seconds and peak memory of each, on planted frozen features.

python -m benchmarks.class_scale [--methods plain,npc,noise-rate] [--sizes 58x20000,1000x3000] [--against CHECKOUT]

Every measurement is a process of its own with one thread (or `--threads`); seconds are its CPU time without imports,
stages included, so others on the machine count for little. `--against` names another checkout of this project: each
pair is then measured with both, one right after the other. "noise-rate" is that stage alone, "out-of-fold" likewise.
Valid and test have a tenth and a fifth of the training texts. "found": accuracy on test, or the stage's estimate.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WIDTH = 384
STAGES = ("noise-rate", "out-of-fold")
ROOT = Path(__file__).resolve().parents[1]


def planted(classes: int, size: int, noise: float = 0.3):
    """A noisy task whose texts are row numbers, and the frozen encoder that knows their vectors float32[n, 384].

    Classes are directions; what else moves the vectors has a falling spectrum, as sentence embeddings have.
    """
    from bench.core.texts import Texts
    from bench.training.toy import ToyEncoder
    from methods.base import NoisyTask

    rng = np.random.default_rng(0)
    centre = 0.6 * rng.standard_normal((classes, WIDTH))
    spectrum = 3 / np.sqrt(1 + np.arange(WIDTH) / 8)
    sizes = {"train": size, "valid": size // 10, "test": size // 5}
    texts, truth, vectors = {}, {}, []
    for split, count in sizes.items():
        start = sum(map(len, vectors))
        texts[split] = Texts(tuple(map(str, range(count))), tuple(map(str, range(start, start + count))))
        truth[split] = rng.permutation(np.arange(count) % classes)
        vectors.append(centre[truth[split]] + spectrum * rng.standard_normal((count, WIDTH)))
    table = np.concatenate(vectors)
    table = (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)

    class Width:
        def get_embedding_dimension(self) -> int:
            return WIDTH

    @dataclass
    class Planted(ToyEncoder):
        revision: str = f"planted-{classes}-{size}"
        sentences = Width()

        def embed(self, texts):
            return table[[int(text) for text in texts]]

    def noisy(split: str) -> np.ndarray:
        wrong = rng.random(len(truth[split])) < noise
        return np.where(wrong, rng.integers(classes, size=len(wrong)), truth[split])

    names = tuple(f"class {number}" for number in range(classes))
    task = NoisyTask("planted", names, **texts, train_labels=noisy("train"), valid_labels=noisy("valid"))
    return task, truth, Planted()


def measure(what: str, classes: int, size: int) -> dict:
    """CPU seconds, peak memory in MiB and the accuracy on test (or the estimated rate) of one method or stage."""
    from bench.training.recipe import make_recipe
    from bench.training.stages import StageStore
    from bench.training.tools import Tools
    from methods import registry, shared

    task, truth, encoder = planted(classes, size)
    tools = Tools(encoder, encoder, make_recipe("frozen"), StageStore(None), 1, ("planted",))
    method = None if what in STAGES else registry.build(registry.find(what), {})
    started = time.process_time()
    if what == "noise-rate":
        found = shared.noise_rate(task, tools)
    elif what == "out-of-fold":
        probabilities = shared.out_of_fold(task, tools)
        found = float((probabilities.argmax(1) == truth["train"]).mean())
    else:
        *_, last = method.run(task, tools)
        found = float((last.test.argmax(1) == truth["test"]).mean())
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"seconds": seconds, "peak": peak, "found": found}


def in_a_process(code: Path, what: str, classes: int, size: int, asked: argparse.Namespace) -> dict:
    """`measure` with the code of a checkout; without "seconds" where it ran past the limit of CPU seconds or failed."""
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", f"{what}:{classes}:{size}"]
    environment = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": str(asked.threads)}
    done = subprocess.run(
        command,
        env=environment,
        cwd=code,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (asked.limit, asked.limit)),
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    last = done.stderr.strip().splitlines()[-1:] or [f"over {asked.limit:,}"]
    return {"problem": last[0]}


def shown(found: dict) -> list[str]:
    """The three columns of one measurement."""
    if "problem" in found:
        return [found["problem"], "", ""]
    return [f"{found['seconds']:,.1f}", f"{found['peak']:,.0f}", f"{found['found']:.3f}"]


def main() -> None:
    """Measure every method at every size and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", help="with a comma between; all that are registered, and the stages")
    parser.add_argument("--sizes", default="58x20000,1000x3000", help="classes x training texts")
    parser.add_argument("--against", type=Path, help="another checkout, measured first")
    parser.add_argument("--limit", type=int, default=900, help="CPU seconds a measurement")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        what, classes, size = asked.measure.split(":")
        print(json.dumps(measure(what, int(classes), int(size))))
        return
    from methods import registry

    chosen = asked.methods.split(",") if asked.methods else [*STAGES, *registry.available()]
    checkouts = [code.resolve() for code in (asked.against, ROOT) if code]
    names = ("before: ", "") if asked.against else ("",)
    headings = [name + column for name in names for column in ("CPU (s)", "peak (MiB)", "found")]
    for text in asked.sizes.split(","):
        classes, size = map(int, text.split("x"))
        print(f"\n{classes:,} classes, {size:,} texts\n\n| method | {' | '.join(headings)} |")
        print(f"| --- |{' ---: |' * len(headings)}")
        for what in chosen:
            found = [shown(in_a_process(code, what, classes, size, asked)) for code in checkouts]
            print("|", what, "|", " | ".join(cell for cells in found for cell in cells), "|", flush=True)


if __name__ == "__main__":
    main()
