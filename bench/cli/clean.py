"""`bench clean`: a table with corrected labels beside the old ones, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from typer import Argument, Option

from bench.cli.options import grid_options
from bench.cli.shell import app, file_for, friendly, say
from bench.cli.trust import TABLE, Encoder, believed, doubt
from bench.core.errors import UsageError
from bench.core.selectors import shell_word
from bench.data.readers.columns import CLEANED, GIVEN, folded

if TYPE_CHECKING:
    from bench.running.trust import Trusted

WHY = "why"
UNCONFIRMED = (
    "No other labeller confirms these changes. Of 27 sets of LLM labels, such changes made 17 better, by up to 5.8 "
    "points, and 10 worse, by up to 7.8: check some by hand."
)
OF_VOTES = (
    "A vote changes where even one labeller, whether it voted or not, gave the new label. Of 9 votes of LLMs, such "
    "changes made 5 better, by up to 8.5 points, and 4 worse, by up to 3.6: check some by hand."
)
"""Measured in results/reference/detection."""
ONE_OTHER = (
    "{other} is the only other labeller and cannot outvote {own}: of the texts that it answered, no label is corrected."
    " Check the most suspicious labels of `bench trust` by hand, or clean the vote of both: --llms {vote}"
)


@app.command()
@friendly
@grid_options(only=TABLE, exclude=("limit",))
def clean(
    given: dict[str, Any],
    table: Annotated[
        Path, Argument(metavar="TABLE", help="CSV, TSV, JSONL, JSON, Parquet or Excel file with texts and labels")
    ],
    out: Annotated[Path, Option("--out", help="CSV file to write")],
    encoder: Encoder = "minilm",
) -> None:
    """Correct the labels of a table: writes all its columns, the given and the cleaned label, and the reason.

    A label changes where confident learning assigns the text to another class and other labellers, if there are any,
    outvote it, which takes at least two. A label that is a vote changes only to a label that some labeller gave. No
    gold is used.
    """
    from bench.core.spreadsheet import write_csv
    from bench.data.readers.columns import first_of
    from bench.data.readers.tables import read_table

    file_for(out, table)
    if not table.is_file():
        raise UsageError(f"'{table}' is not a file: name a table of texts and labels")
    own = read_table(table).columns
    if taken := [name for name in own if folded(name) in (GIVEN, CLEANED, WHY)]:
        raise UsageError(f"{table} already has a column '{taken[0]}', which this command writes: rename it")
    found = believed([str(table)], given, encoder)
    rows, cleaned = _in_file_order(found, own, first_of(own, ("id",), str(table))), found.cleaned
    names = np.array([*found.label_names, ""], dtype=object)
    columns = {
        GIVEN: names[found.trust.labels[rows]],
        CLEANED: names[cleaned[rows]],
        WHY: [_why(found, row, cleaned) for row in rows],
    }
    write_csv(out, own | columns, as_they_are=[*own, GIVEN, CLEANED])  # classes are those of the table
    changed = cleaned != found.trust.labels
    filled = changed & (found.trust.labels < 0)
    say(
        f"{found.task}, {found.labeller}: {int((changed & ~filled).sum())} of {len(rows)} labels corrected, "
        f"{int(filled.sum())} missing ones filled in; written to {out}"
    )
    doubt(found)
    if found.ensemble:
        say(OF_VOTES, dim=True)
    elif vote := found.vote_of_two:
        say(ONE_OTHER.format(own=found.labeller, other=found.others[0], vote=shell_word(vote)))
    elif not found.others:
        say(UNCONFIRMED, dim=True)
    if found.gold is not None and (known := (found.gold >= 0) & (found.trust.labels >= 0)).any():
        before, after = ((labels == found.gold)[known].mean() for labels in (found.trust.labels, cleaned))
        say(
            f"Compared with gold ({int(known.sum())} rows): {100 * before:.1f} % correct before, "
            f"{100 * after:.1f} % after."
        )


def _in_file_order(found: Trusted, own: dict[str, list[str]], ids: str | None) -> np.ndarray:
    """Which of the texts stands in each row of the file, whose column `ids` has their ids."""
    count = len(next(iter(own.values())))
    position = {name: at for at, name in enumerate(found.texts.ids)}
    wanted = [str(row) for row in range(count)] if ids is None else own[ids]
    if len(position) != count or any(name not in position for name in wanted):
        raise UsageError(f"{len(position)} of the {count} rows have labels to clean: name labels of all with --llms")
    return np.array([position[name] for name in wanted])


def _why(found: Trusted, row: int, cleaned: np.ndarray) -> str:
    """The reason for a change in words; empty where the label stays."""
    trust, new, old = found.trust, cleaned[row], found.trust.labels[row]
    if new == old:
        return ""
    believed = trust.believed if found.ensemble else trust.belief
    belief = f"belief {believed[row, new]:.2f}"
    if old < 0:
        return f"no answer; {belief}"
    agree = trust.labellers_agree[row]
    asked = "labellers" if found.ensemble else "other labellers"
    others = "" if np.isnan(agree) else f"; {100 * agree:.0f} % of {asked} gave the given label"
    return f"{belief} against {believed[row, old]:.2f} in the given label{others}"
