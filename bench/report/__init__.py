"""Tables, figures and the page, regenerated from result records alone; never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.report.build import ReportSummary, build_report
    from bench.report.output.console import main_table

__all__ = ["ReportSummary", "build_report", "main_table"]

_HOMES = {"ReportSummary": "build", "build_report": "build", "main_table": "output.console"}


def __getattr__(name: str):
    # Loaded on first use: importing bench.report must stay cheap for the command line.
    if name not in _HOMES:
        raise AttributeError(f"module 'bench.report' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"bench.report.{_HOMES[name]}"), name)
