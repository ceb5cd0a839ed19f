"""What a grid is: every option of `bench run`, from the command line, BENCH_* variables, a YAML file, a preset."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator

from bench.core.errors import UsageError, first_problem, is_unicode, resolve, shown
from bench.core.plain_yaml import NOT_YAML, load_words
from bench.core.selectors import listed, quoted, split_list, there
from bench.core.texts import PROMPTINGS
from bench.training.recipe import FROZEN, Recipe

PRESETS = Path(__file__).parent / "presets"
MOST_SEEDS = 1000
LAST_SEED = 2**32 - 1
Seed = Annotated[int, Field(ge=0, le=LAST_SEED)]
TRACKERS = ("tensorboard", "wandb", "mlflow")


def _option(default: Any, description: str, panel: str = "Grid", **limits: Any) -> Any:
    """A field with what the command line says of it, and under which heading."""
    return Field(default, description=description, json_schema_extra={"panel": panel}, **limits)


def _recipe(name: str) -> Any:
    """A field of the training recipe, described there; None: the recipe's default."""
    field = Recipe.__pydantic_fields__[name]  # type: ignore[attr-defined]
    frozen = f", frozen {FROZEN[name]:g}" if name in FROZEN else ""
    return _option(None, f"{field.description}; default {field.default:g}{frozen}", "Training recipe")


class GridOptions(BaseModel, extra="forbid"):
    """A grid: LLMs x tasks x methods x seeds x encoders, and how to train. YAML keys equal these names."""

    methods: list[str] = _option(
        ["plain"], "methods, parameters in brackets: plain, sidyp[num_samples=8], plain+ts, my.py (default plain)"
    )
    tasks: list[str] | None = _option(None, "task names, or paths of CSV/JSONL files or WRENCH folders")
    llms: list[str] | None = _option(None, "labellers, such as mixtral, gpt-* or vote(a,b), or all")
    prompting: list[str] | None = _option(None, "prompting of the LLMs: zero, few (default: all that exist)")
    noise: list[str] | None = _option(
        None, "weak labels or synthetic noise: weak, sn@RATE, asn@RATE, idn@RATE, FILE.py@RATE"
    )
    seeds: list[Seed] = _option([1, 2, 3], "seeds, or ranges like 1-5 (default 1,2,3)")
    encoder: list[str] = _option(
        ["bert-base-uncased"],
        "Hugging Face name, local folder, minilm or mpnet; NAME:frozen, NAME:topK (default bert-base-uncased)",
    )
    sentence_encoder: str | None = _option(None, "model for sentence embeddings (default: same as --encoder)")
    limit: int | None = _option(None, "at most N texts per split, the same ones for all methods and seeds", ge=2)

    epochs: int | None = _recipe("epochs")
    batch_size: int | None = _recipe("batch_size")
    learning_rate: float | None = _recipe("learning_rate")
    warmup: float | None = _recipe("warmup")
    clip: float | None = _recipe("clip")
    dropout: float | None = _recipe("dropout")
    adam_epsilon: float | None = _recipe("adam_epsilon")
    weight_decay: float | None = _recipe("weight_decay")
    max_length: int | None = _option(
        None, "maximum tokens per text (default: set by the task)", "Training recipe", ge=2, le=8192
    )
    pooling: Literal["auto", "cls", "mean"] = _option(
        "auto", "how token vectors become one: auto, cls or mean", "Training recipe"
    )
    precision: Literal["auto", "no", "bf16", "fp16"] = _option(
        "auto", "auto, no (float32, reproducible on a CPU), bf16 or fp16", "Training recipe"
    )
    processes_per_cell: int = _option(
        1, "processes (GPUs) that train one cell together, each with its own dropout", "Training recipe", ge=1
    )

    data_dir: Path | None = _option(None, "folder with one sub-folder per task, and llm_labels/ for label sets", "Data")
    text_column: str | None = _option(None, "table column with the texts (default text)", "Data")
    gold_column: str | None = _option(None, "table column with the gold labels, or none if there is no gold", "Data")
    label_columns: list[str] | None = _option(None, "table columns with noisy labels", "Data")
    no_answer: list[str] | None = _option(None, "values that mean no answer, such as -1,abstain", "Data")
    uncovered: Literal["uniform", "drop"] = _option(
        "uniform", "texts without weak votes: uniform (a random class) or drop", "Data"
    )

    results: Path = _option(Path("results"), "results folder (default results)", "Running")
    executor: str = _option(
        "local",
        "local, ray, slurm or my.py, parameters in brackets: ray[gpus=0.25] (`bench list executors`)",
        "Running",
    )
    jobs: int = _option(1, "number of worker processes on this machine (default 1)", "Running", ge=1)
    timeout: float | None = _option(None, "time limit per cell: 90s, 5m, 2h", "Running", gt=0, le=1e8)  # seconds
    retry: Literal["failed", "none"] = _option(
        "failed", "which cells to try again: failed (default) or none", "Running"
    )
    until_settled: int | None = _option(
        None,
        "add seeds one at a time, up to N, until every method differs from plain (paired interval excludes 0)",
        "Running",
        ge=3,
        le=MOST_SEEDS,
    )
    stages: bool = _option(True, "share stages, such as embeddings, between cells (default)", "Running")
    track: list[str] | None = _option(None, "log the curves of every cell: tensorboard, wandb, mlflow", "Running")

    @field_validator("*", mode="before")
    @classmethod
    def _split(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None or info.field_name not in LISTS:
            return value
        parts = value if isinstance(value, (list, tuple)) else [value]
        if any(part is None or isinstance(part, (dict, list, tuple)) for part in parts):
            raise ValueError("must be a comma list, or a list of names or numbers")
        if isinstance(value, (str, list, tuple)):
            try:
                parts = task_list(value) if info.field_name == "tasks" else split_list(value)
                parts = _seeds(parts) if info.field_name == "seeds" else parts
            except UsageError as error:
                raise ValueError(str(error)) from None
            if not parts:
                raise ValueError(f"it names nothing: leave {info.field_name} out, or name at least one")
            return list(dict.fromkeys(parts))
        return [str(value)]

    @field_validator("timeout", mode="before")
    @classmethod
    def _timeout(cls, value: Any) -> Any:
        """Seconds from 90, "90s", "5m" or "2h"."""
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", value.strip(), re.ASCII)
        if not found:
            raise ValueError("a time is a number with s, m or h: 90s, 5m, 2h")
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]

    @field_validator("prompting", "track")
    @classmethod
    def _in_full(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        kind, known = {"prompting": ("prompting", PROMPTINGS), "track": ("tracker", TRACKERS)}[info.field_name or ""]
        return value and [resolve(kind, part, known) for part in value]


def names_in(panel: str) -> frozenset[str]:
    """The options under one heading of the help: Grid, Training recipe, Data or Running."""
    fields = GridOptions.model_fields.items()
    return frozenset(name for name, field in fields if field.json_schema_extra == {"panel": panel})


LISTS = frozenset(name for name, field in GridOptions.model_fields.items() if "list[" in str(field.annotation))
RECIPE_OPTIONS = tuple(
    name
    for name in GridOptions.model_fields
    if name in names_in("Training recipe") - {"max_length", "pooling", "precision", "processes_per_cell"}
)
RUNNING_OPTIONS = names_in("Running")
"""Options that say where and how cells run, and change no number."""


def task_list(value: str | Sequence[Any]) -> list[str]:
    """The parts of a comma list of tasks; a path that exists stays whole, whatever its name, and is put in quotes.

    Raises UsageError where a text is the path of a file and a list of other files too.
    """
    if not isinstance(value, str):
        return [part for item in value for part in task_list(str(item))]
    pieces, found, at = value.split(","), [], 0
    while at < len(pieces):
        for end in range(len(pieces), at, -1):
            path = ",".join(pieces[at:end]).strip()
            if listed(path) != path and there(path):
                if end - at > 1 and all(there(piece.strip()) for piece in pieces[at:end]):
                    raise UsageError(
                        f"'{path}' is both a file and a list of files: write {quoted(path)} for the one file"
                    )
                found.append(quoted(path))
                at = end
                break
        else:
            found.append(pieces[at])
            at += 1
    return split_list(",".join(found))


def _seeds(parts: list[str]) -> list[str]:
    """Seeds with every range like 1-5 written out, both ends included."""
    seeds: list[str] = []
    for part in parts:
        found = re.fullmatch(r"([0-9]{1,10})\s*-\s*([0-9]{1,10})", part)
        if not found:
            seeds.append(part)
            continue
        first, last = int(found[1]), int(found[2])
        if not 0 <= last - first < MOST_SEEDS:
            which = f"'{part}': " if len(parts) > 1 else ""  # else it is the whole value, which is named anyway
            raise UsageError(f"{which}a range of seeds must ascend and hold at most {MOST_SEEDS} seeds, like 1-5")
        seeds += map(str, range(first, last + 1))
    return seeds


def load_options(given: Mapping[str, Any], config: Path | None = None, preset: str | None = None) -> GridOptions:
    """The options of a grid: `given` (command line, environment) over the YAML file over the preset over defaults.

    Values of None in `given` were not given. Raises UsageError naming the option, its value and what is allowed.
    """
    merged: dict[str, Any] = {}
    if preset is not None:
        known = [path.stem for path in PRESETS.glob("*.yaml")]
        merged |= _read_yaml(PRESETS / f"{resolve('preset', preset, known)}.yaml")
    if config is not None:
        merged |= _read_yaml(config)
    merged |= {name: value for name, value in given.items() if value is not None}
    for name, value in merged.items():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, str | Path) and not is_unicode(str(part)):
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} = {shown(str(part))}: not valid Unicode; rename what it names")
    try:
        return GridOptions(**merged)
    except ValidationError as error:
        raise UsageError(first_problem(error).option) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    file = f"configuration file '{path}'"
    try:
        raw = load_words(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{file} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', error)}") from None
    except NOT_YAML as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        own = str(error) if isinstance(error, ValueError) else ""
        raise UsageError(f"{file}{line}: {getattr(error, 'problem', None) or own or 'not YAML'}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise UsageError(f"{file} must hold `option: value` lines, it holds a {type(raw).__name__}")
    values = {}
    for key, value in raw.items():
        name = shown(key).strip("'").replace("-", "_")
        if name in values:
            raise UsageError(f"{file}: {name} is given twice, with a dash and an underscore")
        if name not in GridOptions.model_fields:
            if name in ("preset", "config"):
                raise UsageError(f"{file}: {name} cannot be a key: write --{name} on the command line")
            close = difflib.get_close_matches(name, GridOptions.model_fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(GridOptions.model_fields)}"
            raise UsageError(f"{file}: unknown option '{name}': {hint}")
        if name in ("data_dir", "results") and value is not None and not isinstance(value, str):
            raise UsageError(f"{file}: {key} must be a path, it is {shown(value)}")
        values[name] = [_at_home(part) for part in value] if isinstance(value, list) else _at_home(value)
    return values


def _at_home(value: Any) -> Any:
    """A text of a file with ~/ at the start of a name replaced: no shell has done so there."""
    if not isinstance(value, str):
        return value
    home = os.path.expanduser("~/")
    return re.sub(r"""(?<![^\s,"(\[=])~/""", lambda _: home, value)
