"""What can be run right now, without a network, where something that a grid needs is not here."""

from __future__ import annotations

import shlex

from bench.core.errors import BenchError, EncoderUnavailable, Unavailable
from bench.grid.options import GridOptions

ENCODER, TASK, LABELS = "minilm:frozen", "tweets", "smollm2/few"
"""What needs no network: an encoder from PyPI, a task and a label set that are part of this project."""
DATA_OPTIONS = ("tasks", "llms", "prompting", "noise", "data_dir", "text_column", "gold_column", "label_columns")


def with_a_way_on(error: Unavailable, options: GridOptions) -> Unavailable:
    """The error of a grid with what else is missing in its first line, then one command that runs here, if any does.

    Where the encoder alone is missing, that is the user's own command with another encoder; else the shipped task with
    the user's methods.
    """
    first, _, rest = str(error).partition(". Ways ")
    only_encoder = isinstance(error, EncoderUnavailable)
    lacking = [] if only_encoder else [name for name in options.encoder if not _encoder_here(name)]
    if lacking:
        named = " and ".join(f"'{name}'" for name in lacking)
        first += f"; encoder {named} is not available either"
    command = _command(options, only_encoder)
    runs = f"This runs here and now, without a network:\n\n    {command}\n\n" if command else ""
    return Unavailable(f"{first}.\n{runs}{'Ways ' + rest if rest else ''}".rstrip() if runs or rest else str(error))


def _command(options: GridOptions, only_encoder: bool) -> str | None:
    if not _encoder_here(ENCODER) or not (only_encoder or _task_here()):
        return None
    changed = {"encoder": [ENCODER]} | ({} if only_encoder else {"tasks": [TASK], "llms": [LABELS]})
    replaced = {"sentence_encoder", "pooling", *(() if only_encoder else DATA_OPTIONS)}
    defaults, words = GridOptions(), ["bench", "run"]
    for name in GridOptions.model_fields:
        value = changed.get(name, getattr(defaults if name in replaced else options, name))
        if value != getattr(defaults, name):
            words += _option(name, value)
    return shlex.join(words)


def _option(name: str, value: object) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    return [flag, ",".join(map(str, value)) if isinstance(value, list) else str(value)]


def _encoder_here(selector: str) -> bool:
    from bench.training import encoders

    try:
        encoders.locate(encoders.split_mode(selector)[0])
    except BenchError:
        return False
    return True


def _task_here() -> bool:
    """Whether the shipped task can be read and has the shipped labels."""
    from bench.data.load import load_task
    from bench.noise.label_sets import find_label_sets

    try:
        load_task(TASK)
    except BenchError:
        return False
    return any(ref.id == LABELS for ref in find_label_sets(None, TASK))
