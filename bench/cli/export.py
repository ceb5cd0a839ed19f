"""`bench export`: the model of a cell as a folder to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.options import Results
from bench.cli.shell import app, err, friendly, say
from bench.cli.show import find_record
from bench.core.texts import plural


@app.command()
@friendly
def export(
    cell: Annotated[str, Argument(metavar="CELL", help="the beginning of a cell's hash, or the path of its record")],
    out: Annotated[Path, Option("--out", help="new folder for the model")],
    results: Results = None,
) -> None:
    """Train a cell once more and write its model to a folder that `bench predict` and `bench.load_exported` use.

    A model fine-tuned on [CLS] (BERT, RoBERTa, MPNet) can also be loaded by the pipeline of transformers.
    """
    from bench.running.export import export as exported
    from bench.running.export import refuse_export
    from bench.store.folder import ResultsFolder

    path, record = find_record(cell, results or Path("results"))
    refuse_export(record, out)
    folder = ResultsFolder.of(path)
    with err.status(f"training cell {record.hash[:12]} once more"):
        done = exported(record, folder.path if folder else results or Path("results"), out)
    if done.differing:
        say(
            f"Trained again here, {done.differing} of {done.texts} test texts have probabilities that differ from the "
            f"record (by up to {done.largest:.2g}), and {done.changed} another predicted class."
        )
    else:
        say(f"Trained again here, all {done.texts} test predictions equal those of the record, bit for bit.")
    said = {
        "transformers": "a text-classification model for transformers",
        "networks": plural(done.facts.networks, "fine-tuned network"),
        "heads": f"{plural(done.facts.networks, 'head')} on the frozen encoder {done.facts.encoder}",
    }
    say(f"{done.folder}: {said[done.facts.kind]}, loaded back and compared. Its README.md says how to use it.")
