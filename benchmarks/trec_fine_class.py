"""What the fine class in front of TREC's test texts does to accuracy.

    python -m benchmarks.trec_fine_class --data-dir ../shared/data --results results/trec-fine-class

In the WRENCH export, all 500 test texts begin with the question's fine class ("dist How far is it from Denver to
Aspen ?") and no text of train or valid does. Every network here is trained once and predicts each test text twice, as
it is and without its first word; the table has both accuracies (%) and their difference, ± over seeds.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

import bench
from bench.report.tables.stats import mean_interval
from bench.store.records import read_arrays, read_records
from benchmarks.evidence_table import markdown, shown, signed

METHODS = "plain,oracle,npc,dygen,co-teaching,sidyp,elr"


def twice(source: Path, folder: Path) -> None:
    """Write the task with every test text as it is, then every one without its first word."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("label.json", "train.json", "valid.json"):
        shutil.copy(source / name, folder / name)
    rows = list(json.loads((source / "test.json").read_text()).values())
    bare = [row | {"data": row["data"] | {"text": row["data"]["text"].split(" ", 1)[1]}} for row in rows]
    (folder / "test.json").write_text(json.dumps(dict(enumerate(rows + bare))))


def main() -> None:
    """Run what is left of the grid, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--results", default="results/trec-fine-class")
    parser.add_argument("--encoder", default="minilm:frozen")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--noise", default="weak,sn@0.4")
    parser.add_argument("--seeds", default="1,2,3")
    asked = vars(parser.parse_args())
    results = Path(asked["results"])
    task = results / "task" / "trec-twice"
    twice(Path(asked.pop("data_dir"), "trec"), task)
    bench.run_grid(tasks=str(task), **asked)

    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for record in read_records(results):
        arrays = read_arrays(record.key.path(results))
        right = (arrays["test_last"].argmax(1) == arrays["gold"]).reshape(2, -1).mean(1)
        found.setdefault((record.key.noise, record.key.method), []).append(100 * right)
    rows = []
    for (noise, method), scores in sorted(found.items()):
        as_is, bare = np.array(scores).T
        first, second, change = (mean_interval(list(values)) for values in (as_is, bare, bare - as_is))
        rows.append([noise, method, shown(first), shown(second), signed(change)])
    print("\n".join(markdown(["noise", "method", "as it is", "without the fine class", "difference"], rows)))


if __name__ == "__main__":
    main()
