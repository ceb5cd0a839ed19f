"""`bench predict`: the labels of new texts by an exported model."""

from __future__ import annotations

from itertools import compress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from typer import Argument, Option

from bench.cli.shell import app, err, file_for, friendly, say
from bench.core.texts import plural

SHOWN = 10
"""Rows without a text that the terminal names."""


@app.command()
@friendly
def predict(
    model: Annotated[Path, Argument(metavar="MODEL", help="a folder that `bench export` wrote")],
    texts: Annotated[Path, Argument(metavar="TABLE", help="CSV, TSV, JSONL, JSON, Parquet or Excel file")],
    out: Annotated[Path | None, Option("--out", help="CSV file to write (default: TABLE-predictions.csv)")] = None,
    text_column: Annotated[str | None, Option(help="column with the texts (default text)")] = None,
    encoder: Annotated[str | None, Option(help="where the frozen encoder is now: name or folder")] = None,
) -> None:
    """Label new texts with an exported model: writes row, id, text, label and its probability, in the table's order.

    Rows count from 1, as in messages about a table. A row without a text gets no label.
    """
    from bench.core.spreadsheet import write_csv
    from bench.data.readers.columns import first_of, texts_of
    from bench.data.readers.raw import is_missing, refuse_half_pair
    from bench.data.readers.tables import ending, read_table
    from bench.running.exported import load_exported

    out = out or texts.with_name(f"{texts.name.removesuffix(ending(texts))}-predictions.csv")
    file_for(out, texts)
    table = read_table(texts)
    found = texts_of(table, text_column)
    ids = first_of(table.columns, ("id",), str(texts))
    for row, text in enumerate(found, 1):
        refuse_half_pair(str(texts), row, text)
    loaded = load_exported(model, encoder)
    there = [not is_missing(text) for text in found]
    with err.status(f"predicting {sum(there)} texts"):
        probabilities = loaded.predict(list(compress(found, there)))
    columns: dict[str, Any] = {"row": range(1, len(found) + 1)} | ({} if ids is None else {"id": table.columns[ids]})
    columns |= {"text": found, "label": [""] * len(found), "probability": [""] * len(found)}
    for at, best, value in zip(np.flatnonzero(there), probabilities.argmax(1), probabilities.max(1), strict=True):
        columns["label"][at], columns["probability"][at] = loaded.label_names[best], f"{value:.4f}"
    write_csv(out, columns)
    say(f"wrote {plural(sum(there), 'label')} to {out}")
    if missing := [str(row) for row, known in enumerate(there, 1) if not known]:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        say(f"{plural(len(missing), 'row')} without a text and so without a label: {', '.join(missing[:SHOWN])}{more}")
