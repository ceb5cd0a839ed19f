"""What `bench report --compare` prints."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.markup import escape

from bench.core.errors import UsageError

SHOWN = 10
"""Lines of a list that are printed; the files have all."""


def refuse_with_compare(context: typer.Context, names: tuple[str, ...]) -> None:
    """Raises UsageError for an option that was given and says nothing about a comparison."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = next(each.opts[0] for each in context.command.params if each.name == name)
            raise UsageError(f"{option} has no part in --compare: leave one of the two out")


def compare_folders(
    before: Path, after: Path, out_dir: Path | None, formats: list[str] | None, rule: str, show: bool, out, printable
) -> None:
    """Compare two results folders, print the tables and write the files."""
    from bench.report.build import check_rule
    from bench.report.compare.match import compare
    from bench.report.compare.write import FORMATS, comparison_details, comparison_tables, sentences, write_comparison
    from bench.report.output.console import in_parts, rich_table

    check_rule(rule)
    found = compare(before, after, rule)
    files = write_comparison(found, out_dir or after / "report", FORMATS if formats is None else formats)
    if show:
        for table in comparison_tables(found, changed_only=True):
            for part in in_parts(table, out.width):
                out.print(rich_table(part))
            out.print(f"[dim]{escape(printable(' '.join(table.caption)))}[/]", highlight=False)
    for sentence in sentences(found):
        out.print(escape(printable(sentence)), highlight=False, soft_wrap=True)
    for head, listed in comparison_details(found):
        out.print(f"[bold]{head}[/]", highlight=False)
        for line in listed[:SHOWN]:
            out.print(f"  {escape(printable(line))}", highlight=False, soft_wrap=True)
        if len(listed) > SHOWN:
            out.print(f"  … and {len(listed) - SHOWN} more (see the files)", highlight=False)
    for path in files:
        out.print(f"wrote {escape(str(path))}", highlight=False, soft_wrap=True)
