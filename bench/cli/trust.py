"""`bench trust`: training labels from the most suspicious on, for a person to look at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Context, Option

from bench.cli.options import grid_options, typed
from bench.cli.shell import app, err, file_for, friendly, plain, say
from bench.cli.show import find_record
from bench.core.errors import UsageError
from bench.core.texts import plural
from bench.store.intervals import FEWEST

if TYPE_CHECKING:
    from bench.running.trust import Trusted
    from bench.store.records import Record
    from bench.store.trust import Detection

TABLE = (
    "llms", "prompting", "data_dir", "text_column", "gold_column", "label_columns", "no_answer", "limit", "seeds",
    "results", "stages",
)  # fmt: skip
"""Options of a grid that say how a table is read, which labels are meant, and how often folds are drawn."""
HASH = re.compile(r"[0-9a-f]{4,64}")  # the beginning of one
Encoder = Annotated[str, Option(help="model for sentence embeddings: minilm, Hugging Face name or folder")]


@app.command()
@friendly
@grid_options(only=TABLE)
def trust(
    given: dict[str, Any],
    context: Context,
    what: Annotated[
        list[str], Argument(metavar="CELLS|TABLE", help="cells (hashes, records or a folder of records), or a table")
    ],
    out: Annotated[Path, Option("--out", help="CSV file to write; without an id column, id counts rows from 0")],
    encoder: Encoder = "minilm",
) -> None:
    """Rank labels by suspicion: one row per text with its suspicion in [0, 1], a suggested label, and who agrees.

    For cells, suspicion comes from what their methods believe; for a table, from cross-fitted classifiers and the
    other labellers' columns. Gold, where known, is used only to score the result.
    """
    from bench.core.spreadsheet import write_csv

    for table in map(Path, what):
        file_for(out, table)
    found = _of_cells(what, given, context) or believed(what, given, encoder)
    write_csv(out, found.columns())
    say(f"{found.task}, {found.labeller}: {len(found.texts)} texts, most suspicious labels first, in {out}")
    say(f"methods asked: {', '.join(found.methods)}; other labellers: {', '.join(found.others) or 'none'}", dim=True)
    doubt(found)
    score = found.scored()
    if score is None:
        return
    if score.rows < FEWEST:
        known = plural(score.rows, "label")
        say(f"Gold is known for only {known} with an answer: scoring the ranking takes {FEWEST}.", dim=True)
        return
    times, most = score.average_precision / score.chance, 1 / score.chance
    rows = (
        f"{score.rows} labels" if score.rows == len(found.texts) else f"the {score.rows} labels with gold and an answer"
    )
    first = [f"the first {k}: {100 * share:.0f} %" for k, share in _first(score).items()]
    say(
        f"Compared with gold: {score.errors} of {rows} are wrong. The ranking has an average precision of "
        f"{score.average_precision:.3f}, {times:.2f} times chance ({score.chance:.3f}; at most {most:.2f} times is "
        f"possible). Share of wrong labels among {', '.join(first)}. The first tenth of these rows holds "
        f"{100 * score.found_in_tenth:.0f} % of all wrong labels. The suggestion is right for "
        f"{100 * score.corrected:.0f} % of the wrong labels."
    )


def doubt(found: Trusted) -> None:
    """Say so where the classifiers know nothing of labels, or no more of all than the most frequent one would."""
    if lone := int(found.trust.lone.sum()):
        say(f"Labels that are the only one of their class, which no classifier could therefore learn: {lone}", dim=True)
    hits, usual = found.trust.foreseen
    if hits <= usual:
        say(
            f"Careful: the methods predict {100 * hits:.0f} % of these labels correctly, and always guessing the most "
            f"frequent one would get {100 * usual:.0f} %. They learned little from the texts, so their doubts and "
            "suggestions mean little."
        )


def _first(score: Detection) -> dict[int, float]:
    """The precision among the first k, at most half of the rows, and among as many as there are errors."""
    found = {k: share for k, share in ((50, score.first_50), (100, score.first_100)) if 2 * k <= score.rows}
    return found | {score.errors: score.first_errors}


def believed(what: list[str], given: dict[str, Any], encoder: str) -> Trusted:
    """The beliefs about the labels of a table; how it was read is said. Raises UsageError."""
    from bench.grid.options import load_options
    from bench.running.trust import trust_task

    if len(what) > 1:
        raise UsageError(f"'{what[0]}' and {len(what) - 1} more: name cells, or one table")
    options = load_options({**given, "tasks": what})
    with err.status("reading") as status:
        found = trust_task(options, encoder, lambda text: status.update(plain(text)))
    for note in found.notes:
        say(f"{found.task}: {note}", dim=True, to=err)
    return found


def _of_cells(what: list[str], given: dict[str, Any], context: Context) -> Trusted | None:
    """The beliefs of cells; None where no cells are named. Raises UsageError."""
    from bench.running.trust import trust_cells

    cells = _records(what, Path(given["results"] or "results"))
    if not cells:
        return None
    for name in sorted(typed(context, (*TABLE, "encoder")) - {"results"}):  # a variable is for every command
        flag = f"--{'no-' if given.get(name) is False else ''}{name.replace('_', '-')}"
        raise UsageError(f"{flag} applies to tables, not to cells: leave it out")
    folders = {folder for folder, _ in cells}
    if len(folders) > 1:
        raise UsageError(f"these cells are in {len(folders)} results folders: name cells of one folder")
    return trust_cells([record for _, record in cells], folders.pop())


def _records(what: list[str], results: Path) -> list[tuple[Path, Record]]:
    """Results folders and records that words name; none where they do not name cells. Raises UsageError.

    Of a folder those with an opinion; what is left out is said.
    """
    from bench.data.readers.tables import FORMATS, ending
    from bench.data.tasks import known
    from bench.running.trust import with_opinions
    from bench.store.folder import ResultsFolder

    def is_hash(word: str) -> bool:  # `babe` is a task
        return HASH.fullmatch(word) is not None and not Path(word).exists() and word not in known()

    def is_table(path: Path) -> bool:  # also one in a folder that is called cells
        record = path.suffix == ".json" and ResultsFolder.of(path) is not None
        return not record and ending(path) in FORMATS and path.is_file()

    found: list[tuple[Path, Record]] = []
    tables = 0
    for word in what:
        path = Path(word)
        above = next((each for each in (path, *path.parents) if each.name == "cells"), None)
        every = [] if above is None or path.suffix == ".json" else ResultsFolder(above.parent).record_paths()
        inside = [each for each in every if each.is_relative_to(path)]
        if is_table(path) or (not inside and path.is_dir() and any(map(is_table, path.iterdir()))):
            tables += 1
        elif above is not None and path.suffix != ".json":
            if not inside:
                raise UsageError(f"no records in '{word}'")
            kept, left_out = with_opinions(inside, above.parent)
            for why in left_out:
                say(f"left out: {why}", dim=True, to=err)
            if not kept:
                raise UsageError(
                    f"no cell in '{word}' is done and holds beliefs about its labels: name others, or a table"
                )
            found += [(above.parent, record) for record in kept]
        elif above is not None or is_hash(word):
            at, record = find_record(word, results)
            found.append((next((each.parent for each in at.parents if each.name == "cells"), results), record))
        else:
            tables += 1
    if found and tables:
        raise UsageError("cells and tables cannot be mixed: name cells, or one table")
    return found
