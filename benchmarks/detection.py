"""How well the wrong ones among real LLM labels are found: `bench trust` against cleanlab's self-confidence.

    python -m benchmarks.detection --data-dir ../shared/data [--out results/reference/detection] [--stages DIR]

Train texts of the label sets of `benchmarks.llm_axis`, MiniLM, one seed of the folds; average precision as a multiple
of chance, which is the share of wrong labels. The ranking was chosen among others on the tasks of `CHOSEN_ON` alone,
and computed once on the other ones afterwards.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from bench.core.seeds import named_generator
from bench.data.load import load_task
from bench.data.readers.splits import first_of_equals
from bench.noise.label_sets import find_label_sets, read_labels
from bench.noise.votes import majority_vote
from bench.running.trust import opinions
from bench.store.trust import combined, detection
from bench.training.encoders import load_encoder
from bench.training.stages import StageStore
from benchmarks.llm_axis import CHOSEN
from llm_labels.anatomy import on_train
from methods import shared

CHOSEN_ON = ("fomc", "semeval", "cfpb", "scicite")
DRAWS = 200


def rows_of(name: str, data_dir: Path | None, store: StageStore) -> tuple[list[dict], list[dict]]:
    """A row per label set of a task, and one per vote of up to three of them: the first three, and the last."""
    from cleanlab.rank import get_label_quality_scores
    from sklearn.metrics import average_precision_score, roc_auc_score

    task = load_task(name, data_dir=data_dir)
    sets = on_train(task, {ref.id: read_labels(ref, task) for ref in find_label_sets(data_dir, name)})
    texts, classes, gold = task.train.texts, len(task.label_names), task.gold.train
    assert gold is not None
    together = first_of_equals(texts)
    x = shared.embed_texts(task.train, load_encoder("minilm:frozen", task.info.max_length), store)

    def believed(labels: np.ndarray) -> dict[str, list[np.ndarray]]:
        return {what: [each] for what, each in opinions(texts, x, labels, classes, name, 1, store).items()}

    by_gold, made = believed(gold), []
    for llm in CHOSEN[name]:
        labels, found = sets[llm], believed(sets[llm])
        others = [each for other, each in sets.items() if other != llm]
        text, both = (combined(labels, found, asked, classes, together) for asked in ([], others))
        known = (labels >= 0) & (gold >= 0)
        wrong = (labels != gold)[known]
        chance = wrong.mean()
        (self_confidence,) = found["sentence embeddings"]
        scores = {
            "cleanlab": 1 - get_label_quality_scores(labels[known], self_confidence[known]),
            "text": text.suspicion[known],
            "with_labellers": both.suspicion[known],
            "trained_on_gold": combined(labels, by_gold, [], classes).suspicion[known],
        }
        times = {what: average_precision_score(wrong, score) / chance for what, score in scores.items()}
        generator = named_generator("detection", name, llm)
        drawn = [generator.integers(0, len(wrong), len(wrong)) for _ in range(DRAWS)]
        gains = [
            average_precision_score(wrong[rows], scores["text"][rows])
            / average_precision_score(wrong[rows], scores["cleanlab"][rows])
            for rows in drawn
        ]
        scored = detection(both.suspicion, both.suggested, labels, gold)
        assert scored is not None
        right = 100 * (1 - chance)
        made.append(
            {"task": name, "labels": llm, "chosen_on": name in CHOSEN_ON, "texts": len(wrong), "noise_rate": chance}
            | {"most": 1 / chance, "auc_trained_on_gold": roc_auc_score(wrong, scores["trained_on_gold"])}
            | times
            | dict(zip(("gain_low", "gain_high"), np.quantile(gains, [0.025, 0.975]), strict=True))
            | {"first_50": scored.first_50, "other_labellers": len(others)}
            | {"cleaned_text": 100 * (text.cleaned == gold)[known].mean() - right}
            | {"cleaned_with_labellers": 100 * (both.cleaned == gold)[known].mean() - right}
        )
    votes = []
    for members in dict.fromkeys((CHOSEN[name][:3], CHOSEN[name][-3:])):
        answers = np.stack([sets[member] for member in members])
        labels = majority_vote(answers.T, classes, named_generator("detection", name, *members), "drop")
        if len(members) > 1 and (labels >= 0).all():
            cleaned = combined(labels, believed(labels), list(answers), classes, together).cleaned_vote
            right, after = (100 * (each == gold)[gold >= 0].mean() for each in (labels, cleaned))
            changed = 100 * (cleaned != labels).mean()
            votes.append({"task": name, "vote": ", ".join(members), "right": right, "changed": changed})
            votes[-1]["cleaned"] = after - right
    return made, votes


def main() -> None:
    """Measure, print and write detection.csv and votes.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--tasks", default=",".join(CHOSEN))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--stages", type=Path, help="folder of shared stages to read and keep")
    asked = parser.parse_args()
    store = StageStore(asked.stages)
    found = [rows_of(name, asked.data_dir, store) for name in asked.tasks.split(",")]
    table, votes = (pd.DataFrame([row for rows in each for row in rows]) for each in zip(*found, strict=True))
    print(table.round(2).to_string(), votes.round(2).to_string(), sep="\n")
    by_task = table.drop(columns=["labels"]).groupby("task", sort=False).mean()
    print(by_task.round(2).to_string())
    print(by_task.groupby("chosen_on").mean().round(3).to_string())
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        table.round(4).to_csv(asked.out / "detection.csv", index=False)
        votes.round(4).to_csv(asked.out / "votes.csv", index=False)


if __name__ == "__main__":
    main()
