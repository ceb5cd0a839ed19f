"""`bench report`: every table, figure and page from the records, or two results folders compared."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from bench.cli.options import DataDir, Results, typed
from bench.cli.shell import app, err, friendly, out, plain, say
from bench.core.errors import UsageError

PAGE = ("html", "texts")
"""The formats of the page alone."""
SHOWN = 10
"""Lines of a list that are printed; the files have all."""


@app.command()
@friendly
def report(
    context: typer.Context,
    results: Results = None,
    out_dir: Annotated[Path | None, Option("--out", help="where to write (default RESULTS/report)")] = None,
    format: Annotated[
        str | None, Option(help="formats to write: md,latex,csv,html,figures,texts (default all)")
    ] = None,
    baseline: Annotated[str, Option(help="method to compare the others with")] = "plain",
    rule: Annotated[str, Option(help="which step is scored: last or noisy_valid")] = "last",
    against: Annotated[str | None, Option(help="show published numbers beside ours: paper, or a YAML file")] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        Option(metavar="BEFORE AFTER", help="compare two results folders, with significance tests"),
    ] = None,
    data_dir: DataDir = None,
    show: Annotated[bool, Option(help="print the main table")] = True,
    html_only: Annotated[bool, Option("--html-only", help="write only the page and what it shows")] = False,
    serve: Annotated[
        bool, Option("--serve", help="serve the page on this machine, and update it while a grid runs")
    ] = False,
    full: Annotated[bool, Option("--full", help="leave nothing out, however many cells there are")] = False,
) -> None:
    """Make every table, figure and page from the records alone, or compare two results folders."""
    from bench.core.selectors import split_list

    formats = None if format is None else split_list(format)
    if compare is not None:
        refuse_with_compare(context, ("results", "baseline", "against", "data_dir", "html_only", "serve", "full"))
        compare_folders(*compare, out_dir, formats, rule, show)
        return
    from bench.report.build import FORMATS, build_report
    from bench.report.output.console import main_table
    from bench.store.folder import ResultsFolder
    from bench.store.prune import refuse_links

    folder = results or Path("results")
    target = out_dir or ResultsFolder(folder).report
    if out_dir is None:
        refuse_links(folder)
    if html_only and formats:
        raise UsageError("--html-only cannot be combined with --format: leave one of the two out")
    chosen = formats or (PAGE if html_only or serve else FORMATS)
    build = functools.partial(
        build_report, folder, target, formats=chosen, baseline=baseline, rule=rule, against=against, full=full,
        data_dir=data_dir,
    )  # fmt: skip
    if serve:
        from bench.report.output.serve import serve as serve_page

        serve_page(build, folder, target, say)
        return
    done = build()
    if show:
        out.print(main_table(done.results, baseline=baseline, rule=rule, width=out.width))
    for sentence in done.sentences + done.results.notes:
        say(sentence)
    for damaged in done.results.damaged:
        say(f"{damaged.path}: {damaged.why}", mark="skipped", style="yellow", to=err)
    say(f"{len(done.files)} files in {done.out}, among them:")
    for path in sorted(path for path in done.files if path.parent == done.out)[:12]:
        say(f"  {path}")


def refuse_with_compare(context: typer.Context, names: tuple[str, ...]) -> None:
    """Raises UsageError for an option that was given and says nothing about a comparison."""
    for name in sorted(typed(context, names)):
        option = next(each.opts[0] for each in context.command.params if each.name == name)
        raise UsageError(f"{option} cannot be combined with --compare: leave one of the two out")


def compare_folders(
    before: Path, after: Path, out_dir: Path | None, formats: list[str] | None, rule: str, show: bool
) -> None:
    """Compare two results folders: the verdict first, then the tables and what else differs; write the files."""
    from rich.padding import Padding

    from bench.report.build import check_rule
    from bench.report.compare.match import compare
    from bench.report.compare.write import FORMATS, comparison_details, comparison_tables, sentences, write_comparison
    from bench.report.output.console import in_parts, rich_table

    check_rule(rule)
    found = compare(before, after, rule)
    files = write_comparison(found, out_dir or after / "report", FORMATS if formats is None else formats)
    for sentence in sentences(found):
        out.print(plain(sentence), highlight=False)
    if show:
        for table in comparison_tables(found, changed_only=True):
            for part in in_parts(table, out.width):
                out.print(rich_table(part, out.width))
            out.print(f"[dim]{plain(' '.join(table.caption))}[/]", highlight=False)
    for head, listed in comparison_details(found):
        out.print(f"[bold]{head}[/]", highlight=False)
        for line in listed[:SHOWN]:
            out.print(Padding(plain(line), (0, 0, 0, 2)), highlight=False)
        if len(listed) > SHOWN:
            say(f"  … and {len(listed) - SHOWN} more (see the files)")
    for path in files:
        say(f"wrote {path}")
