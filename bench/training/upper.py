"""Training only the upper layers of an encoder: the activations below the cut are computed once and shared.

Dropout below the cut is off, because one pass serves all epochs and methods; above it, it is what the recipe says.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from bench.core.errors import UsageError
from bench.training.batches import evaluation_batches
from bench.training.inputs import TokenInputs

STACKS = ("encoder.layer", "transformer.layer")
"""Where the layers of an encoder are, by architecture: BERT, RoBERTa and MPNet; DistilBERT."""


def check_depth(name: str, top: int, layers: int) -> None:
    """Raise UsageError unless the upper `top` of so many layers are a part of them."""
    if not 1 <= top < layers:
        raise UsageError(
            f"encoder '{name}:top{top}': it has {layers} layers, so :top1 to :top{layers - 1} train a part of it, and "
            f"'{name}' trains all"
        )


def lower_part(model: nn.Module, top: int, name: str) -> nn.Module:
    """All below the upper `top` layers; shares its weights with `model`."""
    layers = _layers(model, top, name)
    kept = nn.ModuleList(list(layers)[: len(layers) - top])
    return copy.deepcopy(model, {id(layers): kept, id(model.embeddings): model.embeddings})


def upper_part(model: nn.Module, top: int, name: str) -> nn.Module:
    """A copy of the upper `top` layers, which takes the activations below them as `inputs_embeds`."""
    layers = _layers(model, top, name)
    kept = nn.ModuleList(copy.deepcopy(layer) for layer in list(layers)[len(layers) - top :])
    return copy.deepcopy(model, {id(layers): kept, id(model.embeddings): _AsGiven()})


def check_parts(model: nn.Module, top: int, name: str) -> None:
    """Raise UsageError unless the two parts together compute on a few tokens what the whole model does.

    Not so where layers follow the stack or lie beside it: RoBERTa-PreLayerNorm, XLM-RoBERTa-XL, ESM, DeBERTa with a
    convolution, embeddings of another width.
    """
    model.eval()
    texts = TokenInputs(np.arange(5, 17, dtype=np.int32), np.array([0, 4, 12]), pad_id=0)
    batch = texts.batch(np.arange(2))
    mask = batch["attention_mask"]
    lower, upper = lower_part(model, top, name), upper_part(model, top, name)
    with torch.inference_mode():
        whole = model(**batch).last_hidden_state[mask.bool()]
        try:
            hidden = lower(**batch).last_hidden_state
            again = upper(inputs_embeds=hidden, attention_mask=mask).last_hidden_state[mask.bool()]
            equal = torch.allclose(again, whole, rtol=0, atol=1e-5 * float(whole.std()))
        except RuntimeError:  # shapes that do not fit
            equal = False
    if not equal:
        raise _cannot_be_cut(model, top, name)


def activations(lower: nn.Module, ids: np.ndarray, offsets: np.ndarray, device: torch.device | str) -> np.ndarray:
    """What leaves the lower part for n texts without padding, float16[total, D].

    `ids` int32[total] are their tokens; `offsets` int64[n + 1]: where each text begins and the last one ends.
    """
    texts = TokenInputs(ids, offsets, pad_id=0)
    found: np.ndarray | None = None
    lower = lower.to(device).eval()
    with torch.inference_mode():
        for rows in evaluation_batches(texts.lengths, len(texts)):
            batch = {part: values.to(device) for part, values in texts.batch(rows).items()}
            hidden = lower(**batch).last_hidden_state.half().cpu().numpy()
            if found is None:
                found = np.empty((len(ids), hidden.shape[-1]), np.float16)
            where, inside = texts.layout(rows)
            found[where[inside]] = hidden[inside]
    if found is None:
        raise ValueError("no texts")
    if not np.isfinite(found).all():
        raise UsageError("activations of this encoder exceed the range of float16: train the whole encoder")
    return found


class _AsGiven(nn.Module):
    """In the place of an embedding layer: hands on the activations that it is given."""

    def forward(self, *inputs: torch.Tensor | None, **named: torch.Tensor | None) -> torch.Tensor:
        """The one input of three dimensions."""
        return next(x for x in (*inputs, *named.values()) if isinstance(x, torch.Tensor) and x.dim() == 3)


def _layers(model: nn.Module, top: int, name: str) -> nn.ModuleList:
    """The stack of layers. Raises UsageError where there is none, or where it has not more than `top`."""
    for path in STACKS:
        try:
            layers = model.get_submodule(path)
        except AttributeError:
            continue
        if isinstance(layers, nn.ModuleList) and hasattr(model, "embeddings"):
            check_depth(name, top, len(layers))
            return layers
    raise _cannot_be_cut(model, top, name)


def _cannot_be_cut(model: nn.Module, top: int, name: str) -> UsageError:
    return UsageError(
        f"encoder '{name}:top{top}': {type(model).__name__} cannot be cut (BERT, RoBERTa, MPNet and DistilBERT can); "
        f"use '{name}' or '{name}:frozen'"
    )
