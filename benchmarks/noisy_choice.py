"""Choose hyper-parameters of a method by its accuracy on noisy validation labels alone: no gold, no test texts.

    python -m benchmarks.noisy_choice "second-opinion[weight=1],second-opinion[weight=2]" --out choice.csv \
        --data-dir ../shared/data --results FOLDER

The three label sets are fixed here. Writes a row per variant: the mean over seeds for each label set, in
percent, and the mean of these, the best first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import bench
from bench.core.selectors import split_list

LABEL_SETS = (("fomc", "gpt-4"), ("cfpb", "gpt-4o"), ("tweets", "smollm2"))
"""Zero-shot."""


def noisy_valid(cell: bench.OpenCell) -> float:
    """Share of the validation texts with an answer whose noisy label the last step predicts, in percent."""
    *_, last = cell.predictions()
    given = cell.task.valid_labels
    return 100 * float((last.valid.argmax(axis=1) == given)[given >= 0].mean())


def write_choice(rows: list[dict], chosen: str, out: Path | None) -> None:
    """Print, and write as CSV, what each value of the column `chosen` reaches by source and on average, best first."""
    table = pd.DataFrame(rows).pivot_table(index=chosen, columns="source", values="accuracy")
    table["mean"] = table.mean(axis=1)
    table = table.sort_values("mean", ascending=False)
    if out:
        table.to_csv(out, float_format="%.2f")
    print(table.round(2).to_string())


def main() -> None:
    """Run every variant and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--encoder", default="minilm:frozen")
    parser.add_argument("--data-dir")
    parser.add_argument("--results", required=True)
    asked = vars(parser.parse_args())
    out, variants = asked.pop("out"), split_list(asked.pop("methods"))
    rows = []
    for task, llm in LABEL_SETS:
        for variant in variants:
            for cell in bench.open_cells(methods=variant, tasks=task, llms=llm, prompting="zero", **asked):
                rows.append({"variant": variant, "source": f"{task} {llm}", "accuracy": noisy_valid(cell)})
    write_choice(rows, "variant", out)


if __name__ == "__main__":
    main()
