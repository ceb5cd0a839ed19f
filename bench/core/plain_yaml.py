"""YAML that means what was typed: `no` is a word and `010` is not 8; one key twice is refused."""

from __future__ import annotations

import re
from typing import Any

import yaml

NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
"""What loading raises for text that is not YAML, or holds an impossible number."""
_PLAIN = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
_WHOLE = re.compile(r"[-+]?[0-9]+\Z")
_NUMBER = re.compile(
    r"(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_TRUTH = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")


class _Words(yaml.SafeLoader):
    """Every scalar as it is written, but for null."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Values(_Words):
    """Numbers, true and false as such besides."""


for loader in (_Words, _Values):
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _PLAIN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
_Values.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
_Values.add_implicit_resolver("tag:yaml.org,2002:bool", _TRUTH, list("tTfF"))
_Values.add_implicit_resolver("!whole", _WHOLE, list("-+0123456789"))
_Values.add_constructor("!whole", lambda loader, node: int(node.value))


def load_words(text: str) -> Any:
    """A document of mappings, lists and strings; null is None. Raises one of NOT_YAML, with a `problem_mark` if known.

    Which values are numbers or yes is decided where an option is read: `precision: no`, `[no, gpt4]` and `010` stay so.
    """
    return _loaded(text, _Words)


def load_values(text: str) -> Any:
    """The same with decimal numbers, true and false as such: the value of a parameter whose type is not known here."""
    return _loaded(text, _Values)


def _loaded(text: str, loader: type[_Words]) -> Any:
    opened = loader(text)
    try:
        return opened.get_single_data()
    finally:
        opened.dispose()
