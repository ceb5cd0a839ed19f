"""Estimates of the noise rate without gold, beside the truth, for every source; and how each answers added noise.

python -m benchmarks.noise_rate [--data-dir DIR] [--encoder minilm:frozen] [--results DIR] [--tasks …] [--noise …]

`bench run` gives the probe (noise_rate_probe.py) its sources and keeps the true rate in the records; the probe never
sees it. Noise that is predictable from the text deceives an estimator before and after alike: consistency does not
find that out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.core.errors import UsageError
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.running.runner import run
from bench.store.records import Record, read_records

PROBE = Path(__file__).with_name("noise_rate_probe.py")


def main() -> None:
    """Run the probe over the sources asked for and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in {
        "tasks": "trec", "noise": None, "llms": None, "prompting": None, "encoder": "minilm:frozen", "seeds": "1",
        "data_dir": None, "limit": None, "epochs": None, "precision": None, "results": None,
    }.items():  # fmt: skip
        parser.add_argument("--" + option.replace("_", "-"), default=default)
    asked = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    asked.setdefault("results", tempfile.mkdtemp())
    console = Console(width=160)
    try:
        run(plan(load_options(asked | {"methods": str(PROBE)})), lambda event: None)
    except UsageError as error:
        raise SystemExit(str(error)) from None
    records = [r for r in read_records(Path(asked["results"])) if isinstance(r, Record) and r.status == "done"]
    for title in ("estimates", "consistency"):
        first = records[0].diagnostics[title]
        table = Table("source", "true", *first, title=title)
        errors = []
        for record in records:
            found, true = record.diagnostics[title], record.noise.rate_train
            errors.append([abs(v - true) if title == "estimates" else v for v in found.values()])
            source = f"{record.key.task} {record.key.noise} {record.key.seed}"
            table.add_row(source, f"{true:.3f}", *(f"{v:.3f}" for v in found.values()))
        table.add_row("mean absolute error", "", *(f"{v:.3f}" for v in np.mean(errors, axis=0)))
        console.print(table)


if __name__ == "__main__":
    main()
