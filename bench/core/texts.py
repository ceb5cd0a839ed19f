"""The texts of a split, the names of splits and of ways to prompt, and how texts and counts are shown."""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

SPLITS = ("train", "valid", "test")
Prompting = Literal["zero", "few"]
PROMPTINGS: tuple[str, ...] = get_args(Prompting)


def printable(text: str) -> str:
    """Text without control characters: it may come from data, a terminal obeys them, and no figure may hold them."""

    def safe(sign: str) -> bool:  # spaces of all kinds too, and the joiners of letters and emoji
        return sign.isprintable() or sign in "\n\u200c\u200d" or unicodedata.category(sign) == "Zs"

    return "".join(sign if safe(sign) else repr(sign)[1:-1] for sign in text)


def plural(count: int, noun: str) -> str:
    """`1 column`, `3,000 columns`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


@dataclass(frozen=True)
class Texts:
    """The texts of one split, in a fixed order.

    Attributes
    ----------
    ids, texts : tuple of str, N each
        Equal in length, or ValueError.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.texts):
            raise ValueError(f"{len(self.ids)} ids for {len(self.texts)} texts")

    def __len__(self) -> int:
        return len(self.texts)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all texts in order (hex)."""
        digest = hashlib.sha256()
        for text in self.texts:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big"))
            digest.update(raw)
        return digest.hexdigest()
