"""Tasks as data: one small declarative file each, and no code. A fix of the data makes a new task name.

Every task can also be read from a folder that the user names (`--data-dir DIR` holds `DIR/<task>/`, see
`bench.data.load`); the `sources` here say where else it can be obtained, in the order in which they are tried. A task
of another package is a `TaskInfo` that its entry point group `bench.tasks` names.
"""

from __future__ import annotations

import functools
import importlib
import logging
import pkgutil
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.core.registry import from_packages

log = logging.getLogger("bench.tasks")
GITHUB_RAW = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Shipped:
    """A folder under bench/data/files, part of this project."""

    folder: str


@dataclass(frozen=True)
class PackageFiles:
    """Files inside another Python package, read as files; the package itself is never imported."""

    distribution: str  # its name on PyPI
    files: Mapping[str, str]  # split -> path inside the installed package
    text: str
    label: str
    header_rows: int = 1  # rows of names and types before the data (Orange's .tab has 3)

    @property
    def install(self) -> str:
        """The command that makes the files available."""
        return f"pip install --no-deps {self.distribution}"


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face hub (parquet, CSV or JSON; never a script) at a pinned revision."""

    repo: str
    revision: str  # full commit hash
    splits: Mapping[str, str]  # split here -> split there
    text: str
    label: str  # a column of class names
    drop_empty: bool = False  # leave out rows without text (documented in the task's note)


@dataclass(frozen=True)
class Repository:
    """WRENCH files or .xlsx tables in a public GitHub repository at a pinned commit, each with its SHA-256."""

    repo: str
    commit: str  # full commit hash
    files: Mapping[str, tuple[str, str]]  # split (in `Published`: any short name) -> (path, SHA-256)
    folder: str = ""  # which all paths are below: "src/data/"

    def path(self, name: str) -> str:
        """Where a file lies within the repository."""
        return self.folder + self.files[name][0]

    def url(self, name: str) -> str:
        """Where the raw bytes of a file lie."""
        return f"{GITHUB_RAW}/{self.repo}/{self.commit}/{urllib.parse.quote(self.path(name))}"


@dataclass(frozen=True)
class Answers:
    """Where the answers of one labeller lie in a `Published` source."""

    column: str
    files: tuple[str, ...]  # short names, read one after the other
    same: Mapping[str, str] = field(default_factory=dict)  # column -> column of the texts' files that it must equal


@dataclass(frozen=True, eq=False)
class Published:
    """Texts with gold and what LLMs answered for them, in a public repository; read by `bench.data.readers.published`.

    The texts are the rows of the files `texts`, in that order. A labeller's rows are joined to them by the column
    `key` (equal keys in order of occurrence), or row by row without one.
    """

    repository: Repository  # its files under short names
    texts: tuple[str, ...]  # short names of the files with the texts and gold
    text: str  # columns of these files
    gold: str
    id: str  # a text's id from `row` (in the files), `number` (among the rows kept) and columns: "cfpb-{id}"
    labellers: Mapping[str, Answers]  # "gpt-4/zero" -> where its answers are
    key: str | None = None
    gaps: bool = False  # whether a text without a row of a labeller is one without an answer, rather than an error
    classes: Mapping[str, str] = field(default_factory=dict)  # further spellings in gold and answers -> class
    silent: tuple[str, ...] = ()  # values that mean no answer, beside the empty one
    left_out: bool = False  # whether rows whose gold is not a class are left out, rather than an error
    drop_repeats: bool = False  # strip the texts, and keep the first of equal ones
    rule: Literal["value", "first word", "chat"] = "value"  # how an answer is read, see `bench.data.readers.answers`


Plain = Shipped | PackageFiles | Hub | Repository  # texts, maybe with gold and votes
Source = Plain | Published


@dataclass(frozen=True)
class TaskInfo:
    """What is known of a task without reading it.

    Attributes
    ----------
    name, title : str
        What it is called in `--tasks`, and in words.
    label_names : tuple of str
        The names of its classes; a class is its position.
    max_length : int
        Tokens per text; longer texts are cut.
    licence, citation : str
        Of the data.
    sources : tuple
        Where its texts are, in the order in which they are tried.
    note : str
        What was done to the data, and what is unusual about them.
    mark_entities : bool or None
        None: the texts have no entities; else the default of `[mark_entities=...]`.
    """

    name: str
    title: str
    label_names: tuple[str, ...]
    max_length: int
    licence: str
    citation: str
    sources: tuple[Source, ...] = ()
    note: str = ""
    mark_entities: bool | None = None


@functools.cache
def known() -> dict[str, TaskInfo]:
    """Every declared task by name, in alphabetical order: this folder's, and those of other packages."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = {module.INFO.name: module.INFO for module in modules}
    for info, point in from_packages("task", "bench.tasks"):
        if not isinstance(info, TaskInfo):
            log.warning("task of %s is left out: it must be a TaskInfo, not %s", point.value, type(info).__name__)
        elif found.setdefault(info.name, info) is not info:  # never another text under a known name
            log.warning("task of %s is left out: another task is named '%s'", point.value, info.name)
    return dict(sorted(found.items()))
