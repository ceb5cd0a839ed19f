"""The options of a grid on the command line, made from their declarations in `bench.grid.options`.

Numbers arrive as text: `load_options` reads them, so that a wrong one gives the same error from wherever it came.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated, Any

from rich.markup import escape
from typer import Context, Option
from typer.models import OptionInfo

from bench.grid.options import PRESETS, GridOptions


def _option(flag: str, help: str, panel: str, metavar: str | None = None) -> OptionInfo:
    """An option that BENCH_* gives too: the help says so once, and not with each."""
    variable = "BENCH_" + flag.partition("/")[0].strip("-").upper().replace("-", "_")
    return Option(flag, envvar=variable, show_envvar=False, help=escape(help), rich_help_panel=panel, metavar=metavar)


def option(name: str) -> OptionInfo:
    """The command-line option of a field of GridOptions."""
    field, flag = GridOptions.model_fields[name], "--" + name.replace("_", "-")
    flag = f"{flag}/--no-{flag[2:]}" if field.annotation is bool else flag
    kinds: dict[Any, str] = {int: "<int>", float: "<float>", int | None: "<int>", float | None: "<float>"}
    metavar = "<time>" if name == "timeout" else kinds.get(field.annotation)
    return _option(flag, field.description or "", field.json_schema_extra["panel"], metavar)  # type: ignore


Results = Annotated[Path | None, option("results")]
DataDir = Annotated[Path | None, option("data_dir")]
_PRESETS = ", ".join(sorted(path.stem for path in PRESETS.glob("*.yaml")))
Preset = Annotated[str | None, _option("--preset", f"a grid that comes with bench: {_PRESETS}", "Grid")]
Config = Annotated[Path | None, _option("--config", "YAML file; its keys are option names", "Grid")]


def grid_options(
    *, only: Collection[str] = (), exclude: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator of a command: its first parameter, a dict, gets the options of a grid by name (None: not given).

    The command line sees them as options of the command, before its own.
    """
    names = [name for name in only or GridOptions.model_fields if name not in exclude]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            command({name: values.pop(name, None) for name in names}, **values)

        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(name, keyword, default=None, annotation=_annotation(name)) for name in names]
        parameters += [parameter.replace(kind=keyword) for parameter in own]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapped

    return decorate


def typed(context: Context, names: Iterable[str]) -> set[str]:
    """Those of a command's options that stand on the command line, not in BENCH_* variables."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _annotation(name: str) -> Any:
    kind = {"data_dir": Path, "results": Path, "stages": bool}.get(name, str)
    return Annotated[kind | None, option(name)]
