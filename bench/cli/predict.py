"""`bench predict`: the labels of new texts by an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.shell import app, err, friendly, say


@app.command()
@friendly
def predict(
    model: Annotated[Path, Argument(help="a folder that `bench export` wrote")],
    texts: Annotated[Path, Argument(metavar="TABLE", help="CSV, TSV, JSONL, JSON, Parquet or Excel file")],
    out: Annotated[Path, Option("--out", help="CSV file to write")],
    text_column: Annotated[str | None, Option(help="column with the texts (default text)")] = None,
    encoder: Annotated[str | None, Option(help="where the frozen encoder lies now: name or folder")] = None,
) -> None:
    """Label new texts with an exported model: row, id, text, label and its probability, rows in their order."""
    from bench.core.errors import UsageError
    from bench.core.files import write_atomically
    from bench.core.spreadsheet import csv_bytes
    from bench.data.readers.columns import texts_of
    from bench.data.readers.tables import read_table
    from bench.running.exported import load_exported

    if out.exists() and texts.exists() and out.samefile(texts):
        raise UsageError(f"--out '{out}' is the file of the texts: name another")
    table = read_table(texts)
    found = texts_of(table, text_column)
    loaded = load_exported(model, encoder)
    with err.status(f"predicting {len(found)} texts"):
        probabilities = loaded.predict(found)
    best = probabilities.argmax(1)
    columns = {"row": range(1, len(found) + 1)} | ({"id": table.columns["id"]} if "id" in table.columns else {})
    columns |= {"text": found, "label": [loaded.label_names[at] for at in best]}
    columns |= {"probability": [f"{value:.4f}" for value in probabilities.max(1)]}
    write_atomically(out, csv_bytes(columns))
    say(f"wrote {len(found)} labels to {out}")
