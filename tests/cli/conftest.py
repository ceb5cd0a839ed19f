"""What the tests of the command line share: a run of an instant method."""

from __future__ import annotations

import pytest


@pytest.fixture
def run(bench, reviews, instant, tiny_bert):
    """`bench run` of the instant method on the small CSV; options as keywords, plain words as they are."""
    good = {"methods": "./instant.py", "tasks": "reviews.csv", "llms": "ann", "seeds": "1,2"}

    def call(*words, command="run", **options):
        given = good | {"encoder": f"{tiny_bert}:frozen"} | options
        pairs = [(f"--{name}", value) for name, value in given.items() if value is not None]
        return bench(command, *(word for pair in pairs for word in pair), *words)

    return call
