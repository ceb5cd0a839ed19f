"""SiDyP taken apart: what each of its stages is worth, and how often its label candidates are right.

    python -m benchmarks.sidyp_dissected --tasks semeval --llms mixtral --seeds 1,2,3,4,5 --data-dir ../shared/data \
        --results results/sidyp-dissected --out results/reference/sidyp-dissected [--encoder mpnet:frozen]

Every arm starts from the same stage 1 and reads it through the method's own code. The same command again goes on where
it stopped; the tables are of everything in the results folder, of each source, set-up and seed the newest. Gold is used
to count what is right, and in the arms whose name begins with "oracle". Writes accuracy.csv (an arm, source, set-up and
seed per row), labels.csv (right labels of train by kind of text) and table.md. Differences are paired by seed, with the
95 % t-interval over seeds; in bold where the interval and the bootstrap over seeds and test texts both exclude 0.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch

import bench
from bench.api import OpenCell
from bench.core.files import slug, write_atomically
from bench.core.hashes import hash_json
from bench.core.seeds import named_generator
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.report.names import setup_labels
from bench.report.tables import stats
from bench.report.tables.bootstrap import Gap
from bench.store.records import CellKey
from benchmarks.evidence_table import markdown, signed
from methods import losses, shared
from methods.neighbours import distance_weights, nearest
from methods.sidyp import train
from methods.sidyp.fit import Problem, Stage1, fit, label_posterior, prepare
from methods.sidyp.retrieval import Candidates, retrieve
from methods.sidyp.schedule import simplex

SHOWN = {
    "plain": "plain training",
    "stage 1": "stage 1 alone (mean of its branches)",
    "vote, fixed": "vote of the neighbours' fixed candidates",
    "vote, moved": "vote of the neighbours' dynamic priors in their last state",
    "classifier, fixed": "classifier on fixed candidates",
    "classifier, moved": "classifier on the dynamic prior's last state",
    "diffusion, fixed": "diffusion on fixed candidates",
    "diffusion, moved": "**SiDyP**: diffusion with the dynamic prior",
    "script rate": "SiDyP, half of the texts marked, as the authors' script has it (`tau=0.5`)",
    "oracle rate": "oracle: SiDyP, true share of marks (`tau=oracle`)",
    "oracle marks, fixed": "oracle: diffusion on fixed candidates, wrong labels marked",
    "oracle marks, moved": "oracle: SiDyP, wrong labels marked",
    "oracle marks, classifier": "oracle: classifier on fixed candidates, wrong labels marked",
    "oracle labels, diffusion": "oracle: diffusion on gold labels",
    "oracle labels, classifier": "oracle: classifier on gold labels",
    "oracle labels, dynamics alone": "oracle: the same, which is not given the noisy label",
    "oracle": "oracle: plain training on gold labels",
}
STEPS = (
    ("stage 1", "plain"),
    ("classifier, moved", "stage 1"),
    ("diffusion, fixed", "stage 1"),
    ("diffusion, moved", "diffusion, fixed"),
    ("diffusion, moved", "classifier, moved"),
    ("diffusion, moved", "stage 1"),
    ("script rate", "diffusion, moved"),
    ("oracle rate", "diffusion, moved"),
    ("oracle marks, moved", "diffusion, moved"),
    ("oracle labels, diffusion", "diffusion, moved"),
    ("oracle", "oracle labels, diffusion"),
)
"""Differences between arms that say what a stage is worth."""
PARTS = ("task", "noise", "setup", "seed")
KINDS = ("certain", "dominant", "uncertain", "all")


@dataclasses.dataclass(frozen=True)
class Trained:
    """Denoisers after their last epoch."""

    test: np.ndarray  # float32[N_test, C]
    before: torch.Tensor  # float64[M, N_train, C], candidate weights as retrieved
    after: torch.Tensor  # the same after training
    believed: np.ndarray  # float32[N_train, C], what the denoisers make of each text's own label
    problem: Problem


def diffusion(cell: OpenCell, stage1: Stage1, candidates: Candidates | None = None, moves: bool = True) -> Trained:
    """SiDyP's denoisers with the draws of a run; other `candidates`, or weights that stay where `moves` is False."""
    generator = cell.tools.torch_generator("sidyp", "denoisers")
    seed = int(cell.tools.generator("sidyp", "reverse").integers(2**62))
    config = dataclasses.replace(cell.method.config, evaluate_every=cell.method.config.epochs)
    problem = prepare(stage1, config, generator, "cpu", seed)
    if candidates is not None:
        problem.candidates = Candidates(candidates.weights.clone(), candidates.uncertain)
    before, reached = problem.candidates.weights.clone(), []
    still = mock.patch.object(train, "update_weights", lambda weights, drawn: weights)
    with contextlib.nullcontext() if moves else still:
        [step] = fit(stage1, problem, generator, seed, on_epoch=reached.append)
    believed = label_posterior(stage1, problem, reached[-1], seed)
    return Trained(step.probabilities["test"], before, problem.candidates.weights, believed, problem)


def classifier(cell: OpenCell, stage1: Stage1, weights: torch.Tensor, conditional: bool = True) -> np.ndarray:
    """P float32[N_test, C] of plain classifiers in the denoisers' place: the same networks without a noised label and
    a time, trained on candidate weights float64[M, N_train, C] by cross-entropy with the denoisers' steps.

    Not `conditional`: they are not given the noisy label either, and predict from the dynamics alone.
    """
    generator, config = cell.tools.torch_generator("sidyp", "denoisers"), cell.method.config
    problem = prepare(stage1, config, generator)
    network, classes = problem.denoiser, stage1.num_classes
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)

    def logits(split: str, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        given = conditional * simplex(labels, classes, config.simplex_value).expand(config.branches, -1, -1)
        times = torch.zeros(given.shape[:2], dtype=torch.int64)
        gate = network.condition(problem.trajectories[split][:, rows])
        return network(torch.zeros_like(given), times, given, gate)

    for epoch in range(config.epochs):
        batches = [rows for rows in torch.randperm(len(problem.labels), generator=generator).split(config.batch_size)]
        batches = [rows for rows in batches if len(rows) > 1]
        for number_, rows in enumerate(batches):
            progress = (epoch + number_ / len(batches)) / config.epochs
            factor = train.learning_rate_factor(progress, config.warm_up)
            optimiser.param_groups[0]["lr"] = config.learning_rate * factor
            found = logits("train", rows, problem.labels[rows])
            loss = losses.cross_entropy(found.flatten(0, 1), weights[:, rows].flatten(0, 1).float()).mean()
            optimiser.zero_grad()
            loss.backward()
            train.clip_branches(list(network.parameters()), 1.0, only_last=False)
            optimiser.step()
    network.eval()
    every = torch.arange(stage1.probabilities["test"].shape[1])
    with torch.no_grad():
        q = [logits("test", every, torch.full_like(every, label)).softmax(-1).numpy() for label in range(classes)]
    return np.einsum("jmny,mnj->ny", np.stack(q), stage1.probabilities["test"]) / config.branches


def vote(stage1: Stage1, weights: torch.Tensor, k: int) -> np.ndarray:
    """P float64[N_test, C]: candidate weights of the k training texts nearest to a test text, mean over branches."""
    found = nearest(stage1.embeddings["test"], stage1.embeddings["train"], k)
    share = distance_weights(found.distances)
    share /= share.sum(axis=1, keepdims=True)
    return np.einsum("nk,nkc->nc", share, weights.mean(0).numpy()[found.indices])


def right_labels(trained: Trained, gold: np.ndarray) -> pd.DataFrame:
    """A row per kind of text: its share, whether the truth is a candidate, and which labels are right, all in percent.

    Texts are counted once per branch, which have their own candidates.
    """
    truth = torch.tensor(gold)
    counts = (trained.before > 0).sum(-1)
    of_kind = {"certain": counts == 1, "dominant": counts == 2, "uncertain": counts > 2, "all": counts > 0}
    hits = {
        "true class among candidates": (trained.before > 0).gather(-1, truth.expand(counts.shape)[..., None])[..., 0],
        "noisy label right": (trained.problem.labels == truth).expand(counts.shape),
        "best candidate right, retrieved": trained.before.argmax(-1) == truth,
        "best candidate right, moved": trained.after.argmax(-1) == truth,
        "denoisers right": (torch.from_numpy(trained.believed).argmax(-1) == truth).expand(counts.shape),
    }
    table = {"share of texts": [float(of_kind[kind].double().mean()) for kind in KINDS]}
    table |= {name: [float(hit[of_kind[kind]].double().mean()) for kind in KINDS] for name, hit in hits.items()}
    return 100 * pd.DataFrame(table, index=pd.Index(KINDS, name="texts"))


def dissect(cell: OpenCell, half: OpenCell, with_rate: OpenCell) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Test probabilities [N_test, C] of every arm, and the right labels of train.

    `half` is the same cell with tau=0.5, `with_rate` with tau=oracle.
    """
    gold, stage1 = cell.data.gold.train, cell.method.stage1(cell.task, cell.tools)
    config, classes = cell.method.config, stage1.num_classes
    moved, fixed = diffusion(cell, stage1), diffusion(cell, stage1, moves=False)
    script, rate = (diffusion(each, each.method.stage1(each.task, each.tools)) for each in (half, with_rate))
    k = moved.problem.facts["neighbours"]
    wrong = torch.from_numpy(stage1.train_labels != gold).expand(config.branches, -1)
    true_marks = retrieve(
        stage1.embeddings["train"], stage1.train_labels, wrong, classes, min(k, int((~wrong[0]).sum())),
        certain_threshold=config.certain_threshold, dominant_threshold=config.dominant_threshold,
    )  # fmt: skip
    perfect = torch.nn.functional.one_hot(torch.tensor(gold), classes).double().expand(config.branches, -1, -1)
    marks, marks_fixed = (diffusion(cell, stage1, true_marks, moves=moves) for moves in (True, False))
    labels = diffusion(cell, stage1, Candidates(perfect, torch.zeros(perfect.shape[:2], dtype=torch.bool)))
    arms = {
        "plain": shared.plain_run(cell.task, cell.tools).final("test")[0],
        "stage 1": stage1.probabilities["test"].mean(0),
        "vote, fixed": vote(stage1, moved.before, k),
        "vote, moved": vote(stage1, moved.after, k),
        "classifier, fixed": classifier(cell, stage1, moved.before),
        "classifier, moved": classifier(cell, stage1, moved.after),
        "diffusion, fixed": fixed.test,
        "diffusion, moved": moved.test,
        "script rate": script.test,
        "oracle rate": rate.test,
        "oracle marks, fixed": marks_fixed.test,
        "oracle marks, moved": marks.test,
        "oracle marks, classifier": classifier(cell, stage1, true_marks.weights),
        "oracle labels, diffusion": labels.test,
        "oracle labels, classifier": classifier(cell, stage1, perfect),
        "oracle labels, dynamics alone": classifier(cell, stage1, perfect, conditional=False),
        "oracle": shared.plain_run(cell.task, cell.tools, train_labels=gold).final("test")[0],
    }
    runs = {"estimated rate": moved, "script rate": script, "oracle rate": rate, "oracle marks": marks}
    return arms, pd.concat({name: right_labels(run, gold) for name, run in runs.items()}, names=["marks"])


def measure(folder: Path, **options: object) -> None:
    """Dissect the cells of a grid that are not in `folder` yet; one file per three cells, named by their hashes."""
    options |= {"methods": "sidyp,sidyp[tau=0.5],sidyp[tau=oracle]"}
    cells, keys = bench.open_cells(**options), [cell.key for cell in plan(load_options(options)).cells]
    for at in range(0, len(cells), 3):
        key, cell = keys[at], cells[at]
        digest = hash_json([each.hash for each in keys[at : at + 3]])[:12]
        path = folder / f"{slug(f'{key.task}-{key.noise}-{key.encoder_selector}')}-{key.seed}-{digest}.json"
        if path.exists():
            continue
        arms, labels = dissect(*cells[at : at + 3])
        gold = cell.data.gold.test
        right = {name: (p.argmax(1) == gold)[gold >= 0].astype(int).tolist() for name, p in arms.items()}
        found = {"key": key.model_dump(), "right": right, "labels": labels.reset_index().to_dict("records")}
        write_atomically(path, json.dumps(found).encode())
        print(path.stem, {name: round(100 * float(np.mean(hits)), 1) for name, hits in right.items()}, flush=True)


class Differences:
    """Accuracies of the arms of one task, and their differences over seeds and over test texts."""

    def __init__(self, task: str, seeds: Sequence[dict[str, list[int]]]) -> None:
        """`seeds`: for each, by arm which test texts are right."""
        self.right = {arm: np.array([right[arm] for right in seeds], dtype=bool) for arm in SHOWN}
        generator = named_generator("bootstrap", "texts", task)
        drawn = 100 * stats.bootstrap_texts(np.concatenate(list(self.right.values())), generator)
        weights = stats.bootstrap_seeds(len(seeds), named_generator("bootstrap", "seeds"))
        averages = np.einsum("das,ds->ad", drawn.reshape(len(drawn), len(SHOWN), len(seeds)), weights)
        self.drawn = dict(zip(SHOWN, averages, strict=True))

    def accuracy(self, arm: str) -> float:
        """Percent."""
        return 100 * float(self.right[arm].mean())

    def gap(self, arm: str, base: str) -> Gap:
        """What `arm` scores above `base`, percent."""
        over_seeds = stats.mean_interval(100 * (self.right[arm].mean(1) - self.right[base].mean(1)))
        return Gap(over_seeds, stats.percentile_interval(self.drawn[arm] - self.drawn[base]))

    def shown(self, arm: str, base: str) -> str:
        """The difference with its interval over seeds, in bold where the bootstrap agrees that it is one."""
        gap = self.gap(arm, base)
        text = signed(gap.seeds)
        return f"**{text}**" if gap.sure() or gap.sure(-1) else text


def report(folder: Path, out: Path) -> str:
    """Write the tables of what is in `folder`; gives the Markdown."""
    paths = sorted(folder.glob(f"*-{12 * '[0-9a-f]'}.json"), key=lambda path: path.stat().st_mtime)
    read = [json.loads(path.read_text()) for path in paths]
    found = [CellKey(**run["key"]) for run in read]
    named = zip(found, setup_labels(found), read, strict=True)
    by_seed = {(key.task, key.noise, setup, key.seed): run for key, setup, run in named}  # a later one counts
    order = sorted(by_seed)
    keys, runs = [dict(zip(PARTS, names, strict=True)) for names in order], [by_seed[names] for names in order]
    accuracy = [
        key | {"arm": arm, "accuracy": np.mean(right)}
        for key, run in zip(keys, runs, strict=True)
        for arm, right in run["right"].items()
    ]
    labels = pd.DataFrame([key | row for key, run in zip(keys, runs, strict=True) for row in run["labels"]])
    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(accuracy).to_csv(out / "accuracy.csv", index=False, float_format="%.4f")
    labels.to_csv(out / "labels.csv", index=False, float_format="%.2f")
    seeds: dict[tuple[str, str, str], list[dict]] = {}
    for names, run in zip(order, runs, strict=True):
        seeds.setdefault(names[:3], []).append(run["right"])
    columns = [Differences(task, right) for (task, *_), right in seeds.items()]
    heads = [f"{', '.join(source)} ({len(right)} seeds)" for source, right in seeds.items()]
    lines = ["Test accuracy (%), and its difference from plain training", ""]
    rows = [
        [
            SHOWN[arm],
            *(f"{each.accuracy(arm):.1f}" + f" ({each.shown(arm, 'plain')})" * (arm != "plain") for each in columns),
        ]
        for arm in SHOWN
    ]
    lines += markdown(["", *heads], rows)
    lines += ["", "What a step is worth (points of test accuracy)", ""]
    lines += markdown(["", *heads], [[f"{a} − {b}", *(each.shown(a, b) for each in columns)] for a, b in STEPS])
    means = labels.drop(columns="seed").groupby([*PARTS[:3], "marks", "texts"], sort=False).mean()
    for source in seeds:
        part = means.loc[source]
        lines += ["", f"Right labels of train, {', '.join(source)} (%)", ""]
        rows = [
            [*names, *(f"{value:.1f}" for value in row)] for names, row in zip(part.index, part.values, strict=True)
        ]
        lines += markdown([*part.index.names, *part.columns], rows)
    text = "\n".join(lines) + "\n"
    (out / "table.md").write_text(text)
    return text


def main() -> None:
    """Measure what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="semeval")
    parser.add_argument("--llms", default="mixtral")
    parser.add_argument("--prompting")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--encoder", default="mpnet:frozen")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--data-dir")
    parser.add_argument("--results", type=Path, default=Path("results/sidyp-dissected"))
    parser.add_argument("--out", type=Path, required=True)
    asked = vars(parser.parse_args())
    out, folder = asked.pop("out"), asked["results"] / "dissected"
    measure(folder, **{name: value for name, value in asked.items() if value is not None})
    print(report(folder, out))


if __name__ == "__main__":
    main()
