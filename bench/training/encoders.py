"""Pretrained encoders: find, load, tokenise, embed, and put a classification head on top.

Three modes. *Fine-tuned*: every weight is trained. *topK*: the upper K layers are, and what lies below them is
computed once. *Frozen*: sentence embeddings are computed once and a small MLP head is trained on them, which makes
wide grids cheap. In all, a `Classifier` gives logits and the features that training dynamics are made of, so methods
do not care which mode they run in.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from bench.core.errors import UsageError
from bench.training import upper
from bench.training.device import device_type
from bench.training.find_encoder import (
    load_options,
    locate,
    or_unavailable,
    pooling_modes,
    quiet_loading,
    split_mode,
    trained_pooling,
)
from bench.training.inputs import FeatureInputs, HiddenInputs, Inputs, TokenInputs
from bench.training.networks import Classifier, FrozenBody, TransformerBody
from bench.training.recipe import Pooling

FROZEN_WIDTH = 256


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

        return or_unavailable(self.name, lambda: AutoTokenizer.from_pretrained(self.folder, **load_options()))

    @functools.cached_property
    def model(self) -> nn.Module:
        """The pretrained model in float32, never trained itself: classifiers train copies of it.

        Raises UsageError in mode topK where it cannot be cut.
        """
        from transformers import AutoModel

        options = {"use_safetensors": True, "dtype": torch.float32, **load_options()}
        with quiet_loading():
            model = or_unavailable(self.name, lambda: AutoModel.from_pretrained(self.folder, **options))
        if self.top:
            upper.check_parts(model, self.top, self.name)
        return model.eval()

    @functools.cached_property
    def config(self) -> Any:
        """The pretrained model's configuration."""
        from transformers import AutoConfig

        return or_unavailable(self.name, lambda: AutoConfig.from_pretrained(self.folder, **load_options()))

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
            model = or_unavailable(self.name, lambda: AutoModel.from_config(facts, trust_remote_code=False))
        tables = [module for name, module in model.named_modules() if name.endswith("embeddings.position_embeddings")]
        padding = next((getattr(table, "padding_idx", None) for table in tables), None)
        return positions if padding is None else positions - padding - 1  # these count from after the padding's

    @functools.cached_property
    def sentences(self) -> Any:
        """The same encoder as a sentence embedder with its own pooling (sentence-transformers)."""
        from sentence_transformers import SentenceTransformer

        kwargs = {"use_safetensors": True, "dtype": torch.float32}  # whatever the file's precision is
        options: dict[str, Any] = {"device": device_type(), "model_kwargs": kwargs, **load_options()}
        with quiet_loading():
            embedder = or_unavailable(self.name, lambda: SentenceTransformer(self.folder, **options))
        embedder.max_seq_length = min(self.longest, embedder.max_seq_length or self.longest)
        tokenizer = embedder.tokenizer
        if tokenizer.pad_token_id is None:  # any token will do, as in `TokenInputs`: padding is masked
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
            tokenizer.padding_side = "right"
        return embedder

    @functools.cached_property
    def width(self) -> int:
        """D_e, of sentence embeddings: known from `inputs`, so that the model is not loaded where they are stored."""
        return self.sentences.get_embedding_dimension()

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
            self.width = embeddings.shape[1]
            return FeatureInputs(embeddings * np.float32(math.sqrt(embeddings.shape[1])))
        if self.top:
            return HiddenInputs(arrays["hidden"], arrays["offsets"])
        return TokenInputs(arrays["ids"], arrays["offsets"], self.tokenizer.pad_token_id or 0)

    def classifier(self, num_classes: int, dropout: float, generator: torch.Generator) -> Classifier:
        """A new classifier: pretrained body (or a fresh hidden layer when frozen), head drawn from `generator`."""
        if self.mode == "frozen":
            frozen = FrozenBody(self.width, FROZEN_WIDTH)
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


@functools.lru_cache(maxsize=8)
def load_encoder(selector: str, max_length: int = 128, pooling: Pooling = "auto") -> Encoder:
    """The encoder that a selector names; weights are read when first needed.

    `pooling="auto"`: what the encoder was trained with where it says so (sentence-transformers folders), else [CLS]; of
    a causal language model the mean. Raises UsageError where that is another kind and the encoder is to be trained.
    """
    if pooling not in ("auto", "cls", "mean"):
        raise UsageError(f"pooling '{pooling}': choose auto, cls or mean")
    name, mode = split_mode(selector)
    folder, revision = locate(name)
    if pooling != "auto":
        resolved: str = pooling
    elif mode == "frozen":  # sentence-transformers pools by itself
        resolved = "mean" if "mean" in pooling_modes(folder) else "cls"
    else:
        resolved = trained_pooling(folder)
    if resolved not in ("cls", "mean"):
        raise UsageError(f"encoder '{name}' pools by {resolved}: to train it, name --pooling mean or --pooling cls")
    encoder = Encoder(name, mode, folder, revision, "cls" if resolved == "cls" else "mean", max_length)
    if encoder.top:
        upper.check_depth(name, encoder.top, encoder.config.num_hidden_layers)
    return encoder
