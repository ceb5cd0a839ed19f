"""The conformance suite: what every method must do, on small data without pretrained weights.

`bench check METHOD` runs it; the tests run it on every registered method.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from accelerate.utils import patch_environment

from bench.core.errors import BenchError, Skip
from bench.core.seeds import named_generator
from bench.core.texts import SPLITS, Texts
from bench.data.load import load_task
from bench.data.task import Gold, TaskData
from bench.data.tasks import TaskInfo
from bench.grid.cells import choose_method
from bench.noise.facts import NoisyLabels
from bench.noise.source import NoiseSource
from bench.running.contract import files_of, opened, outlived, run_method, sees_gold
from bench.running.data_files import data_places, names_of
from bench.running.differences import changed_between, differing, unequal
from bench.training.recipe import Recipe
from bench.training.stages import StageStore
from bench.training.tools import Tools
from bench.training.toy import ToyEncoder
from methods import registry
from methods.base import NoisyTask, Predictions

CLASSES = 3
SOURCE = NoiseSource("given", "column", labeller="given", members=("given",))


class Outcome(NamedTuple):
    """A check, why it is there, and what went wrong (None: nothing)."""

    check: str
    why: str
    problem: str | None


@dataclasses.dataclass(frozen=True)
class Case:
    """A small task: `sizes` texts per split, its noisy labels and gold."""

    task: TaskData
    labels: NoisyLabels


def make_case(
    sizes: tuple[int, int, int] = (60, 24, 30), classes: int = CLASSES, noise: float = 0.3, seed: int = 0
) -> Case:
    """Texts whose words tell their class, with symmetric label noise."""
    generator = named_generator("conformance", seed)
    info = TaskInfo("conformance", "small made-up task", tuple(f"class {c}" for c in range(classes)), 32, "", "")
    texts, gold, noisy = {}, {}, {}
    for split, size in zip(SPLITS, sizes, strict=True):
        classes_of = generator.permutation(np.arange(size) % classes)
        words = generator.integers(0, 8, (size, 6))
        texts[split] = Texts(
            tuple(f"{split}-{i}" for i in range(size)),
            tuple(" ".join(f"c{c}w{w}" for w in row) for c, row in zip(classes_of, words, strict=True)),
        )
        gold[split] = classes_of.astype(np.int64)
        flips = generator.random(size) < noise
        shift = generator.integers(1, max(classes, 2), size)
        noisy[split] = np.where(flips, (classes_of + shift) % classes, classes_of).astype(np.int64)
    task = TaskData(
        name="conformance",
        info=info,
        label_names=info.label_names,
        train=texts["train"],
        valid=texts["valid"],
        test=texts["test"],
        gold=Gold(**gold),
        votes=None,
        columns={"given": noisy},
        rows={split: np.arange(len(gold[split])) for split in gold},
        full_fingerprint={split: texts[split].fingerprint for split in texts},
    )
    return Case(task, NoisyLabels(noisy["train"], noisy["valid"], noisy["test"], SOURCE))


def predict(
    method: Any, case: Case, *, seed: int = 1, epochs: int = 3, batch_size: int = 16, store: StageStore | None = None
) -> list[Predictions]:
    """All steps of a method on a case, checked against the contract as in a real run: by a new object, as there."""
    recipe, method = Recipe(epochs=epochs, batch_size=batch_size, learning_rate=3e-3), registry.fresh(method)
    view, tools = _opened(method, case, seed, recipe, store)
    return run_method(method, view, tools)


def _opened(
    method: Any, case: Case, seed: int, recipe: Recipe, store: StageStore | None = None
) -> tuple[NoisyTask, Tools]:
    """What a method is shown of a case, and its tools."""
    encoder = ToyEncoder()
    tools = Tools(encoder, encoder, recipe, store or StageStore(None), seed, axes=("conformance", "given"))
    few = -(-len(case.task.train) // 2)  # human labels of half the train texts at most, to leave others
    return opened(method, case.task, case.labels, tools, most_human=few)[0], tools


def redrawn_gold(case: Case, keep: np.ndarray | None = None) -> Case:
    """The same texts and noisy labels with gold drawn again, class i with weight i + 1, but for the train rows `keep`.

    So the classes have other shares as well.
    """
    generator, classes = named_generator("redrawn gold", 7), len(case.task.label_names)
    weights = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    gold = {}
    for split in SPLITS:
        if (known := case.task.gold.of(split)) is not None:
            gold[split] = generator.choice(classes, len(known), p=weights)
            if split == "train" and keep is not None:
                gold[split][keep] = known[keep]
    return Case(dataclasses.replace(case.task, gold=Gold(**gold)), case.labels)


@contextlib.contextmanager
def on_disk() -> Iterator[Callable[[Case], Case]]:
    """A function that writes a case to the same files each time, and reads it back as a run reads a user's folder.

    They are the folder `conformance` of the data folder that BENCH_DATA_DIR names meanwhile, as it may in a run.
    """
    with tempfile.TemporaryDirectory() as data_dir, patch_environment(BENCH_DATA_DIR=data_dir):
        yield lambda case: _stored(case, Path(data_dir) / "conformance")


def _stored(case: Case, folder: Path) -> Case:
    folder.mkdir(exist_ok=True)
    (folder / "label.json").write_text(json.dumps(case.task.label_names), encoding="utf-8")
    names = np.array([*case.task.label_names, ""])  # the last one for -1, no answer
    for split in SPLITS:
        texts, gold, given = case.task.texts(split), case.task.gold.of(split), getattr(case.labels, split)
        table = {"id": texts.ids, "text": texts.texts, "gold": names[gold], "given": names[given]}
        pd.DataFrame(table).to_csv(folder / f"{split}.csv", index=False)
    task = load_task(str(folder), label_columns=["given"])
    read = task.columns["given"]
    return Case(task, NoisyLabels(read["train"], read["valid"], read["test"], SOURCE))


def relabelled(case: Case, train: np.ndarray, valid: np.ndarray | None = None) -> Case:
    """The same texts with other noisy labels."""
    labels = dataclasses.replace(case.labels, train=train, valid=case.labels.valid if valid is None else valid)
    return Case(case.task, labels)


def changed(change: Callable[[np.ndarray], np.ndarray]) -> Case:
    """A small case whose noisy labels of train and valid went through `change`."""
    case = make_case()
    return relabelled(case, change(case.labels.train), change(case.labels.valid))


def _seeded(method: Any) -> str | None:
    case = make_case()
    first, second = predict(method, case), predict(method, case)
    if (found := differing(first, second)) == "diagnostics":
        names = ", ".join(unequal(first, second))
        return (
            f"two runs with one seed gave different diagnostics ({names}): take every draw from tools.generator(...); "
            "times and memory addresses do not belong there"
        )
    if found:
        return f"two runs with one seed gave different predictions ({found}): take every draw from tools.generator(...)"
    return None


def _no_gold(method: Any) -> str | None:
    if sees_gold(method):
        raise Skip("a reference, which is given gold and never competes")
    case = make_case()
    with on_disk() as stored:
        human = _opened(method, stored(case), 1, Recipe(epochs=1))[0].human
        redrawn = redrawn_gold(case, keep=None if human is None else human.rows)
        first, second = (predict(method, stored(each)) for each in (case, redrawn))
        again = functools.cache(lambda: predict(method, stored(case)))
        found = changed_between(first, second, again)
        unsteady = found.startswith("predictions") and differing(first, again()).removesuffix("diagnostics")
    if unsteady:
        return "two runs on the same labels gave different predictions, so this cannot tell: see determinism by seed"
    if found:
        return f"other gold labels, in memory and in the task's files, changed its {found}: it sees gold"
    return None


def _data_files(method: Any) -> str | None:
    with on_disk() as stored:
        case = stored(make_case())
        predict(method, case)
        found = names_of(files_of(method), data_places(case.task, Path(os.environ["BENCH_DATA_DIR"])))
    if found:
        return f"it opened data files by itself ({', '.join(found)}): what it may know is in `task`"
    return None


def _shared_stages(method: Any) -> str | None:
    case = make_case()
    with tempfile.TemporaryDirectory() as folder:
        first = predict(method, case, store=StageStore(Path(folder)))
        again = predict(method, case, store=StageStore(Path(folder)))
    alone = predict(method, case)
    pairs = (alone, first), (first, again)
    if found := next(filter(None, (changed_between(*pair, lambda: predict(method, case)) for pair in pairs)), None):
        return f"{found} differ with and without the stage store: a stage's key or arrays miss something"
    return None


CHECKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "shapes": (
        lambda method: predict(method, make_case()),
        "float32 probabilities [N, C] for valid and test at every step",
    ),
    "determinism by seed": (_seeded, "the same seed gives bit-identical predictions and diagnostics"),
    "independence of gold": (
        _no_gold,
        "gold labels, in memory or on disk, must not matter, except human labels that it asks for",
    ),
    "data files": (_data_files, "a method uses only the data that it is given, and opens none of the files"),
    "stage store": (_shared_stages, "predictions are bit-identical with and without shared stages"),
    "class absent from the noisy labels": (
        lambda method: predict(method, changed(lambda labels: np.where(labels == CLASSES - 1, 0, labels))),
        "an LLM might never use one of the classes",
    ),
    "every label no answer": (
        lambda method: predict(method, changed(lambda labels: np.full_like(labels, -1))),
        "an LLM might refuse every text",
    ),
    "some labels no answer": (
        lambda method: predict(method, changed(lambda labels: np.where(np.arange(len(labels)) % 5 == 0, -1, labels))),
        "refusals become uniform random classes, drawn by seed",
    ),
    "two texts": (
        lambda method: predict(method, make_case((2, 2, 2), classes=2, noise=0.0)),
        "the smallest data that there can be",
    ),
    "one class": (lambda method: predict(method, changed(np.zeros_like)), "an LLM might always give the same answer"),
    "a last batch of one": (
        lambda method: predict(method, make_case((33, 17, 1)), batch_size=16),
        "batch statistics of one row do not exist",
    ),
    "one epoch": (
        lambda method: predict(method, make_case(), epochs=1),
        "schedules and warm-ups must work in the shortest run",
    ),
}
"""Checks by name, each with its reason. One that returns a text has found that wrong; so has one that raises."""


def run_checks(selector: str) -> Iterator[Outcome]:
    """Run every check on the method that a selector names. Raises UsageError for an unknown method."""
    chosen = choose_method(selector)
    for name, (check, why) in CHECKS.items():
        try:
            with outlived():
                found = check(chosen.method)
            yield Outcome(name, why, found if isinstance(found, str) else None)
        except Skip as skip:
            yield Outcome(name, f"{why} (not for this method: {skip})", None)
        except BenchError as error:
            yield Outcome(name, why, str(error))
        except Exception as error:
            yield Outcome(name, why, f"{type(error).__name__}: {error}")
