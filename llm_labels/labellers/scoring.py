"""Scores of label words as continuations of a prompt, under any causal language model.

The score of label c with continuation tokens v_1..v_L is its mean log-probability (spec of constrained
labelling; length normalisation after Brown et al. 2020):

    s_c = (1/L) sum_t log p(v_t | prompt, v_1..v_{t-1})

A prompt is a prefix (instruction, examples), shared by all texts, and a body (the text to label). The prefix
goes through the model once. Bodies and their continuations are then packed, without padding, into one row
with a tree-shaped attention mask: each body sees the prefix and itself, each continuation the prefix, its own
body and itself. A continuation's last token is never fed, so one-token labels cost nothing beyond the body.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.errors import UsageError
from llm_labels.labellers import in_packs

PACK_TOKENS = 384
"""Tokens fed at once on a CPU: enough to fill the matrix units, few enough that masked attention stays cheap."""
CHECKED_TOKENS = 48
"""Tokens of prompt and of body on which the packed way is compared with the plain one before it is used."""
PARITY_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 0.1}
"""How far packed and plain scores may differ (nats) before the packed way is given up for a model."""

TokenIds = Sequence[int]


@dataclass(frozen=True)
class _Tree:
    """The continuations as they hang below one body: everything but the body's own length."""

    tokens: np.ndarray  # int64[M] fed tokens, M = sum_c (L_c - 1)
    label: np.ndarray  # int64[M] the label each fed token belongs to
    depth: np.ndarray  # int64[M] 0 for the first token of a label
    reads: np.ndarray  # int64[K] what is read at: 0 = the body's end, m + 1 = fed token m
    target: np.ndarray  # int64[K] the token whose log-probability is read there
    owner: np.ndarray  # int64[K] the label that it counts for
    weight: np.ndarray  # float64[K] 1 / L of that label

    @classmethod
    def of(cls, continuations: Sequence[TokenIds]) -> _Tree:
        lengths = np.array([len(ids) for ids in continuations])
        owner = np.repeat(np.arange(len(lengths)), lengths)
        target = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in continuations])
        depth = np.concatenate([np.arange(length) for length in lengths])
        fed = depth < lengths[owner] - 1
        reads = np.where(depth == 0, 0, np.cumsum(fed) - fed)
        return cls(target[fed], owner[fed], depth[fed], reads, target, owner, 1 / lengths[owner])


@dataclass
class Prefix:
    """A prompt's shared beginning with its keys and values."""

    ids: list[int]
    cache: Any  # transformers cache of len(ids) positions; None: scored without one


class ContinuationScorer:
    """Scores continuations under `model` (a transformers causal LM in evaluation mode).

    Logits are taken in float32 whatever the model's precision: in bfloat16 neighbouring logits near 16 are
    0.125 apart, which would tie labels. `packed` says whether the packed way is in use; the first call checks
    it against the plain one, and a model that it does not fit (no free attention mask) is scored plainly.
    """

    def __init__(self, model: nn.Module, pack_tokens: int = PACK_TOKENS) -> None:
        self.model = model.eval()
        self.pack_tokens = pack_tokens
        self.packed: bool | None = None
        self.device = next(model.parameters()).device
        self.dtype = next(model.parameters()).dtype
        takes = inspect.signature(model.forward).parameters
        self._keeps = "logits_to_keep" in takes
        self._cache_name = "past_key_values" if "past_key_values" in takes else "cache"  # the newer transformers' name
        self._places = "position_ids" in takes  # without it (ALiBi, state spaces) a tree cannot be laid out
        config: Any = model.config
        text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
        self._window = getattr(text_config, "sliding_window", None)
        self._kinds = set(getattr(text_config, "layer_types", None) or ())
        if self._kinds and "sliding_attention" not in self._kinds:
            self._window = None
        self.max_positions = getattr(text_config, "max_position_embeddings", None)
        _float32_head(model)

    @torch.inference_mode()
    def prefix(self, ids: TokenIds) -> Prefix:
        """Run the shared beginning of a prompt through the model once."""
        from transformers import DynamicCache

        cache = DynamicCache()
        tokens = torch.tensor([list(ids)], device=self.device)
        try:
            self._logits(tokens, torch.tensor([len(ids) - 1], device=self.device), **{self._cache_name: cache})
        except (TypeError, ValueError, AttributeError, NotImplementedError):  # a model with another kind of state
            return Prefix(list(ids), None)
        return Prefix(list(ids), cache if cache.get_seq_length() == len(ids) else None)

    def score(self, prefix: Prefix, bodies: Sequence[TokenIds], continuations: Sequence[TokenIds]) -> np.ndarray:
        """float32[B, C]: mean log-probability (nats per token) of each continuation after each body."""
        if not all(len(ids) for ids in continuations) or not all(len(ids) for ids in bodies):
            raise ValueError("every body and every continuation needs at least one token")
        longest = len(prefix.ids) + max(map(len, bodies)) + max(map(len, continuations))
        if self.max_positions and longest > self.max_positions:
            raise UsageError(
                f"a prompt of {longest} tokens does not fit the model ({self.max_positions} positions): "
                "use fewer examples or a smaller max_characters in the prompt file"
            )
        if self.packed is None:
            self.packed = self._packing_fits(prefix, bodies[0], continuations)
        if not self.packed or prefix.cache is None:
            return np.stack([self.score_plain(prefix.ids, body, continuations) for body in bodies])
        tree = _Tree.of(continuations)
        room = max(1, self.pack_tokens)
        sizes = [len(body) + len(tree.tokens) for body in bodies]
        return np.concatenate([self._score_pack(prefix, pack, tree) for pack in in_packs(bodies, sizes, room)])

    @torch.inference_mode()
    def score_plain(self, prefix: TokenIds, body: TokenIds, continuations: Sequence[TokenIds]) -> np.ndarray:
        """float32[C]: the same scores from whole sequences, without cache or packing (the reference)."""
        stem = [*prefix, *body]
        width = max(map(len, continuations))
        # Right padding needs no mask: under causal attention no earlier token sees it.
        rows = torch.tensor([[*stem, *ids, *[0] * (width - len(ids))] for ids in continuations], device=self.device)
        at = torch.arange(len(stem) - 1, len(stem) - 1 + width, device=self.device)
        logprobs = self._logits(rows, at, use_cache=False).log_softmax(-1)
        picked = logprobs.gather(2, rows[:, len(stem) :, None])[..., 0].double().cpu()
        return np.array([picked[c, : len(ids)].mean() for c, ids in enumerate(continuations)], dtype=np.float32)

    @torch.inference_mode()
    def _score_pack(self, prefix: Prefix, bodies: Sequence[TokenIds], tree: _Tree) -> np.ndarray:
        shared, fed = len(prefix.ids), len(tree.tokens)
        lengths = np.array([len(body) for body in bodies])
        sizes = lengths + fed
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        tokens = np.concatenate([part for body in bodies for part in (np.asarray(body), tree.tokens)])
        text = np.repeat(np.arange(len(bodies)), sizes)
        label = np.concatenate([part for n in lengths for part in (np.full(n, -1), tree.label)])
        position = shared + np.concatenate([part for n in lengths for part in (np.arange(n), n + tree.depth)])

        below = (text[:, None] == text[None]) & (position[:, None] >= position[None])
        below &= (label[None] == -1) | (label[:, None] == label[None])
        mask = np.concatenate([np.ones((len(tokens), shared), bool), below], axis=1)
        ends = starts + lengths - 1
        read_at = np.concatenate([ends[:, None], starts[:, None] + lengths[:, None] + np.arange(fed)], axis=1)

        logits = self._logits(
            torch.as_tensor(tokens, device=self.device)[None],
            torch.as_tensor(read_at.reshape(-1), device=self.device),
            attention_mask=self._masks(mask, np.concatenate([np.arange(shared), position]), position),
            position_ids=torch.as_tensor(position, device=self.device)[None],
            **{self._cache_name: prefix.cache},
        )[0].view(len(bodies), 1 + fed, -1)
        prefix.cache.crop(-len(tokens))
        picked = logits[:, torch.as_tensor(tree.reads), torch.as_tensor(tree.target)]
        logprobs = (picked - logits.logsumexp(-1)[:, torch.as_tensor(tree.reads)]).double().cpu().numpy()
        scores = np.zeros((len(bodies), tree.owner.max() + 1))
        np.add.at(scores, (slice(None), tree.owner), logprobs * tree.weight)  # type: ignore[arg-type]  # a tuple will do
        return scores.astype(np.float32)

    def _masks(self, mask: np.ndarray, key_position: np.ndarray, query_position: np.ndarray):
        """The attention mask as the model takes it: one for all layers, or one per layer type where some slide."""
        full = torch.as_tensor(mask, device=self.device)[None, None]
        if not self._window:
            return full
        near = query_position[:, None] - key_position[None] < self._window
        sliding = full & torch.as_tensor(near, device=self.device)
        if not self._kinds:
            return sliding
        return {kind: sliding if kind == "sliding_attention" else full for kind in self._kinds}

    def _logits(self, tokens: Tensor, at: Tensor, **inputs) -> Tensor:
        """float32[rows, len(at), vocabulary]: logits at the positions `at` of each row."""
        if self._keeps:
            return self.model(input_ids=tokens, logits_to_keep=at, **inputs).logits.float()
        return self.model(input_ids=tokens, **inputs).logits[:, at].float()

    def _packing_fits(self, prefix: Prefix, body: TokenIds, continuations: Sequence[TokenIds]) -> bool:
        """Whether packed scores of two copies of a body equal the plain ones for this model.

        On the end of the prompt and a few labels: the plain way costs a pass over the prompt for every label.
        """
        if prefix.cache is None or not self._places:
            return False
        prefix, body, few = self.prefix(prefix.ids[-CHECKED_TOKENS:]), body[-CHECKED_TOKENS:], continuations[:4]
        try:
            packed = self._score_pack(prefix, [body, body], _Tree.of(few))
        except (TypeError, ValueError, AttributeError, IndexError, KeyError, RuntimeError):
            return False
        plain = self.score_plain(prefix.ids, body, few)
        return bool(np.abs(packed - plain).max() <= PARITY_TOLERANCE.get(self.dtype, 0.25))


def _float32_head(model: Any) -> None:
    """Give a low-precision model an output layer in float32 of its own (untied from the input embeddings)."""
    head = model.get_output_embeddings()
    if head is None or head.weight.dtype == torch.float32:
        return
    head = copy.deepcopy(head).float()
    head.register_forward_pre_hook(lambda module, inputs: tuple(x.to(module.weight.dtype) for x in inputs))
    model.set_output_embeddings(head)
