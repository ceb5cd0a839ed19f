"""The application that commands register with, its two consoles, and errors as one message with an exit code."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import measure_renderables
from rich.table import Table
from rich.text import Text
from typer import Option
from typer.core import TyperCommand, TyperGroup

from bench.core.errors import NAMES, BenchError, Unavailable, UsageError
from bench.core.files import nearest_existing
from bench.core.texts import printable
from bench.store.provenance import versions


class _UntypedFlags:
    """The help shows no type of what takes no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        params = super().get_params(ctx)  # type: ignore[misc]  # of a command
        for each in params:
            if getattr(each, "is_flag", False):
                each.metavar = ""
        return params


class Command(_UntypedFlags, TyperCommand):
    """One of the commands."""


class _Commands(_UntypedFlags, TyperGroup):
    """The commands; what does not belong behind one is told with where it belongs."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter.__base__ as error:  # type: ignore[misc]  # UsageError, which typer does not export
            if error.ctx is not None and error.ctx is not ctx:
                error.message += self.way_out(error.ctx, getattr(error, "option_name", None), error.message)
            raise

    def way_out(self, ctx: typer.Context, option: str | None, message: str) -> str:
        here = [flag for each in ctx.command.params for flag in each.opts]
        if option:
            if (argument := option.lstrip("-")) in here:
                return f" for this command: write `{ctx.command_path} {argument.upper()}`"
            others = [name for name, each in self.commands.items() if any(option in its.opts for its in each.params)]
            return f" for this command: it is an option of bench {', '.join(others)}" if others else ""
        flag = next((flag for flag in ("--tasks", "--task", "--results") if flag in here), None)
        if "unexpected extra argument" not in message or not flag:
            return ""
        return f": every value follows its option, as in `{ctx.command_path} {flag} {flag.strip('-').upper()}`"


app = typer.Typer(
    name="bench",
    cls=_Commands,
    help="Benchmark of methods that learn text classifiers from noisy (LLM-written) labels.\n\n"
    "First steps: bench doctor; bench run --preset quickstart; bench report.\n\n"
    "--results, --data-dir and all options of a grid can also be set as environment variables: BENCH_RESULTS, "
    "BENCH_DATA_DIR, ...",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console()
err = Console(stderr=True)

LOUD_LIBRARIES = (
    "accelerate", "transformers", "sentence_transformers", "datasets", "huggingface_hub", "httpx", "filelock",
    "mlflow", "alembic",
)  # fmt: skip
LONGEST_ERROR = 3000
SOME_FAILED, USAGE, INTERRUPTED = 1, 2, 130


def friendly(command: Callable) -> Callable:
    """Errors as one message and an exit code: 2 for wrong usage, 1 when something failed, 130 after Ctrl-C."""

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        _set_up_logging()
        try:
            return command(*args, **kwargs)
        except BenchError as error:
            text = str(error) if len(str(error)) <= LONGEST_ERROR else f"{str(error)[:LONGEST_ERROR]} ..."
            say(text, mark="error:", style="bold red", to=err)
            raise typer.Exit(USAGE if isinstance(error, (UsageError, Unavailable)) else SOME_FAILED) from None
        except KeyboardInterrupt:
            say("\nstopped: finished work is kept; run the same command again to continue", to=err)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader of the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(SOME_FAILED) from None
        except OSError as error:
            where = f" '{error.filename}'" if error.filename else ""
            say(f"{error.strerror or error}{where}", mark="error:", style="bold red", to=err)
            raise typer.Exit(USAGE) from None

    return wrapped


def say(text: str, *, dim: bool = False, mark: str = "", style: str = "", to: Console = out) -> None:
    """One line for people; what it quotes from data is neither markup nor control characters.

    `mark` stands before the text, in this `style` of rich; `to=err` is for what is not part of a command's answer.
    """
    shown = f"[dim]{plain(text)}[/]" if dim else plain(text)
    to.print(f"[{style}]{mark}[/] {shown}" if mark else shown, highlight=False, soft_wrap=True)


class _Whole(Table):
    """A table that breaks words only where those of all columns have no room beside each other."""

    def __rich_console__(self, console, options):
        found = [measure_renderables(console, options, [each.header, *each.cells]) for each in self.columns]
        widths, room = [each.maximum for each in found], options.max_width - 2 * (len(found) - 1)
        if sum(each.minimum for each in found) <= room < sum(widths):
            while sum(widths) > room:
                widths[max((width, at) for at, width in enumerate(widths) if width > found[at].minimum)[1]] -= 1
            for column, width in zip(self.columns, widths, strict=True):
                column.width = width
        yield from super().__rich_console__(console, options)


def table(heads: Iterable[str], rows: Iterable[Iterable[str | Text]], *, title: str = "", left: int = 99) -> Table:
    """A table without lines that wraps and hides nothing; text is neither markup nor control characters.

    The first `left` columns are aligned left, the others right.
    """
    made = _Whole(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        made.add_column(head, overflow="fold", justify="left" if number < left else "right")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return made


def folder_for(out: Path) -> None:
    """Raise UsageError where --out is a file, or lies below one."""
    there = nearest_existing(out)
    if not there.is_dir():
        raise UsageError(f"--out '{out}': '{there}' is a file: name a folder")


def file_for(out: Path, given: Path) -> None:
    """Raise UsageError where --out is a folder, lies below a file, or is the table that a command reads."""
    above = nearest_existing(out.absolute().parent)
    if not above.is_dir():
        raise UsageError(f"--out '{out}': '{above}' is a file: name another place")
    if out.is_dir():
        raise UsageError(f"--out '{out}' is a folder: name a file")
    if out.exists() and given.exists() and out.samefile(given):
        raise UsageError(f"--out '{out}' is the table itself: name another file")


def plain(text: str) -> str:
    """Text as rich markup that shows it as it is, without control characters."""
    return escape(printable(text))


def _show_version(asked: bool) -> None:
    if not asked:
        return
    release = versions().get("noisy-label-bench")
    typer.echo(f"bench {release}" if release else "bench (run from source, not installed)")
    raise typer.Exit


@app.callback()
def _application(
    version: Annotated[
        bool, Option("--version", help="show the version", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


class _Completed(logging.Handler):
    """Shows each short name that was completed, once: `twee → tweets`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self.seen:
            self.seen.add(line)
            say(line, dim=True, to=err)


def _set_up_logging() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name in LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    names = logging.getLogger(NAMES)
    names.handlers, names.propagate = [_Completed()], False
    names.setLevel(logging.INFO)
    if os.environ.get("RANK", "0") != "0":  # processes that train one cell together would all say the same
        logging.getLogger().setLevel(logging.ERROR)
        names.setLevel(logging.ERROR)
