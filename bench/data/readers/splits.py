"""Equal texts and splits: a random split keeps them together, and those that lie in two splits are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.core.errors import UsageError
from bench.core.texts import plural

PAIRS = (("test", "train"), ("valid", "train"), ("test", "valid"))


def split_together(texts: Sequence[str], order: np.ndarray, n_valid: int, n_test: int, where: str) -> list[np.ndarray]:
    """Row numbers of train, valid and test: `order` int64[n] cut where it leaves equal texts in one split.

    Without equal texts the cuts give valid and test exactly `n_valid` and `n_test` rows. Texts that are repeated more
    often than valid has rows are for train, as they would fill it. Raises UsageError naming `where` for fewer than
    three different texts.
    """
    groups: dict[str, list[int]] = {}
    for row in order:
        groups.setdefault(plain(texts[row]), []).append(row)
    if len(groups) < 3:
        raise UsageError(
            f"{where}: {len(order):,} rows with {plural(len(groups), 'different text')}; at least 3 are "
            "needed to split them into train, valid and test"
        )
    rows = sorted(groups.values(), key=lambda group: len(group) <= max(1, n_valid))
    sizes = np.array([len(group) for group in rows])
    middles = np.cumsum(sizes) - sizes / 2
    cuts = np.searchsorted(middles, [len(order) - n_test - n_valid, len(order) - n_test])
    first = min(max(cuts[0], 1), len(rows) - 2)
    second = min(max(cuts[1], first + 1), len(rows) - 1)
    return [np.concatenate(part) for part in (rows[:first], rows[first:second], rows[second:])]


def repeats(texts: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many texts of one split are also in another: "test in train", "valid in train", "test in valid"."""
    words = {split: [plain(text) for text in listed] for split, listed in texts.items()}
    known = {split: set(listed) for split, listed in words.items()}
    return {f"{one} in {other}": sum(text in known[other] for text in words[one]) for one, other in PAIRS}


def plain(text: str) -> str:
    """What makes two texts equal: their words, whatever the white space."""
    return " ".join(text.split())


def first_of_equals(texts: Sequence[str]) -> np.ndarray:
    """int64[N]: the row where each text stands first, its own where no earlier text is equal."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(plain(text), row) for row, text in enumerate(texts)], dtype=np.int64)
