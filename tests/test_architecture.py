"""The rules of the house: who may import whom, what code may not do, and that everything public is documented."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from methods import registry

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "methods", "llm_labels")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_LINES = 400

ROOMS = {"cli", "running", "grid", "noise", "report", "training", "data", "store", "core"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, but for those that only type checkers read."""
    tree = parsed(path)
    hidden = {id(inner) for node in ast.walk(tree) if is_type_checking(node) for inner in ast.walk(node)}
    found = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            # `from bench import noise` imports bench.noise
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole if node.module in PACKAGES else {node.module}
    return found


def test_bench_has_nine_rooms_and_three_faces():
    """Which of them may import which is checked by import-linter (`make lint`; the layers are in pyproject.toml)."""
    inside = {
        path.stem for path in (ROOT / "bench").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert inside == ROOMS | {"__init__", "__main__", "api"}


LIGHT = (
    ["--help"],
    ["run", "--help"],
    ["report"],
    ["status"],
    ["show", "0"],
    ["list", "tasks"],
    ["run", "--epochs", "x"],
)


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_what_trains_nothing_imports_no_torch(words, tmp_path):
    code = (
        "import sys; from bench import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = sorted({'torch', 'transformers', 'datasets', 'sentence_transformers'} & set(sys.modules))\n"
        "print('HEAVY', heavy, file=sys.stderr)"
    )
    if words == ["report"]:
        from tests.factories import write_grid

        write_grid(tmp_path / "results", ["tweets"], {"weak": 0.3}, setups=[("minilm", "frozen")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "HEAVY []", done.stderr
    if words == ["report"]:
        assert (tmp_path / "results" / "report" / "index.html").is_file(), done.stderr


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call in a file with the dotted name of what is called."""
    return [(ast.unparse(node.func), node) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_code_keeps_to_what_is_safe(path):
    name = name_of(path)
    assert not {"pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"} & imports(path)
    for called, node in calls(path):
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        assert keywords.get("allow_pickle", "False") == "False", f"{name}:{node.lineno}"
        assert keywords.get("trust_remote_code", "False") == "False", f"{name}:{node.lineno}"
        assert keywords.get("shell", "False") == "False", f"{name}:{node.lineno}"
        forbidden = {"torch.load", "torch.save", "eval", "exec", "os.system", "yaml.load", "yaml.unsafe_load"}
        assert called not in forbidden, f"{name}:{node.lineno} calls {called}"
        if called == "print":
            assert name.startswith("bench/cli"), f"{name}:{node.lineno} prints"
        if called in ("np.load", "numpy.load"):
            assert keywords.get("allow_pickle") == "False", f"{name}:{node.lineno}: say allow_pickle=False"


GLOBAL_RANDOM = (
    "torch.manual_seed", "np.random.seed", "numpy.random.seed", "random.seed", "random.random", "random.shuffle",
    "random.choice", "np.random.rand", "np.random.randn", "np.random.permutation", "np.random.choice",
)  # fmt: skip


@pytest.mark.parametrize("path", [path for path in MODULES if "conformance" not in path.name], ids=name_of)
def test_random_draws_come_from_named_generators(path):
    """`torch.manual_seed` stays only inside `fork_rng`, where a library draws from the global generator itself."""
    for called, node in calls(path):
        if called == "torch.manual_seed":
            assert "fork_rng" in path.read_text(encoding="utf-8"), f"{name_of(path)}:{node.lineno}"
        else:
            assert called not in GLOBAL_RANDOM, f"{name_of(path)}:{node.lineno} calls {called}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_in_the_head_and_says_what_it_is_for(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    tree = parsed(path)
    if tree.body:
        assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"


def undocumented(path: Path) -> list[str]:
    """Public functions, classes and methods without a docstring; properties of a protocol and overrides count too."""
    missing = []
    for node in parsed(path).body:
        if isinstance(node, ast.FunctionDef) and any("overload" in ast.unparse(each) for each in node.decorator_list):
            continue  # what is overloaded has the docstring
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                missing.append(f"{node.name} (line {node.lineno})")
            if isinstance(node, ast.ClassDef):
                missing += [
                    f"{node.name}.{inner.name} (line {inner.lineno})"
                    for inner in node.body
                    if isinstance(inner, ast.FunctionDef)
                    and not inner.name.startswith("_")
                    and not ast.get_docstring(inner)
                ]
    return missing


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_everything_public_is_documented(path):
    assert undocumented(path) == []


@pytest.mark.parametrize("name", registry.available())
def test_every_hyper_parameter_says_what_it_is(name):
    cls = registry.available()[name]
    assert registry.describe(cls), "a method names its paper in the first line"
    for field in dataclasses.fields(cls.Config):
        default = field.default
        description = getattr(default, "description", None) or field.metadata.get("description")
        if description is None:  # pydantic keeps it beside the dataclass
            description = cls.Config.__pydantic_fields__[field.name].description
        assert description, f"{name}.{field.name}"
        assert len(inspect.cleandoc(description)) > 5


def test_every_option_of_every_command_is_documented():
    import typer.main

    from tests.conftest import application

    for name, command in typer.main.get_command(application()).commands.items():
        assert command.help, name
        for parameter in command.params:
            if not getattr(parameter, "hidden", False):
                assert getattr(parameter, "help", None), f"bench {name} {parameter.name}"


def test_tracked_files_name_no_folder_of_a_machine_and_no_secret():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout here")
    banned = [
        "/ro" + "ot/",
        "/wo" + "rk/",
        "/ho" + "me/",
        "PRIVATE " + "KEY-----",
    ]  # in pieces: this file is tracked too
    kinds = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".ipynb", ".html", ".sh", ""}
    for path in (ROOT / name for name in listed.stdout.splitlines()):
        if path.suffix in kinds and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [word for word in banned if word in text], name_of(path)
