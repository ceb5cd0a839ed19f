"""`bench export`: the model of a cell as a folder to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.options import Results
from bench.cli.shell import app, err, friendly, say
from bench.cli.show import find_record


@app.command()
@friendly
def export(
    cell: Annotated[str, Argument(help="the beginning of a cell's hash, or the path of its record")],
    out: Annotated[Path, Option("--out", help="new folder for the model")],
    results: Results = None,
) -> None:
    """The model of a cell, trained once more, as a folder that `bench predict` and `bench.load_exported` use.

    Fine-tuned on [CLS] (BERT, RoBERTa, MPNet), it is a model that transformers' pipeline loads.
    """
    from bench.running.export import export as exported
    from bench.running.export import refuse_export

    path, record = find_record(cell, results or Path("results"))
    refuse_export(record, out)
    folder = next((above.parent for above in path.parents if above.name == "cells"), results or Path("results"))
    with err.status(f"training cell {record.hash[:12]} once more"):
        done = exported(record, folder, out)
    if done.differing:
        say(
            f"Trained again here, {done.differing} of {done.texts} test texts have other probabilities than in the "
            f"record (by up to {done.largest:.2g}), and {done.changed} another class."
        )
    else:
        say(f"Trained again here, all {done.texts} test predictions are those of the record, bit for bit.")
    said = {
        "transformers": "a text-classification model of transformers",
        "networks": f"{done.facts.networks} fine-tuned network(s)",
        "heads": f"{done.facts.networks} head(s) on the frozen encoder {done.facts.encoder}",
    }
    say(f"{done.folder}: {said[done.facts.kind]}, loaded again and compared. README.md says how to use it.")
