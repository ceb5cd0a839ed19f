"""From a record back to its cell: the data, encoder and method that made it, found by its command line."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import UsageError
from bench.core.selectors import shell_words
from bench.grid.cells import Cell, plan
from bench.grid.options import GridOptions, load_options
from bench.store.records import Record


def options_of(record: Record, results: Path) -> GridOptions:
    """The options of a record's command line, as it was given. Raises UsageError where it cannot be read."""
    try:
        words = shell_words(record.command)
        names = [word.removeprefix("--").replace("-", "_") for word in words[2::2]]
        given = dict(zip(names, words[3::2], strict=True))
    except ValueError:
        raise UsageError(f"the command of cell {record.hash[:12]} cannot be read: {record.command!r}") from None
    given |= {"precision": record.key.recipe["precision"]}
    return load_options({**given, "results": results})


def cell_of(record: Record, results: Path) -> Cell:
    """The cell that a record is of, ready to be trained again.

    Paths in its command are relative to the present folder. Raises UsageError where data, encoder or code have changed
    since, and whatever planning raises.
    """
    cells = plan(options_of(record, results)).cells
    found = next((cell for cell in cells if cell.key.hash == record.hash), None)
    if found is None:
        parts = [name for name, value in cells[0].key if value != getattr(record.key, name)]
        raise UsageError(
            f"cell {record.hash[:12]} cannot be reproduced: {' and '.join(parts)} changed since it ran; run it again "
            f"with `{record.command}` and name the new cell"
        )
    return found
