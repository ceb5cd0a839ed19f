"""The options of a grid on the command line, made from their declarations in `bench.grid.options`.

Numbers arrive as text: `load_options` reads them, so that a wrong one gives the same error from wherever it came.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

from rich.markup import escape
from typer import Option
from typer.models import OptionInfo

from bench.grid.options import GridOptions, names_in

RUNNING = names_in("Running")
"""Options that say where and how cells run, and change no number."""


def option(name: str) -> OptionInfo:
    """The command-line option of a field of GridOptions; every one has a BENCH_* variable."""
    field = GridOptions.model_fields[name]
    about: dict[str, Any] = field.json_schema_extra  # type: ignore[assignment]
    flag = "--" + name.replace("_", "-")
    return Option(
        f"{flag}/--no-{flag[2:]}" if field.annotation is bool else flag,
        envvar=f"BENCH_{name.upper()}",
        help=escape(field.description or ""),
        rich_help_panel=about["panel"],
        metavar=about.get("metavar"),
    )


Results = Annotated[Path | None, option("results")]
DataDir = Annotated[Path | None, option("data_dir")]
Preset = Annotated[
    str | None,
    Option(
        "--preset",
        envvar="BENCH_PRESET",
        help="a grid that comes with bench: quickstart, paper",
        rich_help_panel="Grid",
    ),
]
Config = Annotated[
    Path | None,
    Option("--config", envvar="BENCH_CONFIG", help="YAML file; its keys are option names", rich_help_panel="Grid"),
]


def grid_options(
    *, only: Collection[str] = (), exclude: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator of a command: its first parameter, a dict, gets the options of a grid by name (None: not given).

    The command line sees them as options of the command, before its own.
    """
    names = [name for name in only or GridOptions.model_fields if name not in exclude]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name))
            for name in names
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            given = {name: values.pop(name, None) for name in names}
            command(given, **values)

        parameters = [*added, *own]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapped

    return decorate


def _annotation(name: str) -> Any:
    kind = {"data_dir": Path, "results": Path, "stages": bool}.get(name, str)
    return Annotated[kind | None, option(name)]
