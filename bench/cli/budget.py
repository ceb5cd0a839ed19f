"""`bench budget`: what a number of human corrections buys, by how their rows are chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from bench.cli.options import grid_options
from bench.cli.run import run_cells
from bench.cli.shell import SOME_FAILED, app, folder_for, friendly, out, say
from bench.cli.shell import table as terminal_table
from bench.core.texts import plural

OPTIONS = (
    "llms", "prompting", "noise", "seeds", "encoder", "limit", "epochs", "data_dir", "text_column", "gold_column",
    "label_columns", "no_answer", "results", "jobs",
)  # fmt: skip


@app.command()
@friendly
@grid_options(only=OPTIONS)
def budget(
    given: dict[str, Any],
    task: Annotated[
        str, Argument(metavar="TASK", help="a task with gold in train, or a table of your own; gold plays the human")
    ],
    rows: Annotated[str, Option(help="numbers of rows to correct")] = "20,50,100,200",
    chosen: Annotated[str, Option(help="ways to choose the rows")] = "random,suspicion,disagreement,entropy",
    method: Annotated[str, Option(help="method that learns from the corrected labels")] = "plain",
    out_dir: Annotated[Path, Option("--out", help="folder for TASK.csv and TASK.png")] = Path("budget"),
) -> None:
    """Measure accuracy after human corrections of rows chosen in four ways: which rows are worth paying for?

    Runs ordinary cells of the method `corrected`, which `bench report` shows too. In training, gold is used only for
    the corrected rows.
    """
    from bench.core.errors import UsageError
    from bench.core.files import slug, write_atomically
    from bench.core.selectors import quoted, split_list, there
    from bench.core.spreadsheet import frame_csv
    from bench.grid.cells import plan
    from bench.grid.options import load_options
    from bench.report.budget import budget_png, budget_table
    from bench.report.tables.entries import wilson
    from bench.running.adviser import FEWEST_TEST
    from bench.running.outcomes import check_results_folder, refuse_unwritable
    from bench.store.records import Record, read_record

    folder_for(out_dir)
    cells = [
        f"corrected[rows={k},chosen={how},method={method}]" for k in split_list(rows) for how in split_list(chosen)
    ]
    named = {name: value for name, value in given.items() if value is not None}
    tasks = [quoted(task) if there(task) else task]
    options = load_options({"encoder": "minilm:frozen", "tasks": tasks, "methods": [method, *cells], **named})
    made = plan(options)
    if not any(each.task.gold.test is not None and (each.task.gold.test >= 0).any() for each in made.cells):
        raise UsageError(
            f"'{task}' cannot be scored: it needs gold in test rows, and in train rows for the corrections"
        )
    check_results_folder(options.results)
    refuse_unwritable(options.results)
    for note in made.notes:
        say(note, dim=True)
    say(f"{plural(len(made.cells), 'cell')} → {options.results}")
    summary = run_cells(made)
    found = [read_record(cell.key.path(options.results)) for cell in made.cells]
    records = [each for each in found if isinstance(each, Record)]
    table = budget_table(records)
    if not table["rows"].any():
        raise UsageError("no cell with corrections has a score: all failed or were skipped, for the reasons above")
    name = out_dir / slug("+".join(dict.fromkeys(cell.task.name for cell in made.cells)))
    write_atomically(Path(f"{name}.csv"), frame_csv(table))
    write_atomically(Path(f"{name}.png"), budget_png(table, method))
    heads = ("task", "labels", "rows chosen by", "corrected", "changed", "accuracy %", "gain over random")
    out.print(terminal_table(heads, map(_line, table.to_dict("records")), left=3))
    tested = [each.data.n_scored for each in records if each.data and each.data.n_scored]
    fewest, best = min(tested, default=FEWEST_TEST), table["accuracy"].max()
    if fewest < FEWEST_TEST:
        low, high = wilson(best / 100, fewest)
        say(
            f"Accuracy is measured on {plural(fewest, 'test text')} with gold. There, {best:.0f} % has a 95 % interval "
            f"of {low:.0f} to {high:.0f} %, so small differences above mean nothing."
        )
    say(
        "Gold plays the human; in training it is used only for the corrected rows. "
        f"±: half of the 95 % t-interval over seeds. Written: {name}.csv and {name.name}.png"
    )
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    """A line of the terminal's table."""

    def interval(mean: float, half: float, sign: str = "") -> str:
        return "" if mean != mean else f"{mean:{sign}.1f}" + ("" if half != half else f" ± {half:.1f}")

    return (
        row["task"], row["noise"], row["chosen"] or "none", f"{row['rows']:,}", f"{row['labels_changed']:.0f}",
        interval(row["accuracy"], row["half"]), interval(row["gain"], row["gain_half"], "+"),
    )  # fmt: skip
