"""What a labeller answered, kept on disk so that nothing is asked twice.

One JSON line per answer, only ever appended, so a kill loses at most the line that was being written. The key
hashes everything that shapes an answer: labeller and revision, prompt, examples shown, text, decoding settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from bench.core.errors import UsageError

MAX_RAW = 20_000
"""Characters of an answer that are kept: a runaway answer can have 1 MB."""


@dataclass(frozen=True)
class Answer:
    """A completed answer: a chat model's text, or a local model's label scores."""

    text: str = ""
    scores: tuple[float, ...] = ()  # nats per token, one a label
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0  # until the answer was there; a local model's share of its batch
    cut: bool = False  # whether the token limit ended the answer

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Answer:
        """From a cache line. Raises TypeError, ValueError or KeyError for any other line."""
        text, scores = entry["text"], tuple(float(score) for score in entry["scores"])
        if not isinstance(text, str):
            raise TypeError("text")
        counts = int(entry["tokens_in"]), int(entry["tokens_out"])
        return cls(text, scores, *counts, float(entry["seconds"]), bool(entry.get("cut", False)))


def shortened(text: str, most: int) -> str:
    """`text`, or of a longer one its beginning and its end (where the label follows a long thought)."""
    if len(text) <= most:
        return text
    return f"{text[: most * 3 // 4]} […] {text[-(most // 4) :]}"


class AnswerCache(Mapping[str, Answer]):
    """An append-only JSON-lines file of answers by key; one writer at a time, of all files with the same `lock`.

    Use as a context manager. `damaged` counts lines that could not be read (a torn last line after a kill);
    their questions are simply asked again. Raises UsageError while another process writes the same file.
    """

    def __init__(self, path: Path, lock: Path | None = None) -> None:
        self.path = Path(path)
        self.damaged = 0
        self._answers: dict[str, Answer] = {}
        self._file: BinaryIO  # open inside `with`
        self._lock = FileLock(lock or f"{self.path}.lock")

    def __enter__(self) -> AnswerCache:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{self.path} is in use: another `bench label` is making this label set") from None
        try:
            raw = self.path.read_bytes() if self.path.exists() else b""
            for line in filter(None, raw.split(b"\n")):
                try:
                    entry = json.loads(line)
                    self._answers[entry["key"]] = Answer.read(entry)
                except (ValueError, TypeError, KeyError):
                    self.damaged += 1
            self._file = open(self.path, "ab")
            if raw and not raw.endswith(b"\n"):
                self._file.write(b"\n")
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._lock.release()

    def __len__(self) -> int:
        return len(self._answers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __getitem__(self, key: str) -> Answer:
        return self._answers[key]

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer: in memory and, before this returns, in the file."""
        if len(answer.text) > MAX_RAW:
            answer = replace(answer, text=shortened(answer.text, MAX_RAW))
        # ASCII JSON: control characters, lone surrogates and line separators are all escaped
        line = json.dumps({"key": key, **asdict(answer)}, ensure_ascii=True, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        self._answers[key] = answer

    def sync(self) -> None:
        """Force what was written onto the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
