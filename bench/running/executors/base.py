"""What an executor is: it runs the cells of a plan somewhere and says of each how it ended.

A new executor is one file in this folder (or any file: `--executor ./mine.py[cpus=4]`), or a class of another
package under the entry point group `bench.executors`: docs/extending.md has one.
"""

from __future__ import annotations

import abc
import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import ClassVar

import yaml
from pydantic import BaseModel, Field, ValidationError

from bench.core.errors import Unavailable, UsageError, first_problem
from bench.core.registry import Registry
from bench.core.selectors import parse, shell_words
from bench.grid.cells import Cell, Plan
from bench.grid.command import changed, option_words
from bench.grid.options import RUNNING_OPTIONS, GridOptions
from bench.running.events import Event, Summary, Tell
from bench.running.outcomes import existing, keep, settled, without_result

__all__ = ["EngineOptions", "Executor", "Field", "executor_of", "register"]

EXECUTORS: Registry[Executor] = Registry("executor", "bench.running.executors", "bench.executors")
PASSED_ON = ("BENCH_CPU", "BENCH_CACHE_DIR", "BENCH_OFFLINE", "HF_HUB_OFFLINE", "HF_HOME", "HF_TOKEN")
"""Environment variables that workers elsewhere need as they are here."""
OF_COMMAND = frozenset(f"BENCH_{name.upper()}" for name in (*GridOptions.model_fields, "preset", "config", "log_json"))
"""Those that stand for options of `bench run`."""


class EngineOptions(BaseModel, extra="forbid", frozen=True):
    """The parameters in the brackets of `--executor NAME[parameter=value]`."""


class Executor(abc.ABC):
    """Runs the cells of a plan.

    Attributes
    ----------
    name : str
        What it is called on the command line.
    drains : bool
        Whether the first Ctrl-C only sets `stop`; otherwise it raises KeyboardInterrupt in `run`.
    """

    name: ClassVar[str]
    drains: ClassVar[bool] = False
    Options: ClassVar[type[EngineOptions]] = EngineOptions

    def __init__(self, options: EngineOptions | None = None) -> None:
        self.options = options or self.Options()

    def check(self, options: GridOptions, *, force: bool) -> None:  # noqa: B027  # most have nothing against it
        """Raise UsageError or Unavailable where a grid cannot be run like this, before anything is done."""

    @abc.abstractmethod
    def run(self, plan: Plan, tell: Tell, *, force: bool = False, stop: Callable[[], bool] = lambda: False) -> Summary:
        """Run what is not done and return how many cells ended how.

        Parameters
        ----------
        plan : Plan
            The cells in the order in which they should run; those of a group share stages.
        tell : Callable[[Message], None]
            Gets one `Finished` per cell (status `cached` for one that was done before), and may get `Started`,
            `Progress` and `Text`.
        force : bool
            Run finished cells again.
        stop : Callable[[], bool]
            When true, no further cell starts.

        Raises
        ------
        UsageError, Unavailable
            For options that do not go together, for what is missing here.
        BenchError
            When cells could not be run at all; cells that fail are rows.
        """


def register(cls: type[Executor]) -> type[Executor]:
    """Class decorator: make an executor known under its `name`."""
    return EXECUTORS.add(cls)


def executor_of(text: str) -> Executor:
    """The executor that a selector names. Raises UsageError naming the parameter, its value and what is allowed."""
    selector = parse(text)
    if selector.wrappers:
        raise UsageError(f"executor '{text}': nothing can be added with '+'")
    cls = EXECUTORS.find(selector.name)
    try:
        return cls(cls.Options(**selector.parameters))
    except ValidationError as error:
        problem = first_problem(error)
        if problem.kind == "extra_forbidden":
            fields = ", ".join(cls.Options.model_fields) or "none"
            raise UsageError(f"executor '{cls.name}' has no parameter '{problem.where}': it has {fields}") from None
        raise UsageError(f"executor '{cls.name}': {problem}") from None


def left_to_do(plan: Plan, tell: Tell, summary: Summary, *, force: bool = False) -> list[Cell]:
    """The cells that need a run; of the others it is told and counted how they ended."""
    left = []
    for cell in plan.cells:
        ended = settled(cell, existing(cell, plan.options.results), plan.options, force=force)
        if ended is None and cell.skip:
            ended = keep(without_result(cell, "skipped", cell.skip), plan.options.results)
        if ended is None:
            left.append(cell)
        else:
            summary.add(ended.status)
            tell(Event.ended(cell, ended).message)
    return left


def program_of(cell: Cell, plan: Plan, *, force: bool = False) -> list[str]:
    """The program that runs one cell of a plan by itself on this machine, with what the plan says of how cells run."""
    words = shell_words(cell.command)[1:]
    how = {name: value for name, value in changed(plan.options).items() if name in RUNNING_OPTIONS}
    words += option_words({name: value for name, value in how.items() if name not in ("executor", "jobs")})
    return [sys.executable, "-m", "bench", *words, "--one-round", *(["--force"] if force else [])]


def dump_options(plan: Plan, *, elsewhere: bool = False, **changes: object) -> str:
    """The options of a plan as a YAML file that `--config` reads back to the same cells, for one worker.

    `elsewhere`, on other machines, the precision that was chosen here counts: another one would make other cells.
    """
    values = plan.options.model_dump(mode="json", exclude_none=True)
    values |= {"precision": plan.cells[0].recipe.precision} if elsewhere else {}
    values |= {"jobs": 1, "processes_per_cell": 1, "executor": "local", **changes}
    return yaml.safe_dump(values, allow_unicode=True)


def required(package: str, executor: str) -> ModuleType:
    """The package that an executor needs. Raises Unavailable."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise Unavailable(
            f"--executor {executor} needs the package {package}: pip install 'noisy-label-bench[{executor}]', "
            "or use --executor local"
        ) from None


def worker_environment() -> dict[str, str]:
    """This process's environment without the variables that stand for options: the plan has those already."""
    return {name: value for name, value in os.environ.items() if name not in OF_COMMAND}
