"""The command line as a whole: every module of this folder registers its command when it is imported."""

from __future__ import annotations

import importlib
import pkgutil

from bench import cli
from bench.cli.shell import Command, app

PANELS = {
    **dict.fromkeys(("advise", "run", "status", "report", "show"), "Grids"),
    **dict.fromkeys(("label", "labels", "trust", "clean", "budget"), "Labels"),
    **dict.fromkeys(("export", "predict"), "Models to take away"),
    **dict.fromkeys(("list", "doctor", "check"), "Look up and check"),
}
"""The commands in the order in which the help shows them, under these headings; others follow."""

for module in pkgutil.iter_modules(cli.__path__):
    importlib.import_module(f"{cli.__name__}.{module.name}")
for each in app.registered_commands:
    each.name = each.name or each.callback.__name__  # type: ignore[union-attr]
    each.cls = Command
    each.rich_help_panel = PANELS.get(each.name, "Results folders")
app.registered_commands.sort(key=lambda each: ([*PANELS, each.name].index(each.name), each.name))
