"""A drill of everything that behaves otherwise on a GPU, in at most ten minutes and without a network.

    python -m benchmarks.gpu_drill [--out results/reference/gpu-drill.md] [--small]

Reads only what travels with the checkout: the tweets, and an encoder of BERT-base's shape with random weights that is
made here. Without a GPU it runs on the CPU with a tiny encoder and skips what needs a GPU. Writes one Markdown file,
and ends with status 1 where a check fails.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from bench.data.load import load_task
from bench.store.records import read_arrays, read_records
from bench.training.batch import Batch, Epoch
from bench.training.device import choose_precision, device_type
from bench.training.encoders import load_encoder
from bench.training.inputs import Inputs
from bench.training.networks import Output
from bench.training.recipe import make_recipe
from bench.training.trainer import Trainer

LEARNT = 0.5
"""Largest training loss in float32 as a share of chance's, log 2: what has not been learnt cannot differ."""
BF16_PREDICTS = 0.05
"""Largest mean distance of the margins that bf16 and float32 give one network, as a share of the spread over texts."""
BF16_TRAINS = 0.2
"""The same of two networks, one trained in each; and of their losses, as a share of the fall in float32."""
RECOVERED = 0.05
"""Largest distance of a run that ran out of memory from one that did not, as a share of what training changes."""
PROCESSES = 1e-3
"""Largest distance of probabilities between one process and two."""
GRID_SECONDS = 240
"""A grid in a process of its own that takes longer has failed: processes may wait for each other for ever."""
BARE_SHARE = 0.85
"""Least share of a bare loop's steps per second that the trainer must reach on a GPU."""


@dataclass(frozen=True)
class Setting:
    """What the drill runs on."""

    folder: Path  # scratch
    encoder: str
    texts: int
    length: int
    batch: int
    cuda: bool
    precision: str  # bf16 or fp16

    @property
    def dtype(self) -> torch.dtype:
        """That of the precision."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]


@dataclass(frozen=True)
class Check:
    """One line of the drill: what was seen, and whether it is as it should be (None: skipped, or only a figure)."""

    name: str
    seen: str
    passed: bool | None = None


def make_encoder(folder: Path, words: list[str], *, small: bool) -> str:
    """A folder in Hugging Face layout: BERT with random weights and a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: at for at, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=512,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
    ).save_pretrained(folder)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(vocabulary), **(shape if small else {}))).save_pretrained(folder)
    return str(folder)


def main(arguments: list[str] | None = None) -> int:
    """Run all checks, write the file, and say whether all passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/reference/gpu-drill.md"))
    parser.add_argument("--small", action="store_true", help="the tiny encoder, on a GPU too")
    asked = parser.parse_args(arguments)
    cuda = device_type() == "cuda"
    small = asked.small or not cuda
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        task = load_task("tweets")
        words = sorted({word for text in task.train.texts for word in text.lower().split() if word.isalpha()})
        setting = Setting(
            folder=Path(scratch),
            encoder=make_encoder(Path(scratch, "random-bert"), words, small=small),
            texts=96 if small else 2048,
            length=32 if small else 128,
            batch=16 if small else 64,
            cuda=cuda,
            precision=choose_precision().mode if cuda else "bf16",
        )
        found: list[Check] = []
        for part in (precision, speed, memory, out_of_memory, two_processes, frozen_grid):
            begun = time.perf_counter()
            try:
                found += part(setting)
            except Exception as error:  # the other checks still count
                found.append(Check(part.__name__.replace("_", " "), f"{type(error).__name__}: {error}"[:300], False))
            print(f"{part.__name__:>14}: {time.perf_counter() - begun:.1f} s", flush=True)
        write(asked.out, setting, found, time.perf_counter() - started)
    print(f"wrote {asked.out}")
    return int(any(check.passed is False for check in found))


def trainer(setting: Setting, precision: str, **recipe: float) -> tuple[Trainer, dict[str, Inputs], np.ndarray]:
    """A trainer in a precision, inputs of random texts of full length, and labels: a word in four tells them."""
    task = load_task("tweets")
    words = np.array(sorted({word for text in task.train.texts for word in text.lower().split() if word.isalpha()}))
    draws = np.random.default_rng(0)
    labels = np.arange(setting.texts) % 2
    drawn = draws.choice(words[2:], (setting.texts, setting.length))
    texts = np.where(draws.random(drawn.shape) < 0.25, words[labels][:, None], drawn)
    encoder = load_encoder(setting.encoder, setting.length)
    chosen = make_recipe(
        "fine-tuned", batch_size=setting.batch, max_length=setting.length, precision=precision, **{"epochs": 1} | recipe
    )
    inputs = encoder.inputs(encoder.tokenise([" ".join(row) for row in texts]))
    return Trainer(encoder, chosen, ("drill", 1)), {"train": inputs}, labels


def cross_entropy(outputs: Sequence[Output], batch: Batch) -> torch.Tensor:
    """[K, B], of K networks."""
    return torch.stack([F.cross_entropy(o.logits, batch.targets["label"], reduction="none") for o in outputs])


def train(at: Trainer, inputs: dict[str, Inputs], labels: np.ndarray, networks: int = 1) -> tuple[list[Epoch], list]:
    """The epochs, and the networks that were trained."""
    nets = at.classifiers(networks, 2, "drill")
    return list(at.fit(nets, inputs, cross_entropy, targets={"label": labels}, name="drill", evaluate=())), nets


def margins(at: Trainer, networks: list, inputs: Inputs) -> np.ndarray:
    """How far the second class is ahead of the first, float32[N] with mean 0."""
    logits = at.predict(networks, inputs)[0][0]
    margin = logits[:, 1] - logits[:, 0]
    return margin - margin.mean()


def precision(setting: Setting) -> Iterator[Check]:
    """Mixed precision beside float32 on labels that can be learnt: what one network predicts in both, and training."""
    recipe = {"epochs": 6, "learning_rate": 2e-3} if setting.batch < 64 else {"epochs": 3, "learning_rate": 1e-4}
    losses, seen, networks = {}, {}, []
    mixed = setting.precision
    for mode in ("no", mixed):
        at, inputs, labels = trainer(setting, mode, dropout=0.0, **recipe)
        if networks:  # those that float32 has trained
            seen["no in mixed"] = margins(at, networks, inputs["train"])
        epochs, networks = train(at, inputs, labels)
        losses[mode], seen[mode] = epochs[-1].loss, margins(at, networks, inputs["train"])
    allowed = LEARNT * math.log(2)
    yield Check(
        "float32 training loss, last epoch", f"{losses['no']:.4f} (allowed {allowed:.4f})", losses["no"] <= allowed
    )
    for name, other, most in (
        (f"{mixed} predictions of one network", "no in mixed", BF16_PREDICTS),
        (f"{mixed} training, predictions", mixed, BF16_TRAINS),
    ):
        off = float(np.abs(seen[other] - seen["no"]).mean() / seen["no"].std())
        yield Check(f"{name}, mean distance of margins / spread", f"{off:.4f} (allowed {most})", off <= most)
    off = abs(losses[mixed] - losses["no"]) / (math.log(2) - losses["no"])
    yield Check(
        f"{mixed} training loss, distance / fall", f"{off:.4f} (allowed {BF16_TRAINS})", 0 <= off <= BF16_TRAINS
    )


def speed(setting: Setting) -> Iterator[Check]:
    """Steps per second of the trainer, of a bare loop of the same steps, and both against the device's peak."""
    at, inputs, labels = trainer(setting, setting.precision)
    train(at, inputs, labels)  # kernels are chosen and caches filled
    at.recipe = replace(at.recipe, epochs=2)  # the first also asks the device for memory
    ours = -(-setting.texts // setting.batch) / train(at, inputs, labels)[0][-1].seconds
    bare = bare_steps(at, inputs["train"], labels, setting)
    passed = ours / bare >= BARE_SHARE if setting.cuda else None
    yield Check(
        f"steps per second, {setting.batch} texts of {setting.length} tokens, {setting.precision}",
        f"trainer {ours:.2f}, bare loop {bare:.2f}: {ours / bare:.0%} (at least {BARE_SHARE:.0%} on a GPU)",
        passed,
    )
    body = sum(p.numel() for name, p in at.encoder.model.named_parameters() if "embeddings" not in name)
    used = 6 * body * setting.batch * setting.length * ours
    peak = matrix_flops(at.accelerator.device, setting.dtype)
    yield Check(
        "share of the device's peak",
        f"{used / 1e12:.2f} of {peak / 1e12:.2f} TFLOP/s ({used / peak:.0%}; peak: a matrix product in "
        f"{setting.precision}, 6 operations "
        "per weight and token)",
    )


def bare_steps(at: Trainer, inputs: Inputs, labels: np.ndarray, setting: Setting) -> float:
    """Steps per second of a plain PyTorch loop over the same batches, with nothing but the step."""
    where = at.accelerator.device
    net = at.classifiers(1, 2, "drill")[0].to(where).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-5, fused=True)
    batches = np.split(np.arange(setting.texts), range(setting.batch, setting.texts, setting.batch))
    started = 0.0
    for number, rows in enumerate([batches[0], *batches]):
        if number == 1:
            finish(setting)
            started = time.perf_counter()
        tensors = {name: value.to(where, non_blocking=True) for name, value in inputs.batch(rows).items()}
        target = torch.as_tensor(labels[rows], device=where)
        with torch.autocast(where.type, setting.dtype):
            logits = net(**tensors).logits
        F.cross_entropy(logits, target).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    finish(setting)
    return len(batches) / (time.perf_counter() - started)


def finish(setting: Setting) -> None:
    """Wait for the device."""
    if setting.cuda:
        torch.cuda.synchronize()


def matrix_flops(where: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product: the best of a few."""
    size = 8192 if where.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=where, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        (a @ b)[0, 0].item()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def memory(setting: Setting) -> Iterator[Check]:
    """Peak memory of one network and of three branches."""
    if not setting.cuda:
        yield Check("peak memory", "skipped: needs a GPU")
        return
    for networks, name in ((1, "one network"), (3, "three networks")):
        at, inputs, labels = trainer(setting, setting.precision)
        torch.cuda.reset_peak_memory_stats()
        train(at, inputs, labels, networks)
        yield Check(f"peak memory, {name}", f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    torch.cuda.empty_cache()
    left = torch.cuda.memory_allocated() / 2**30
    yield Check("memory held after training", f"{left:.2f} GiB (allowed 1)", left <= 1)


def out_of_memory(setting: Setting) -> Iterator[Check]:
    """With little memory free, a batch that does not fit is trained in smaller pieces."""
    if not setting.cuda:
        yield Check("out of memory", "skipped: needs a GPU (tests/training covers the recovery with a stand-in)")
        return
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    limit = 12 * 2**30
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
    try:
        yield recovery(replace(setting, texts=4096, batch=4096))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def recovery(setting: Setting) -> Check:
    """A run that runs out of memory beside one that knows from the start what fits: losses and weights."""
    recipe = {"epochs": 3, "learning_rate": 1e-4, "dropout": 0.0}  # whose draws depend on the size of the pieces
    at, inputs, labels = trainer(setting, setting.precision, **recipe)
    start = weights(at.classifiers(1, 2, "drill"))
    epochs, networks = train(at, inputs, labels)
    known, *_ = trainer(setting, setting.precision, **recipe)
    known.micro_batch = at.micro_batch
    expected, others = train(known, inputs, labels)
    there = weights(others)
    moved = float((weights(networks) - there).abs().mean() / (there - start).abs().mean())
    off = max(abs(a.loss / b.loss - 1) for a, b in zip(epochs, expected, strict=True))
    note = next((note for note in at.notes if note.startswith("out of memory")), "no note")
    return Check(
        f"out of memory, {setting.texts:,} texts at once",
        f"{note}; distance from a run of that size: losses {off:.1e}, weights {moved:.1e} (allowed {RECOVERED})",
        bool(at.micro_batch) and not known.notes and off <= RECOVERED and moved <= RECOVERED,
    )


def weights(networks: list) -> torch.Tensor:
    """All weights in a row, on the CPU."""
    return torch.cat([p.detach().float().cpu().flatten() for network in networks for p in network.parameters()])


def grid(setting: Setting, name: str, *options: str, cpu: bool = False) -> dict[str, np.ndarray]:
    """Test probabilities by method of a small grid in a process of its own."""
    results = setting.folder / name
    command = [sys.executable, "-m", "bench", "run", "--tasks", "tweets", "--noise", "sn@0.3", "--seeds", "1"]
    command += ["--limit", str(setting.texts), "--results", str(results), *options]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"} | ({"BENCH_CPU": "1"} if cpu else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=GRID_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} ended with {done.returncode}: {done.stderr[-400:]}")
    found = {}
    for record in read_records(results):
        if record.status != "done":
            raise RuntimeError(f"{record.key.method}: {record.reason or record.error}")
        found[record.key.method] = read_arrays(record.key.path(results))["test_last"]
    return found


def two_processes(setting: Setting) -> Iterator[Check]:
    """Two processes per cell give the probabilities of one; on one GPU they run on the CPU."""
    small = replace(setting, texts=96)
    enough = setting.cuda and torch.cuda.device_count() > 1
    options = ["--methods", "plain,cr", "--encoder", f"{setting.encoder}:frozen", "--epochs", "2", "--precision", "no"]
    options += ["--dropout", "0"]  # its draws are each process's own
    one = grid(small, "one", *options, cpu=not enough)
    two = grid(small, "two", *options, "--processes-per-cell", "2", cpu=not enough)
    off = max(float(np.abs(one[method] - two[method]).max()) for method in one)
    place = "on GPUs" if enough else "on the CPU (one GPU or none)"
    yield Check(
        f"two processes {place}, largest distance of probabilities",
        f"{off:.1e} (allowed {PROCESSES})",
        off <= PROCESSES,
    )


def frozen_grid(setting: Setting) -> Iterator[Check]:
    """A frozen grid on the device, beside the same on the CPU."""
    methods = "plain,co-teaching,npc,elr,cr,sidyp"
    options = ["--methods", methods, "--encoder", f"{setting.encoder}:frozen", "--epochs", "3", "--precision", "no"]
    started = time.perf_counter()
    here = grid(setting, "frozen", *options)
    seconds = time.perf_counter() - started
    yield Check(
        f"frozen grid, {len(here)} methods, {setting.texts} texts per split at most", f"{seconds:.1f} s", len(here) == 6
    )
    if not setting.cuda:
        yield Check("frozen grid on GPU and CPU", "skipped: needs a GPU")
        return
    there = grid(setting, "frozen-cpu", *options, cpu=True)
    for method in ("plain", "elr", "cr"):
        off = float(np.abs(here[method] - there[method]).mean())
        yield Check(
            f"frozen {method}, mean distance of GPU and CPU probabilities", f"{off:.4f} (allowed 0.02)", off <= 0.02
        )


def write(out: Path, setting: Setting, found: list[Check], seconds: float) -> None:
    """One Markdown file: the machine, and a row per check."""
    device = torch.cuda.get_device_name() if setting.cuda else "CPU only"
    shape = load_encoder(setting.encoder, setting.length).config
    words = {True: "passed", False: "**failed**", None: ""}
    lines = [
        "# GPU drill",
        "",
        f"{device}, torch {torch.__version__}, bench {version('noisy-label-bench')}, {time.strftime('%Y-%m-%d')}; "
        f"{seconds:.0f} s in all. Encoder: BERT with random weights, {shape.num_hidden_layers} layers, "
        f"{shape.hidden_size} wide. Written by `make gpu-drill`.",
        "",
        "| check | seen | |",
        "| --- | --- | --- |",
        *(
            f"| {check.name} | {check.seen.replace('|', '/').replace(chr(10), ' ')} | {words[check.passed]} |"
            for check in found
        ),
        "",
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
