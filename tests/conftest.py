"""What many tests share: a tiny encoder without pretrained weights, a small CSV, and where real data may lie."""

from __future__ import annotations

import csv
import functools
import importlib
import os
import string
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.core.seeds import named_generator

for _name in [name for name in os.environ if name.startswith("BENCH_") and name != "BENCH_TEST_DATA"]:
    del os.environ[_name]  # the user's own settings must not steer a test
os.environ["BENCH_CPU"] = "1"  # on every machine the same; `make gpu-drill` is the test of a GPU
os.environ["HF_HUB_OFFLINE"] = "1"  # no network in tests
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two tests at once on two cores would spin otherwise
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.pop("COLUMNS", None)
importlib.import_module("bench.cli.shell")  # now: its consoles would keep the width that the first test sets

GOOD = ("good", "great", "fine", "happy", "love", "sun")
BAD = ("bad", "awful", "poor", "sad", "hate", "rain")
OTHER = ("the", "a", "film", "day", "book", "was", "and", "very", "it", "this")
CLASSES = ("negative", "positive")


def write_tiny_bert(folder: Path) -> Path:
    """A BERT of 2 layers and width 32 with random weights in safetensors, and a small WordPiece vocabulary."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    pieces = [*string.ascii_lowercase, *string.digits, *".,!?'[]<>@#"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *OTHER, *pieces, *(f"##{p}" for p in pieces)]
    vocabulary = list(dict.fromkeys(words))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True, model_max_length=64)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = BertModel(config)
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def review_rows(size: int = 96, seed: int = 0) -> list[dict[str, str]]:
    """Rows of a small task: columns id, split, text, gold and the noisy labels `ann` (20 % wrong) and `bob` (35 %).

    Two thirds are train, the rest valid and test in equal parts; classes are balanced in every split.
    """
    draw = named_generator("review rows", size, seed)
    rows = []
    for number in range(size):
        gold = number % 2
        words = [*draw.choice((BAD, GOOD)[gold], 2), *draw.choice(OTHER, int(draw.integers(2, 9)))]
        draw.shuffle(words)
        rows.append(
            {
                "id": f"r{number}",
                "split": ("train", "train", "train", "train", "valid", "test")[number // 2 % 6],
                "text": f"{' '.join(words)} {number}",
                "gold": CLASSES[gold],
                "ann": CLASSES[gold ^ int(draw.random() < 0.2)],
                "bob": CLASSES[gold ^ int(draw.random() < 0.35)],
            }
        )
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows as a CSV file in UTF-8, with the keys of the first row as header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> Path:
    """Folder of a tiny BERT: an encoder that needs no pretrained weights."""
    return write_tiny_bert(tmp_path_factory.mktemp("encoders") / "tiny-bert")


@pytest.fixture
def reviews(tmp_path) -> Path:
    """A CSV of 96 short texts with gold and two noisy label columns (see `review_rows`)."""
    return write_csv(tmp_path / "reviews.csv", review_rows())


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """A folder of real data sets (trec/, semeval/, llm_labels/ ...), or a skip that says how to name one."""
    folder = Path(os.environ.get("BENCH_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no test data: name a folder with trec/, semeval/ and llm_labels/ in BENCH_TEST_DATA")
    return folder


INSTANT = '''"""A method that trains nothing: it predicts the class shares of the noisy labels for every text."""

import time
from pathlib import Path

import numpy as np

from methods.base import Field, Predictions, config
from methods.registry import register


@register
class Instant:
    """Class shares of the labels, sharpened."""

    name = "instant"

    @config
    class Config:
        strength: float = Field(1.0, gt=0, le=10, description="power of the shares")
        log: str = Field("", description="file that gets one line for every run")
        trap: str = Field("", description="file whose presence makes the method fail")
        seconds: float = Field(0.0, ge=0, description="how long a run takes")

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        """Two steps, the second with the classes' shares the other way round."""
        if self.config.log:
            with open(self.config.log, "a", encoding="utf-8") as file:
                file.write(f"{tools.axes[1]} {tools.seed}\\n")
        time.sleep(self.config.seconds)
        if self.config.trap and Path(self.config.trap).exists():
            raise RuntimeError("the trap snapped")
        known = task.train_labels[task.train_labels >= 0]
        shares = (np.bincount(known, minlength=task.num_classes) + 1.0 + np.arange(task.num_classes))
        shares = (shares ** self.config.strength / (shares ** self.config.strength).sum()).astype(np.float32)
        for step, row in ((1, shares), (2, shares[::-1])):
            yield Predictions(step, np.tile(row, (len(task.valid), 1)), np.tile(row, (len(task.test), 1)))
'''


@pytest.fixture
def instant(tmp_path) -> Path:
    """The .py file of a method that trains nothing, counts its runs and fails when told to (see INSTANT)."""
    path = tmp_path / "instant.py"
    path.write_text(INSTANT, encoding="utf-8")
    return path


@functools.cache
def application():
    """The whole command line, as the console script puts it together."""
    from bench.cli.app import app

    return app


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """`bench("run", "--tasks", ...)` in this process, in a folder of its own; returns exit_code, stdout and stderr."""
    from methods import registry

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")

    def call(*words, env=None):
        result = CliRunner().invoke(application(), [str(word) for word in words], env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    yield call
    registry.METHODS.forget()  # a user's file is known to the test that named it, and to no other


@pytest.fixture
def own_registry(monkeypatch):
    """What a test registers is forgotten after it."""
    from methods import registry

    registry.available()
    monkeypatch.setattr(registry.METHODS, "classes", dict(registry.METHODS.classes))


def records(results: Path = Path("results")) -> list:
    """All records of a results folder, in path order."""
    from bench.store.records import read_records

    return list(read_records(results))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
