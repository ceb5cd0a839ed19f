"""The application that commands register with, its two consoles, and errors as one message with an exit code."""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from typer import Option

from bench.core.errors import BenchError, Unavailable, UsageError

app = typer.Typer(
    name="bench",
    help="Benchmark of methods that learn text classifiers from noisy (LLM-written) labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out = Console()
err = Console(stderr=True)

LOUD_LIBRARIES = (
    "accelerate", "transformers", "sentence_transformers", "datasets", "huggingface_hub", "httpx", "filelock",
    "mlflow", "alembic",
)  # fmt: skip
LONGEST_ERROR = 3000
OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def friendly(command: Callable) -> Callable:
    """Errors as one message and an exit code: 2 for wrong usage, 1 when something failed, 130 after Ctrl-C."""

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        _quiet_libraries()
        try:
            return command(*args, **kwargs)
        except BenchError as error:
            text = str(error) if len(str(error)) <= LONGEST_ERROR else f"{str(error)[:LONGEST_ERROR]} ..."
            err.print(f"[bold red]error:[/] {escape(printable(text))}", highlight=False, soft_wrap=True)
            raise typer.Exit(USAGE if isinstance(error, (UsageError, Unavailable)) else SOME_FAILED) from None
        except KeyboardInterrupt:
            err.print("\nstopped: what is done is kept; the same command goes on from there", highlight=False)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader of the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(SOME_FAILED) from None
        except OSError as error:
            where = f" '{error.filename}'" if error.filename else ""
            err.print(f"[bold red]error:[/] {escape(str(error.strerror or error) + where)}", highlight=False)
            raise typer.Exit(USAGE) from None

    return wrapped


def _show_version(asked: bool) -> None:
    if not asked:
        return
    try:
        typer.echo(f"bench {importlib.metadata.version('noisy-label-bench')}")
    except importlib.metadata.PackageNotFoundError:
        typer.echo("bench, run from its source without having been installed")
    raise typer.Exit


@app.callback()
def _application(
    version: Annotated[
        bool, Option("--version", help="show the version", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


def printable(text: str) -> str:
    """Text without control characters: it may come from data, and a terminal obeys them."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _quiet_libraries() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name in LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    if os.environ.get("RANK", "0") != "0":  # processes that train one cell together would all say the same
        logging.getLogger().setLevel(logging.ERROR)


def say(text: str, *, dim: bool = False) -> None:
    """One line for people on standard output; what it quotes from data is neither markup nor control characters."""
    shown = escape(printable(text))
    out.print(f"[dim]{shown}[/]" if dim else shown, highlight=False, soft_wrap=True)
