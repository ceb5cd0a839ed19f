"""Result folders that the report's tests share; tests that change one make their own."""

from __future__ import annotations

import pytest

from bench.report import frame
from bench.report.build import build_report
from tests import factories


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A full grid with one of everything that goes wrong."""
    return factories.write_results(tmp_path_factory.mktemp("full") / "results")


@pytest.fixture(scope="session")
def results(folder):
    return frame.load(folder)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """One task, two noise sources, three methods, three seeds, one set-up."""
    path = tmp_path_factory.mktemp("small") / "results"
    noises = {"mixtral-8x22b/few": 0.25, "sn@0.3": 0.3}
    factories.write_grid(path, tasks=["trec"], noises=noises, setups=factories.SETUPS[:1])
    return path


@pytest.fixture(scope="session")
def built(small, tmp_path_factory):
    """The report of the small folder, with everything."""
    return build_report(small, tmp_path_factory.mktemp("built") / "report")
