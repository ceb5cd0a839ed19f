"""The command line that makes one cell again."""

from __future__ import annotations

import shlex

from bench.core.selectors import listed
from bench.grid.options import RUNNING_OPTIONS, GridOptions
from bench.noise.select import NoiseSource


def reproduce(options: GridOptions, task: str, source: NoiseSource, method: str, encoder: str, seed: int) -> str:
    """A command line that makes this one cell again."""
    words = ["bench", "run", "--methods", method, "--tasks", task]
    if source.kind in ("llm", "column"):
        name = source.labeller or "all"
        if source.rule == "single" and source.labeller:  # in quotes where the name could mean something else
            name = source.id if source.kind == "column" and source.id != name else listed(name)
        words += ["--llms", name] + (["--prompting", source.prompting] if source.prompting else [])
    else:
        words += ["--noise", source.typed or source.id]
    words += ["--encoder", encoder, "--seeds", str(seed)]
    defaults = GridOptions()
    same = {"methods", "tasks", "llms", "prompting", "noise", "seeds", "encoder", *RUNNING_OPTIONS}
    for name in GridOptions.model_fields:
        value = getattr(options, name)
        if name not in same and value != getattr(defaults, name):
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words += ["--" + name.replace("_", "-"), text]
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    """A word as a shell reads it back; control characters, which a terminal would change, as bash escapes them."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + "'"
