"""Names that a file system takes, and writes that leave a whole file or none."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def slug(text: str) -> str:
    """`text` as one safe path segment: no separators, no leading dot, at most 80 characters."""
    safe = re.sub(r"[^A-Za-z0-9@._+=-]+", "-", text).strip("-.") or "x"
    if safe != text and len(safe) > 80:
        rest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        safe = f"{safe[:60]}-{rest}"
    return safe[:80]


def nearest_existing(path: Path) -> Path:
    """The path, or the nearest one above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())


ZIP_START = b"PK\x03\x04"
"""How a zip file begins that holds something."""

Content = bytes | Callable[[Path], object]
"""What a file will hold, or a function that writes it to a path."""


def write_atomically(path: Path, content: Content) -> None:
    """Write under a unique temporary name in the same folder, flush to disk, rename. Raises OSError."""
    with prepared(path, content) as put:
        put()


@contextlib.contextmanager
def prepared(path: Path, content: Content) -> Iterator[Callable[[], None]]:
    """`content` on disk beside `path` under a temporary name; the function yielded renames it. Raises OSError."""
    temporary = _temporary(path)
    try:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            content(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        yield lambda: os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` that takes its name when the block ends well. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True) as name:
        draft = Path(name, path.name)
        draft.mkdir()
        yield draft
        if not path.exists():  # another process may have been faster
            os.replace(draft, path)


def _temporary(path: Path, attempts: int = 5) -> Path:
    """A new file beside `path`, whose folder is made. Packing may remove an empty folder just then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except FileNotFoundError:
        if attempts == 1:
            raise
        return _temporary(path, attempts - 1)
    os.close(handle)
    return Path(name)


def signature(path: Path) -> tuple[int, int, int] | None:
    """What tells one version of a file from the next without reading it; None for a missing file.

    Every write makes a new file, so this holds even when the clock jumps back.
    """
    try:
        return signature_of(path.stat())
    except OSError:
        return None


def signature_of(facts: os.stat_result) -> tuple[int, int, int]:
    """`signature` from what `stat` says of a file."""
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
