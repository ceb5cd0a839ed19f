"""`bench predict`: the labels of new texts by an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.shell import app, err, friendly, other_than, say


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
    from bench.core.spreadsheet import write_csv
    from bench.data.readers.columns import first_of, texts_of
    from bench.data.readers.raw import refuse_half_pair
    from bench.data.readers.tables import read_table
    from bench.running.exported import load_exported

    other_than(texts, out)
    table = read_table(texts)
    found = texts_of(table, text_column)
    ids = first_of(table.columns, ("id",), str(texts))
    for row, text in enumerate(found, 1):
        refuse_half_pair(str(texts), row, text)
    loaded = load_exported(model, encoder)
    with err.status(f"predicting {len(found)} texts"):
        probabilities = loaded.predict(found)
    best = probabilities.argmax(1)
    columns = {"row": range(1, len(found) + 1)} | ({} if ids is None else {"id": table.columns[ids]})
    columns |= {"text": found, "label": [loaded.label_names[at] for at in best]}
    columns |= {"probability": [f"{value:.4f}" for value in probabilities.max(1)]}
    write_csv(out, columns)
    say(f"wrote {len(found)} labels to {out}")
