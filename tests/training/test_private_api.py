"""What bench uses of other libraries' private parts is there, and does what it is used for."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.training import device
from bench.training.private_api import forget_accelerator

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "methods", "llm_labels")


def test_accelerate_takes_another_precision_once_its_accelerator_is_forgotten():
    from accelerate import Accelerator

    try:
        for precision in ("no", "bf16", "no"):
            forget_accelerator()
            assert Accelerator(mixed_precision=precision, cpu=True).mixed_precision == precision
    except (BenchError, AssertionError, ValueError) as error:
        pytest.fail(f"bench.training.private_api.forget_accelerator and accelerate {version('accelerate')}: {error}")
    finally:
        forget_accelerator()
        device.accelerator.cache_clear()  # the one that other tests trained with is forgotten too


def test_an_accelerate_without_it_is_named_with_its_version(monkeypatch):
    from accelerate.state import AcceleratorState

    monkeypatch.delattr(AcceleratorState, "_reset_state")
    with pytest.raises(
        BenchError, match=rf"accelerate {version('accelerate')} does not work with bench .*_reset_state"
    ):
        forget_accelerator()


def test_no_other_module_uses_a_librarys_private_parts():
    """Own ones are seen by their definition: a name that is defined or set somewhere in the project."""
    trees = [ast.parse(path.read_text("utf-8")) for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    own = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    own |= {"_replace", "_asdict", "_fields", "_make"}  # public in a named tuple
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.arg or "" for node in nodes if isinstance(node, ast.keyword)}
    used |= {name for node in nodes if isinstance(node, ast.ImportFrom) for name in f"{node.module}".split(".")}
    private = {name for name in used - own if name.startswith("_") and not name.endswith("__")}
    assert private == {"_reset_state"}, "bench/training/private_api.py is the place for them"
