"""Which property of the noise foretells which method helps? From the records of `benchmarks.llm_axis`.

    python -m benchmarks.noise_properties --data-dir ../shared/data --results results/llm-axis --out DIR

Per label set, on its training texts: noise rate; predictability (cross-fitted AUC of "is this label wrong?" from the
MiniLM embeddings); asymmetry (share of labels that would have to change for the noise to be symmetric); ln classes;
strength (how often the LLM is right on its other chosen tasks, else on this one). Per method: gain over plain in
points, mean over seeds, by both rules. Reported per method and property: the slope of the gain in points per standard
deviation of the property, alone, with a 95 % interval from resampling tasks; and for all properties together how much
of the variation between the sets of a task that was left out is foretold (R² of a ridge regression, leave one task
out; 0 = no better than the mean of the other tasks).

Writes properties.csv, gains.csv, averages.csv (means over tasks, with t-intervals over tasks), slopes.csv,
foretold.csv, slopes.png and gains.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import bench
from bench.core.seeds import named_generator
from bench.data.load import load_task
from bench.report.tables.model import number
from bench.report.tables.stats import mean_interval
from bench.store.folder import ResultsFolder
from bench.store.records import read_arrays
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
    parser.add_argument("--encoder", default="mpnet:frozen", help="whose cells are read")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    cells = bench.load_results(asked.results).cells.query("status == 'done' and human_labels.isna()")
    cells = cells[cells["encoder"] == asked.encoder].drop(columns="method")
    gains = gains_of(cells)
    properties = properties_of(cells, asked.data_dir, asked.results)
    table = gains.merge(properties, on=["task", "noise"])
    slopes = slopes_of(table)
    foretold = pd.DataFrame(
        {"method": method, "rule": rule, "sets": len(part), "r2_left_out_task": foretold_share(part)}
        for (method, rule), part in table.groupby(["method", "rule"])
    )
    averages = averages_of(gains)
    tables = {"properties": properties, "gains": gains, "averages": averages, "slopes": slopes, "foretold": foretold}
    for name, frame in tables.items():
        frame.round(4).to_csv(asked.out / f"{name}.csv", index=False)
    draw(slopes, asked.out / "slopes.png")
    draw_gains(gains, properties, asked.out / "gains.png")
    print(properties.round(3).to_string(index=False))
    print(averages.round(2).to_string(index=False))
    print(slopes[slopes["sure"]].round(2).to_string(index=False))
    print(foretold.round(2).to_string(index=False))


def gains_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Gain over plain in points, mean over the seeds that both have: a row per task, noise, method and rule."""
    rows = cells.rename(columns={"method_label": "method"} | {f"accuracy_{rule}": rule for rule in RULES})
    rows[list(RULES)] *= 100
    long = rows.melt(["task", "noise", "method", "seed"], list(RULES), "rule", "accuracy")
    plain = long[long["method"] == "plain"].drop(columns="method")
    both = long.merge(plain, on=["task", "noise", "seed", "rule"], suffixes=("", "_plain"))
    both["gain"] = both["accuracy"] - both["accuracy_plain"]
    found = both[both["method"] != "plain"].groupby(["task", "noise", "method", "rule"], as_index=False)
    return found.agg(gain=("gain", "mean"), seeds=("seed", "nunique"))


def averages_of(gains: pd.DataFrame) -> pd.DataFrame:
    """Mean gain over tasks (of the mean over a task's sets), with the 95 % t-interval over tasks."""
    by_task = gains.groupby(["method", "rule", "task"])["gain"].mean()
    rows = [
        {"method": method, "rule": rule, **mean_interval(list(part))._asdict()}
        for (method, rule), part in by_task.groupby(level=["method", "rule"])
    ]
    return pd.DataFrame(rows).rename(columns={"n": "tasks"}).sort_values(["rule", "mean"], ascending=[True, False])


def properties_of(cells: pd.DataFrame, data_dir: Path | None, results: Path) -> pd.DataFrame:
    """The properties of each label set that was trained on."""
    encoder, store = load_encoder("minilm:frozen", 128), StageStore(ResultsFolder(results).stages)
    first = cells[cells["method_label"] == "plain"].groupby(["task", "noise"])["record"].first()
    features, rows = {}, []
    for (task, noise), record in first.items():
        if task not in features:
            features[task] = embed_texts(load_task(task, data_dir=data_dir).train, encoder, store)
        arrays = read_arrays(results / record, "train_labels", "train_gold")
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


def draw_gains(gains: pd.DataFrame, properties: pd.DataFrame, path: Path) -> None:
    """Gain over plain by the step chosen on noisy validation labels: label sets down, methods across, means below."""
    import matplotlib.pyplot as plt

    part = gains[gains["rule"] == "noisy_valid"]
    table = part.pivot_table(index=["task", "noise"], columns="method", values="gain")
    means = table.groupby(level="task").mean().mean().sort_values(ascending=False)
    methods = [name for name in means.index if name not in ("oracle", "plain+ts")] + ["oracle"]
    rates = properties.set_index(["task", "noise"])["noise_rate"]
    order = sorted(table.index, key=lambda pair: (pair[0], rates[pair]))
    shown = np.vstack([table.loc[order, methods].to_numpy(), means[methods].to_numpy()])
    rows = [f"{task}  {noise.removesuffix('/zero')}  ({100 * rates[task, noise]:.0f} %)" for task, noise in order]
    figure, axis = plt.subplots(figsize=(10.5, 0.31 * len(shown) + 1.6), layout="constrained")
    axis.imshow(shown, cmap="RdBu", vmin=-10, vmax=10, aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        colour = "white" if abs(value) > 7 else "black"
        shown_as = number(value, 1, signed=True)
        axis.text(column, row, shown_as, ha="center", va="center", fontsize=7.5, color=colour)
    axis.axhline(len(rows) - 0.5, color="black", linewidth=1.5)
    axis.axvline(len(methods) - 1.5, color="black", linewidth=1.5)
    axis.xaxis.tick_top()
    axis.set_xticks(range(len(methods)), methods, rotation=40, ha="left")
    axis.set_yticks(range(len(shown)), [*rows, "mean over tasks"])
    axis.tick_params(length=0, labelsize=8.5)
    axis.spines[:].set_visible(False)
    figure.savefig(path, dpi=160)


if __name__ == "__main__":
    main()
