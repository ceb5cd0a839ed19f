"""The folder of a report: written as a whole, and cleared of what an earlier report left there, of nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from bench.core.files import write_atomically

MANIFEST = "report-files.json"
"""Names and hashes of what a report wrote, so that the next one can remove what it no longer has."""


def write_report(out: Path, files: dict[str, bytes]) -> None:
    """Write the files below `out`, and remove what an earlier report wrote there that is not among them.

    A file that was changed since, or that no report wrote, is never removed.
    """
    earlier = _manifest(out)
    for name, content in files.items():
        write_atomically(out / name, content)
    kept = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name in earlier.keys() - kept.keys():
        path = out / name
        if path.is_file() and not path.is_symlink() and hashlib.sha256(path.read_bytes()).hexdigest() == earlier[name]:
            path.unlink()
            with contextlib.suppress(OSError):  # not empty
                path.parent.rmdir()
    write_atomically(out / MANIFEST, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())


def _manifest(out: Path) -> dict[str, str]:
    """The names and hashes that an earlier report left; names that lead out of the folder are ignored."""
    try:
        found = json.loads((out / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: digest for name, digest in found.items() if not {"..", ""} & set(name.split("/")) and ":" not in name}
