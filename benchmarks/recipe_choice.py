"""Choose the learning rate of an encoder's recipe by accuracy on noisy validation labels: no gold, no test texts.

    python -m benchmarks.recipe_choice --encoder mpnet:top4 --results FOLDER [--rates 1e-4,2e-4]
                                       [--tasks semeval] [--data-dir DIR] [--out FILE.csv]

Plain training only, five epochs, batches of 32; the label sets are fixed here. Writes a row per rate: the mean
over seeds for each label set, in percent, and the mean of these, the best first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bench
from benchmarks.noisy_choice import noisy_valid, write_choice

LABEL_SETS = (("fomc", "gpt-4", None), ("phrasebank", "gpt-4", 800), ("semeval", "mixtral", 800))
"""Task, labeller, and how many training texts are used (None: all)."""


def main() -> None:
    """Run every rate and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--rates", default="2e-5,5e-5,1e-4,2e-4")
    parser.add_argument("--tasks", default=",".join(task for task, *_ in LABEL_SETS), help="of the label sets")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--data-dir")
    parser.add_argument("--results", required=True)
    parser.add_argument("--out", type=Path)
    asked = vars(parser.parse_args())
    out, rates = asked.pop("out"), [float(rate) for rate in asked.pop("rates").split(",")]
    tasks = asked.pop("tasks").split(",")
    rows = []
    for task, llm, limit in (chosen for chosen in LABEL_SETS if chosen[0] in tasks):
        for rate in rates:
            options = asked | {"epochs": 5, "batch_size": 32, "learning_rate": rate, "limit": limit}
            for cell in bench.open_cells(methods="plain", tasks=task, llms=llm, **options):
                rows.append({"learning rate": f"{rate:g}", "source": f"{task} {llm}", "accuracy": noisy_valid(cell)})
                print(rows[-1], flush=True)
    write_choice(rows, "learning rate", out)


if __name__ == "__main__":
    main()
