"""`bench` within the test's process, in whatever folder the test stands in."""

from __future__ import annotations

from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from tests.conftest import application


def bench(*words: object) -> Result:
    """The answer of `bench WORDS`: exit_code, stdout, stderr."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(application(), [str(word) for word in words])


def files_under(folder: Path) -> list[str]:
    """Every file and folder below one, as relative paths: to see that nothing was written."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
