"""Find methods by name: every module of this package, entry points of other packages, or a user's own file."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import pkgutil
import sys
import typing
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import methods
from bench.core.errors import UsageError, first_problem, resolve, shown, unknown

log = logging.getLogger("bench.methods")

ENTRY_POINTS = "bench.methods"
_registered: dict[str, type] = {}


def register(cls: type) -> type:
    """Class decorator: make a method known under its `name`. Two methods of one name are refused."""
    for attribute in ("name", "Config", "run"):
        if not hasattr(cls, attribute):
            raise TypeError(f"method {cls.__qualname__} has no '{attribute}' (see methods/base.py)")
    if not dataclasses.is_dataclass(cls.Config):
        raise TypeError(f"method {cls.__qualname__}: its Config is no dataclass; decorate it with @config")
    known = _registered.get(cls.name)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(f"two methods are named '{cls.name}': {known.__module__} and {cls.__module__}")
    if not hasattr(cls, "version"):
        cls.version = 1
    if not hasattr(cls, "sees_gold"):
        cls.sees_gold = False
    _registered[cls.name] = cls
    return cls


def available() -> dict[str, type]:
    """Every known method by name: this package's modules and the entry points `bench.methods`."""
    for module in pkgutil.iter_modules(methods.__path__):
        importlib.import_module(f"methods.{module.name}")
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:  # another package's fault must not take every method away
            log.warning("methods of %s cannot be loaded: %s: %s", point.value, type(error).__name__, error)
    return dict(sorted(_registered.items()))


def find(name: str) -> type:
    """The method class for a name, a unique beginning of one, or the path of a Python file that registers one."""
    known = available()
    if name.endswith(".py"):
        return _from_file(Path(name))
    return known[resolve("method", name, known)]


def build(cls: type, parameters: dict[str, Any]) -> Any:
    """A method with its parameters checked. Raises UsageError naming the parameter and its allowed range."""
    allowed = [field.name for field in dataclasses.fields(cls.Config)]
    for parameter in parameters:
        if parameter not in allowed:
            raise unknown(f"parameter of method {cls.name}", parameter, allowed)
        _refuse_word_for_number(cls, parameter, parameters[parameter])
    try:
        return cls(cls.Config(**parameters))
    except TypeError as error:
        raise UsageError(f"method {cls.name} cannot be built: {error}: give it __init__(self, config)") from error
    except ValidationError as error:
        problem = first_problem(error)
        if problem.kind == "string_pattern_mismatch":  # a pattern tells people less than the field's description
            meant = cls.Config.__pydantic_fields__[problem.where].description
            problem = problem._replace(why=f"it must be: {meant}")
        where = "" if problem.where else "configuration: "
        raise UsageError(f"method {cls.name}: {where}{problem}") from None


def _refuse_word_for_number(cls: type, parameter: str, value: Any) -> None:
    """Raises UsageError for true or false where a number is meant: Python would take them for 1 and 0."""
    annotation = cls.Config.__pydantic_fields__[parameter].annotation
    accepted = (annotation, *typing.get_args(annotation))
    if isinstance(value, bool) and bool not in accepted and {int, float} & set(accepted):
        raise UsageError(f"method {cls.name}: {parameter} = {shown(value)}: a number is needed, as in {parameter}=1")


def describe(cls: type) -> str:
    """The first line of the method's docstring."""
    return (inspect.getdoc(cls) or "").splitlines()[0] if inspect.getdoc(cls) else ""


def _from_file(path: Path) -> type:
    try:
        there = path.is_file()
    except OSError:  # a name that is too long for any file
        there = False
    if not there:
        raise UsageError(f"method file '{path}' does not exist: name a Python file with one @register class")
    prefix = "bench_user_method_" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    module_name = f"{prefix}_{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"  # an edited file is read anew
    if not _registered_by(module_name):
        _forget(prefix)
        spec = importlib.util.spec_from_file_location(module_name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            _forget(prefix)
            raise UsageError(f"method file '{path}' cannot be imported: {type(error).__name__}: {error}") from error
    found = _registered_by(module_name)
    if len(found) != 1:
        _forget(prefix)
        raise UsageError(f"method file '{path}' registers {len(found)} methods; it must register exactly one")
    return found[0]


def _registered_by(module_prefix: str) -> list[type]:
    return [cls for cls in _registered.values() if cls.__module__.startswith(module_prefix)]


def _forget(module_prefix: str) -> None:
    """Take back all that one file registered."""
    for cls in _registered_by(module_prefix):
        del _registered[cls.name]
    for name in [name for name in sys.modules if name.startswith(module_prefix)]:
        del sys.modules[name]
