"""Fine-tuning on gold labels: the ceiling. Never part of a ranking."""

from __future__ import annotations

from methods.plain import Plain
from methods.registry import register


@register(reference=True)
class Oracle(Plain):
    """Plain fine-tuning on gold training labels, as an upper bound: the harness gives it gold as its labels."""

    name = "oracle"
