"""`bench` within the test's process, in whatever folder the test stands in."""

from __future__ import annotations

import json
import re
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


def statuses(answer) -> list[str]:
    """The status of every finished cell, in the order of the lines printed."""
    return re.findall(r"^\d+/\d+ +(\w+) ", answer.stdout, re.M)


def events(answer) -> list[dict]:
    return [json.loads(line) for line in answer.stdout.splitlines()]
