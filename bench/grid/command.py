"""Command lines: the one that makes a cell again, and those that help on where a grid cannot be made."""

from __future__ import annotations

from typing import Any

from bench.core.errors import BenchError, EncoderUnavailable, Unavailable, UsageError
from bench.core.selectors import listed, shell_word
from bench.data.load import load_task
from bench.grid.options import RUNNING_OPTIONS, GridOptions
from bench.noise.label_sets import find_label_sets
from bench.noise.source import NoiseSource
from bench.training.find_encoder import locate, split_mode

ENCODER, TASK, LLM, LABELS = "minilm:frozen", "tweets", "smollm2", "smollm2/few"
"""What needs no network: an encoder from PyPI, a task, a labeller and a label set that are part of this project."""
DATA_OPTIONS = ("tasks", "llms", "prompting", "noise", "data_dir", "text_column", "gold_column", "label_columns")
ENCODER_OPTIONS = ("encoder", "sentence_encoder", "pooling")


def reproduce(options: GridOptions, task: str, source: NoiseSource, method: str, encoder: str, seed: int) -> str:
    """A command line that makes this one cell again."""
    named = {"methods": method, "tasks": task}
    if source.kind in ("llm", "column"):
        named |= {"llms": llm_selector(source)} | ({"prompting": source.prompting} if source.prompting else {})
    else:
        named["noise"] = source.typed or source.id
    named |= {"encoder": encoder, "seeds": str(seed)}
    own = {"methods", "tasks", "llms", "prompting", "noise", "encoder", "seeds", *RUNNING_OPTIONS}
    return command_line("run", named | changed(options, without=own))


def llm_selector(source: NoiseSource) -> str:
    """What `--llms` takes for the labels of an LLM or a column, in quotes where the name could mean something else."""
    name = source.labeller or "all"
    if source.rule != "single" or not source.labeller:
        return name
    return source.id if source.kind == "column" and source.id != name else listed(name)


def changed(options: GridOptions, without: Any = ()) -> dict[str, Any]:
    """The options that differ from their defaults, in the order of the help."""
    defaults = GridOptions()
    found = {name: getattr(options, name) for name in GridOptions.model_fields if name not in without}
    return {name: value for name, value in found.items() if value != getattr(defaults, name)}


def command_line(command: str, options: dict[str, Any], *arguments: str) -> str:
    """`bench COMMAND ARGUMENTS --option value ...` as a shell reads it."""
    return " ".join(map(shell_word, ["bench", command, *arguments, *option_words(options)]))


def option_words(options: dict[str, Any]) -> list[str]:
    """`--option value ...` as a program gets them."""
    words: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [flag, ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return words


def with_commands(error: UsageError, options: GridOptions, command: str) -> UsageError:
    """The error of a grid that names neither tasks nor LLMs, with three commands: the user's own, made whole."""
    given = changed(options)
    here = {} if all(map(_encoder_here, options.encoder)) else {"encoder": [ENCODER]}
    ways = {"tasks": [TASK]} | given | here, {"llms": [LLM]} | given | here, {"preset": "quickstart"} | given
    lines = "\n".join(f"    {command_line(command, way)}" for way in ways)
    return UsageError(
        f"{error}. For example:\n\n{lines}\n\n`bench list tasks` and `bench list llms` show what is available"
    )


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
    runs = ""
    if _encoder_here(ENCODER) and (only_encoder or _task_here()):
        way = {"encoder": [ENCODER]} | ({} if only_encoder else {"tasks": [TASK], "llms": [LABELS]})
        given = changed(options, without=(*ENCODER_OPTIONS, *(() if only_encoder else DATA_OPTIONS)))
        order = {name: (way | given)[name] for name in GridOptions.model_fields if name in way | given}
        runs = f"This command works here, without a network:\n\n    {command_line('run', order)}\n\n"
    return Unavailable(f"{first}.\n{runs}{'Ways ' + rest if rest else ''}".rstrip() if runs or rest else str(error))


def _encoder_here(selector: str) -> bool:
    try:
        locate(split_mode(selector)[0])
    except BenchError:
        return False
    return True


def _task_here() -> bool:
    """Whether the shipped task can be read and has the shipped labels."""
    try:
        load_task(TASK)
    except BenchError:
        return False
    return any(ref.id == LABELS for ref in find_label_sets(None, TASK))
