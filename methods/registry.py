"""Find methods by name: every module of this package, entry points of other packages, or a user's own file."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import typing
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from bench.core.errors import UsageError, first_problem, shown, unknown
from bench.core.guard import Watch
from bench.core.registry import Registry, describe
from bench.core.selectors import listed
from methods.base import Method

__all__ = ["METHODS", "available", "build", "describe", "find", "fresh", "register"]

M = typing.TypeVar("M")
_references: weakref.WeakSet[type[Any]] = weakref.WeakSet()


@contextlib.contextmanager
def _noting_files() -> Iterator[None]:
    """What is registered inside remembers which files were opened inside."""
    known = set(METHODS.classes.values())
    with Watch() as watch:
        yield
    for cls in set(METHODS.classes.values()) - known:
        cls.opened_files |= watch.opened


METHODS: Registry[Method] = Registry("method", "methods", "bench.methods", _noting_files)
available, find = METHODS.available, METHODS.find


@typing.overload
def register(cls: type[M], *, reference: bool = False) -> type[M]: ...
@typing.overload
def register(cls: None = None, *, reference: bool = False) -> Callable[[type[M]], type[M]]: ...
def register(cls: type[Any] | None = None, *, reference: bool = False) -> Any:
    """Class decorator: make a method known under its `name`.

    `@register(reference=True)` is for a method that trains on gold, as `oracle` does: the harness hands it gold
    training labels, its records say so, and it never competes in a table, rank or test. Raises TypeError for a class
    that is not a method, for a second method of one name, and for one that sees gold without saying so here.
    """
    if cls is None:
        return functools.partial(register, reference=reference)
    for attribute in ("name", "Config", "run"):
        if not hasattr(cls, attribute):
            raise TypeError(f"method {cls.__qualname__} has no '{attribute}' (see methods/base.py)")
    if not dataclasses.is_dataclass(cls.Config) or not hasattr(cls.Config, "__pydantic_fields__"):
        raise TypeError(f"method {cls.__qualname__}: its Config checks no values; decorate it with @config")
    # a class need not derive from Method
    for attribute in ("version", "human_rows", "human_scores", "stages", "shared_stages", "exportable"):
        if not hasattr(cls, attribute):
            setattr(cls, attribute, getattr(Method, attribute))
    if getattr(cls, "sees_gold", False) and not reference:
        raise TypeError(
            f"method {cls.__qualname__} has sees_gold = True, set or inherited: a method that trains on gold is a "
            "reference and never competes; say so with @register(reference=True), or set sees_gold = False"
        )
    cls.sees_gold = reference
    cls.opened_files = set()  # what it opens by itself in this process, from its import on; see bench.core.guard
    if reference:
        _references.add(cls)
    return METHODS.add(cls)


def build(cls: type[Any], parameters: dict[str, Any], called: str = "") -> Any:
    """A method with its parameters checked. Raises UsageError naming the parameter and its allowed range.

    `called` is what its selector calls it where that is not its name: a file, or the beginning of the name.
    """
    allowed = [field.name for field in dataclasses.fields(cls.Config)]
    for parameter in parameters:
        if parameter not in allowed:
            raise unknown(f"parameter of method {cls.name}", parameter, allowed)
        _refuse_word_for_number(cls, parameter, parameters[parameter])
    try:
        configured = cls.Config(**parameters)
        method = _made(cls, configured)
    except TypeError as error:
        raise UsageError(f"method {cls.name} cannot be built: {error}: give it __init__(self, config)") from error
    except ValidationError as error:
        problem = first_problem(error)
        if problem.kind == "string_pattern_mismatch":  # a pattern tells people less than the field's description
            meant = cls.Config.__pydantic_fields__[problem.where].description
            problem = problem._replace(why=f"it must be: {meant}")
        if problem.kind == "missing" and problem.where:
            raise UsageError(
                f"method {cls.name}: {problem}, as in {listed(called or cls.name)}[{problem.where}=…]"
            ) from None
        where = "" if problem.where else "configuration: "
        raise UsageError(f"method {cls.name}: {where}{problem}") from None
    if getattr(method, "sees_gold", False) and cls not in _references:
        raise UsageError(f"method {cls.name} asks for gold (sees_gold): only @register(reference=True) may")
    return method


def fresh(method: Any) -> Any:
    """Another object of a method's class and configuration, which no run has used: what one keeps no other sees.

    It is built again from its class and what that was given, except one that runs another method, whose `built_again`
    says how: the other one is not looked up again, so that it is the one of the plan though its file may have changed.
    """
    if hasattr(type(method), "built_again"):
        return method.built_again()
    return _made(type(method), getattr(method, "built_with", method.config))


def _made(cls: type[Any], configured: Any) -> Any:
    with Watch(cls.opened_files):
        method = cls(configured)
    method.built_with = configured  # its own `config` may be another: a method may derive one from what it is given
    return method


def _refuse_word_for_number(cls: type[Any], parameter: str, value: Any) -> None:
    """Raises UsageError for true or false where a number is meant: Python would take them for 1 and 0."""
    annotation = cls.Config.__pydantic_fields__[parameter].annotation
    accepted = (annotation, *typing.get_args(annotation))
    if isinstance(value, bool) and bool not in accepted and {int, float} & set(accepted):
        raise UsageError(f"method {cls.name}: {parameter} = {shown(value)}: a number is needed, as in {parameter}=1")
