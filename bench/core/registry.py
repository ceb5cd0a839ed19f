"""Find classes by name: the modules of a package, entry points of other packages, or a user's own file."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import logging
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from bench.core.errors import UsageError, resolve
from bench.core.selectors import there

log = logging.getLogger("bench.registry")
Importing = Callable[[], contextlib.AbstractContextManager[Any]]
PROJECT = ("bench", "methods", "llm_labels")
"""The packages of this project."""
NOT_IN_NAMES = re.compile(r"[\s+/\\\[\],=:]")
"""What separates names, parameters and values in a selector, or folders."""
USERS = "bench_user_"
"""How the names of all modules begin that are users' own files; they end with a hash of the content."""


class Named(Protocol):
    """What a class needs to be found by name."""

    name: ClassVar[str]


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """The classes of one kind (methods, noise sources, executors, ...), each known under its `name`.

    The modules of `package` register the built-in ones; `group` is the entry point group of other packages, and
    `importing` is entered around the import of code that is not part of this project. Messages call them by `kind`.
    `typed` says whether people name them on the command line.
    """

    def __init__(
        self, kind: str, package: str, group: str, importing: Importing = contextlib.nullcontext, typed: bool = True
    ) -> None:
        self.kind, self.package, self.group, self.importing, self.typed = kind, package, group, importing, typed
        self.classes: dict[str, type[T]] = {}
        self.read = False  # the entry points, which are read once

    @property
    def prefix(self) -> str:
        """How the modules of users' own files begin."""
        return f"{USERS}{self.kind.replace(' ', '_')}_"

    def add(self, cls: type[T]) -> type[T]:
        """Make a class known. Raises TypeError where another class has its name, or none could be called so."""
        if self.typed and (wrong := NOT_IN_NAMES.search(cls.name)):
            raise TypeError(
                f"{self.kind} '{cls.name}' cannot be called so: {wrong[0]!r} means something else on the command line; "
                "name it with letters, digits, - and _"
            )
        known = self.classes.get(cls.name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"two {self.kind}s are named '{cls.name}': {known.__module__} and {cls.__module__}")
        self.classes[cls.name] = cls
        return cls

    def available(self) -> dict[str, type[T]]:
        """Every known class by name, sorted: the package's modules and other packages' entry points."""
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        if not self.read:
            self.read = True
            for loaded, point in from_packages(self.kind, self.group, self.importing):
                if not any(loaded is cls for cls in self.classes.values()) and not self.registered_by(point.value):
                    log.warning("%s of %s is left out: write @register above its class", self.kind, point.value)
        return dict(sorted(self.classes.items()))

    def find(self, name: str) -> type[T]:
        """The class for a name, a unique beginning of one, or the path of a Python file. Raises UsageError."""
        known = self.available()
        if name.endswith(".py"):
            return self.from_file(Path(name))
        return known[resolve(self.kind, name, known)]

    def from_file(self, path: Path) -> type[T]:
        """The one class that a user's Python file registers; an edited file is read again. Raises UsageError."""
        if not (there(path) and path.is_file()):
            raise UsageError(f"{self.kind} file '{path}' does not exist: name a Python file with one @register class")
        prefix = self.prefix + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
        module_name = f"{prefix}_{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        if not self.registered_by(module_name):
            self.forget(prefix)
            if beside := imported_beside(path):
                raise UsageError(
                    f"{self.kind} file '{path}' imports '{beside}', and a change there would not make it another "
                    "version: put both into one file"
                )
            spec = importlib.util.spec_from_file_location(module_name, path)
            assert spec is not None  # as for every name that ends in .py
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[module_name] = module
            try:
                with self.importing():
                    spec.loader.exec_module(module)
            except (Exception, SystemExit) as error:
                self.forget(prefix)
                raise UsageError(
                    f"{self.kind} file '{path}' cannot be imported: {type(error).__name__}: {error}"
                ) from error
        found = self.registered_by(module_name)
        if len(found) != 1:
            self.forget(prefix)
            raise UsageError(
                f"{self.kind} file '{path}' registers {len(found)} {self.kind}s; it must register exactly one: "
                "write @register above its class"
            )
        return found[0]

    def version(self, cls: type[Any]) -> int:
        """The version of a class for cell keys: its own, or the content of the user's file that it comes from."""
        if cls.__module__.startswith(self.prefix):  # an edited file is another version
            return int(content_of(cls.__module__), 16)
        return cls.version

    def registered_by(self, module_prefix: str) -> list[type[T]]:
        """The classes that come from modules whose names begin so."""
        return [cls for cls in self.classes.values() if cls.__module__.startswith(module_prefix)]

    def forget(self, module_prefix: str | None = None) -> None:
        """Take back all that users' files registered, or one of them."""
        module_prefix = module_prefix or self.prefix
        for cls in self.registered_by(module_prefix):
            del self.classes[cls.name]
        for name in [name for name in sys.modules if name.startswith(module_prefix)]:
            del sys.modules[name]


def content_of(module: str) -> str:
    """The hash of a user's file, by the name of its module; "" for any other module."""
    return module.rpartition("_")[2] if module.startswith(USERS) else ""


def imported_beside(path: Path) -> Path | None:
    """The first module that a Python file imports from its own folder or the present one; None where there is none.

    Also within functions. What is installed, or part of Python or of this project, wins over a file of its name.
    """
    with contextlib.suppress(SyntaxError, ValueError):  # which importing it tells better
        for name in _imported(ast.parse(path.read_bytes())):
            top = name.partition(".")[0]
            if top in PROJECT or top in sys.stdlib_module_names:
                continue
            try:
                meant = importlib.util.find_spec(top)
            except ValueError:  # in memory already, without a spec, as `__main__` may be
                continue
            for root in (path.resolve().parent, Path.cwd()):
                elsewhere = meant and meant.origin and Path(meant.origin).resolve() not in _files(root, top)
                found = next((file for file in _files(root, name) if file.is_file()), None)
                if found and not elsewhere:
                    return found
    return None


def _imported(code: ast.AST) -> Iterator[str]:
    """The modules that code imports, those above them first; the last part may be what is in one."""
    for node in ast.walk(code):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names if not node.level]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _files(root: Path, module: str) -> list[Path]:
    """Where a module of this name may lie below a folder."""
    base = root.joinpath(*module.split("."))
    return [base / "__init__.py", *(base.with_name(base.name + end) for end in importlib.machinery.all_suffixes())]


def from_packages(
    kind: str, group: str, importing: Importing = contextlib.nullcontext
) -> Iterator[tuple[Any, importlib.metadata.EntryPoint]]:
    """What other packages name in an entry point group, with the entry point; one that fails is a warning."""
    for point in importlib.metadata.entry_points(group=group):
        try:
            with importing():
                loaded = point.load()
        except (Exception, SystemExit) as error:  # another package's fault must not take every class away
            log.warning("%ss of %s cannot be loaded: %s: %s", kind, point.value, type(error).__name__, error)
        else:
            yield loaded, point


def describe(cls: type[Any]) -> str:
    """The first line of a class's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]
