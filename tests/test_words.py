"""The words of the house: help, messages, docstrings and docs keep to the list in CONTRIBUTING.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.command import bench
from tests.conftest import application

ROOT = Path(__file__).parents[1]

FORBIDDEN = {
    r"\b(lines?|rows?|records?|tokens|seconds|folders?) an? (cell|text|class|task|seed|method|event)\b": "per cell",
    r"\ban optimiser step\b(?= \()": "per optimiser step",
    r"(?<![Tt]here )\b(is|are|was|were) no (?!answer|answers|longer|more\b|better|worse|gold)[a-z]": "is not a",
    r"\bis none:": "is not valid",
    r"\b(whoever|whosever|nobody|no one waits|no one listens)\b": "that, which",
    r"\bwho embeds\b": "model for sentence embeddings",
    r"\brightly\b": "correctly",
    r"\bdifferences? to (plain|the baseline)\b": "difference from plain",
    r"\b(run|runs|ran) anew\b": "run again",
    r"\bis it sure\b": "is it significant",
    r"\bhad cost\b": "cost",
    r"\bcan be had\b": "can be obtained",
    r"\bat most so (much|many)\b": "at most this much",
    r"\bnothing has scores\b": "none of the results could be scored",
    r"\bmended\b|\bhow to mend\b": "fixed, how to fix",
    r"\b(was|is|are|were) told gold\b": "given gold, saw gold",
    r"\bin (its|their) hands?\b": "current, running",
}
"""What is not written, and what is in its place; CONTRIBUTING.md alone may quote both."""

PAIRS = (
    "per cell, per text, per optimiser step", "model for sentence embeddings", "what changed, and is it significant",
    "how to fix it", "keep at most this much, most recently used first", "float32 (reproducible on CPU)",
    "predictions must not depend on gold labels", "difference from plain", "correctly labelled", "click a heading",
    "commands to reproduce them", "can be obtained", "none of the results could be scored", "rerun",
)  # fmt: skip


def texts() -> dict[str, str]:
    found = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for pattern in ("bench/**/*.py", "methods/**/*.py", "llm_labels/**/*.py", "docs/*.md", "README.md")
        for path in ROOT.glob(pattern)
    }
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        found[path.name] = "\n".join("".join(cell["source"]) for cell in cells)
    return found


@pytest.mark.parametrize("phrase", FORBIDDEN)
def test_packages_and_docs_are_written_in_plain_words(phrase):
    found = [
        f"{name}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]!r}"
        for name, text in texts().items()
        for hit in re.finditer(phrase, text)
    ]
    assert not found, f"write: {FORBIDDEN[phrase]}\n" + "\n".join(found)


def test_the_help_of_every_command_is_too_and_fits_its_columns():
    import typer.main

    for name in ("", *typer.main.get_command(application()).commands):
        answer = bench(*filter(None, [name]), "--help")
        assert answer.exit_code == 0
        shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", answer.stdout).split())
        for phrase, better in FORBIDDEN.items():
            assert not re.search(phrase, shown), f"bench {name} --help: write {better}"
        assert "…" not in shown


def test_the_word_list_holds_the_pairs():
    words = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Words")[2].partition("\n## ")[0]
    for pair in PAIRS:
        assert pair in words, pair
