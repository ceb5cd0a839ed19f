"""Which property of the noise foretells which method helps? From the records of `benchmarks.llm_axis`.

    python -m benchmarks.noise_properties --data-dir ../shared/data --results results/llm-axis --out DIR

Per label set, on its training texts: noise rate; predictability (cross-fitted AUC of "is this label wrong?" from the
MiniLM embeddings); asymmetry (share of labels that would have to change for the noise to be symmetric); ln classes;
strength (how often the LLM is right on its other chosen tasks, else on this one). Per method: gain over plain in
points, mean over seeds, by both rules. Reported per method and property: the slope of the gain in points per standard
deviation of the property, alone, with a 95 % interval from resampling tasks; and for all properties together how much
of the variation between the sets of a task that was left out is foretold (R² of a ridge regression, leave one task
out; 0 = no better than the mean of the other tasks).

Writes properties.csv, gains.csv, slopes.csv, foretold.csv and slopes.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from bench.core.seeds import named_generator
from bench.data.load import load_task
from bench.store.folder import ResultsFolder
from bench.store.records import Record, read_arrays, read_records
from bench.training.encoders import load_encoder
from bench.training.stages import StageStore
from llm_labels.anatomy import predictability
from llm_labels.statistics import symmetric_departure
from methods.shared import embed_texts

PROPERTIES = ("noise_rate", "predictability", "asymmetry", "log_classes", "strength")
RULES = ("last", "noisy_valid")
DRAWS = 2000
RIDGE = 1.0


def main() -> None:
    """Write the four tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    records = [r for r in read_records(asked.results) if isinstance(r, Record) and r.status == "done"]
    gains = gains_of(records)
    properties = properties_of(records, asked.data_dir, asked.results)
    table = gains.merge(properties, on=["task", "noise"])
    slopes = slopes_of(table)
    foretold = pd.DataFrame(
        {"method": method, "rule": rule, "sets": len(part), "r2_left_out_task": foretold_share(part)}
        for (method, rule), part in table.groupby(["method", "rule"])
    )
    for name, frame in (("properties", properties), ("gains", gains), ("slopes", slopes), ("foretold", foretold)):
        frame.round(4).to_csv(asked.out / f"{name}.csv", index=False)
    draw(slopes, asked.out / "slopes.png")
    print(properties.round(3).to_string(index=False))
    print(slopes[slopes["sure"]].round(2).to_string(index=False))
    print(foretold.round(2).to_string(index=False))


def gains_of(records: list[Record]) -> pd.DataFrame:
    """Gain over plain in points, mean over the seeds that both have: a row per task, noise, method and rule."""
    rows = pd.DataFrame(
        {
            "task": record.key.task,
            "noise": record.key.noise,
            "method": record.key.method,
            "seed": record.key.seed,
            **{rule: 100 * record.scores[rule].accuracy for rule in RULES},
        }
        for record in records
    )
    long = rows.melt(["task", "noise", "method", "seed"], list(RULES), "rule", "accuracy")
    plain = long[long["method"] == "plain"].drop(columns="method")
    both = long.merge(plain, on=["task", "noise", "seed", "rule"], suffixes=("", "_plain"))
    both["gain"] = both["accuracy"] - both["accuracy_plain"]
    found = both[both["method"] != "plain"].groupby(["task", "noise", "method", "rule"], as_index=False)
    return found.agg(gain=("gain", "mean"), seeds=("seed", "nunique"))


def properties_of(records: list[Record], data_dir: Path | None, results: Path) -> pd.DataFrame:
    """The properties of each label set that was trained on."""
    encoder, store = load_encoder("minilm:frozen", 128), StageStore(ResultsFolder(results).stages)
    first = {(r.key.task, r.key.noise): r for r in records if r.key.method == "plain"}
    features, rows = {}, []
    for (task, noise), record in sorted(first.items()):
        if task not in features:
            features[task] = embed_texts(load_task(task, data_dir=data_dir).train, encoder, store)
        arrays = read_arrays(record.key.path(results), "train_labels", "train_gold")
        labels, gold = arrays["train_labels"].astype(np.int64), arrays["train_gold"].astype(np.int64)
        known = (labels >= 0) & (gold >= 0)
        classes = int(max(gold.max(), labels.max())) + 1
        draws = named_generator("noise-properties", task, noise)
        auc = predictability(features[task], gold, labels, f"{task} {noise}")
        rows.append(
            {
                "task": task,
                "noise": noise,
                "llm": noise.partition("/")[0],
                "classes": classes,
                "texts": len(gold),
                "noise_rate": float((labels != gold)[known].mean()),
                "predictability": auc.value,
                "predictability_low": auc.low,
                "predictability_high": auc.high,
                "asymmetry": symmetric_departure(gold[known], labels[known], classes, draws, draws=199).size,
                "log_classes": float(np.log(classes)),
            }
        )
    found = pd.DataFrame(rows)
    right = 1 - found["noise_rate"]
    sets = zip(found["llm"], found["task"], strict=True)
    others = [right[(found["llm"] == llm) & (found["task"] != task)].mean() for llm, task in sets]
    found["strength"] = np.where(np.isnan(others), right, others)
    return found


def slopes_of(table: pd.DataFrame) -> pd.DataFrame:
    """Points of gain per standard deviation of each property alone, with intervals from resampled tasks."""
    rows = []
    for (method, rule), part in table.groupby(["method", "rule"]):
        draws = named_generator("slopes", method, rule)
        tasks = [part.index[part["task"] == task].to_numpy() for task in sorted(set(part["task"]))]
        samples = [np.concatenate([tasks[i] for i in draws.integers(0, len(tasks), len(tasks))]) for _ in range(DRAWS)]
        for name in PROPERTIES:
            used = part.dropna(subset=[name])
            x = (used[name] - used[name].mean()) / used[name].std()
            drawn = [slope(x.reindex(rows).dropna(), used["gain"].reindex(rows).dropna()) for rows in samples]
            low, high = np.nanpercentile(drawn, [2.5, 97.5])
            rows.append(
                {
                    "method": method,
                    "rule": rule,
                    "property": name,
                    "slope": slope(x, used["gain"]),
                    "low": low,
                    "high": high,
                }
            )
    found = pd.DataFrame(rows)
    found["sure"] = (found["low"] > 0) | (found["high"] < 0)
    return found


def slope(x: pd.Series, y: pd.Series) -> float:
    """Of least squares; NaN where x does not vary."""
    centred = x.to_numpy() - x.mean()
    return float(centred @ y.to_numpy() / (centred @ centred)) if centred @ centred > 1e-9 else float("nan")


def foretold_share(part: pd.DataFrame) -> float:
    """R² over the sets of left-out tasks: of a ridge regression on all properties, against the others' mean."""
    part = part.dropna(subset=list(PROPERTIES))
    model_error = mean_error = 0.0
    for task in sorted(set(part["task"])):
        seen, left = part[part["task"] != task], part[part["task"] == task]
        centre, scale = seen[list(PROPERTIES)].mean(), seen[list(PROPERTIES)].std() + 1e-9
        x, mean = ((seen[list(PROPERTIES)] - centre) / scale).to_numpy(), seen["gain"].mean()
        weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (seen["gain"] - mean))
        guess = mean + ((left[list(PROPERTIES)] - centre) / scale).to_numpy() @ weights
        model_error += float(((left["gain"] - guess) ** 2).sum())
        mean_error += float(((left["gain"] - mean) ** 2).sum())
    return 1 - model_error / mean_error if mean_error else float("nan")


def draw(slopes: pd.DataFrame, path: Path) -> None:
    """Slopes of the last-step gains: methods down, properties across, sure ones filled."""
    import matplotlib.pyplot as plt

    part = slopes[slopes["rule"] == "noisy_valid"]
    methods = sorted(set(part["method"]) - {"oracle"})
    figure, axes = plt.subplots(1, len(PROPERTIES), figsize=(13, 4.5), sharey=True, layout="constrained")
    for axis, name in zip(axes, PROPERTIES, strict=True):
        own = part[part["property"] == name].set_index("method").loc[methods]
        at = np.arange(len(methods))
        axis.hlines(at, own["low"], own["high"], color="#888")
        axis.scatter(own["slope"], at, c=np.where(own["sure"], "#0072b2", "white"), edgecolors="#0072b2", zorder=3)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set(title=name.replace("_", " ").replace("log classes", "ln classes"), xlabel="points of gain per s.d.")
    axes[0].set_yticks(np.arange(len(methods)), methods)
    figure.savefig(path, dpi=160)


if __name__ == "__main__":
    main()
