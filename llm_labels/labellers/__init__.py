"""Labellers: what answers. A local model that scores label words, or a chat server that writes them.

Nothing heavy is imported here; `local` needs torch and transformers, `openai_server` the `openai` client.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from bench.core.errors import UsageError, resolve
from llm_labels.cache import Answer
from llm_labels.labellers.models import KNOWN
from llm_labels.prompts import Prompt, Shown

Item = TypeVar("Item")


@dataclass(frozen=True)
class Question:
    """One text to label, with the examples to show."""

    key: str
    text: str
    examples: tuple[Shown, ...]


@dataclass(frozen=True)
class Decoded:
    """What answers mean, in the order of the questions."""

    labels: np.ndarray  # int64[N]; -1 = no answer
    answers: tuple[str, ...]  # what to keep of each answer, for people
    probabilities: np.ndarray | None = None  # float32[N, C] where the labeller has them
    calibration: str = "none"  # the one that was used: none, contextual or batch
    rules: tuple[str, ...] = ()  # how each answer in words was read, or why it gives no label


@dataclass
class Usage:
    """What a labelling has asked for in this process; answers out of the cache cost nothing."""

    requests: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = None  # None: prices are unknown


class Labeller(Protocol):
    """What answers questions about a task."""

    name: str
    revision: str
    usage: Usage

    def settings(self) -> Mapping[str, Any]:
        """Everything that shapes a raw answer, as JSON (no keys, no addresses with credentials)."""

    def price(self, tokens_in: float, tokens_out: float) -> float | None:
        """US dollars for that many tokens; None where prices are unknown, 0 for a model of one's own."""

    def references(self, train: Sequence[str]) -> list[str]:
        """Texts whose answers are needed to calibrate the others; often none."""

    def check(self, prompt: Prompt, questions: Sequence[Question]) -> None:
        """Raise UsageError where one of the questions cannot be asked, before any is."""

    def ask(
        self,
        prompt: Prompt,
        questions: Sequence[Question],
        known: Container[str],
        store: Callable[[str, Answer], None],
        stop: Callable[[], bool],
    ) -> None:
        """Answer the questions whose key is not `known`, handing each answer to `store` at once.

        Returns early, leaving questions unanswered, only when `stop()` is true.
        """

    def decode(self, prompt: Prompt, answers: Sequence[Answer], references: Sequence[Answer]) -> Decoded:
        """Labels from raw answers; `references` answer the texts of `references()`."""


def in_packs(items: Sequence[Item], sizes: Sequence[int], room: int) -> list[list[Item]]:
    """Consecutive items in packs of sizes that add up to at most `room`; a larger item goes alone."""
    packs: list[list[Item]] = [[]]
    used = 0
    for item, size in zip(items, sizes, strict=True):
        if packs[-1] and used + size > room:
            packs.append([])
            used = 0
        packs[-1].append(item)
        used += size
    return packs


def open_labeller(model: str, /, *, server: bool | None = None, **options: Any) -> Labeller:
    """The labeller that `model` stands for.

    A chat server where `server` says so, or an address is named (`base_url=` or $OPENAI_BASE_URL), or
    $OPENAI_API_KEY is set and the name is neither local nor the hub's (`owner/name`); a local model otherwise. Known
    local names (without an address also their beginnings), paths (also of what is not there) and folders are always
    local unless `server` or `base_url` says so. `options` are those of `LocalLabeller` or
    `OpenAILabeller`; one that the chosen labeller does not have raises UsageError; None means its default.
    """
    from llm_labels.labellers.local import LocalLabeller
    from llm_labels.labellers.openai_server import OpenAILabeller

    if server is None:
        address = options.get("base_url") or os.environ.get("OPENAI_BASE_URL")
        local = (
            (model in KNOWN if address else any(known.startswith(model) for known in KNOWN))
            or model.lower().endswith(".gguf")
            or model.startswith(("/", ".", "~"))
            or Path(model).is_dir()
        )
        named = address or ("/" not in model and os.environ.get("OPENAI_API_KEY"))
        server = bool(options.get("base_url")) or (not local and bool(named))
    chosen: type[Any] = OpenAILabeller if server else LocalLabeller
    given = {option: value for option, value in options.items() if value is not None}
    allowed = list(inspect.signature(chosen.__init__).parameters)[2:]
    for option in given:
        if option not in allowed:
            raise UsageError(
                f"option {option} does not apply to labeller '{model}', a "
                f"{'chat server' if server else 'local model'}; it has: {', '.join(allowed)}"
            )
    if not server and "/" not in model and not model.lower().endswith(".gguf") and not Path(model).is_dir():
        try:
            model = resolve("labeller", model, KNOWN)
        except UsageError as error:
            raise UsageError(
                f"{error}; a model of a chat server needs an address (--base-url or $OPENAI_BASE_URL) or a "
                "key ($OPENAI_API_KEY); a local model needs a folder or a .gguf file"
            ) from None
    return chosen(model, **given)
