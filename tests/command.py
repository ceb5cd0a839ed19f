"""Run `bench` within the test's process: an answer with exit code, stdout and stderr."""

from __future__ import annotations

from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from bench import cli, cli_data, cli_labels

attached = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
if "doctor" not in attached:  # `main` attaches them when the console script starts
    cli_data.attach(cli.app)
    cli_labels.attach(cli.app)


def bench(*words: object, **environment: object) -> Result:
    """The answer of `bench WORDS`, with BENCH_* variables as keywords (`BENCH_SEEDS="1,2"`)."""
    runner = CliRunner(env={"COLUMNS": "200", **{name: str(value) for name, value in environment.items()}})
    return runner.invoke(cli.app, [str(word) for word in words], prog_name="bench")


def files_under(folder: Path) -> list[str]:
    """Every file and folder below one, as relative paths: to see that nothing was written."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
