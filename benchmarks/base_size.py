"""The deep evidence: fine-tuned encoders on the paper's own cell and four label sets of real LLMs, 5 epochs.

    python -m benchmarks.base_size semeval|sets|whole|minilm --data-dir ../shared/data --results results/base-size
    python -m benchmarks.base_size table --results results/reference/base-size

`semeval` trains the four upper layers of all-mpnet-base-v2 on SemEval with Mixtral's labels, `sets` on the four sets,
`whole` all its layers on SemEval, `minilm` all of MiniLM's on the four sets. The sets were chosen by name before any
result: two strong labellers and two weak ones, of tasks with few and short texts. Of each split of the four at most
600 texts are used, for the cost on a CPU, set before any of them was run. Three seeds, and five of what `PARTS` says,
set when a GPU made them cheap and before any of its results was read. bf16 where the CPU multiplies it by itself.
What costs least comes first, seed by seed; the same command again goes on where it stopped. `table` prints in Markdown
what each part gave.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pandas as pd

import bench
from bench.report.tables.stats import mean_interval, paired_difference
from bench.training.device import has_native_bf16
from benchmarks.evidence_table import by_seed, gain, markdown, ordered, shown, signed
from benchmarks.llm_axis import run_chosen

SEMEVAL = {"semeval": ("mixtral-8x22b/few",)}
STRONG_AND_WEAK = {
    "fomc": ("gpt-4/zero",),
    "scicite": ("qwen2.5_14b/zero", "gemma2-2b/few"),
    "phrasebank": ("llama-7b-chat/zero",),
}
CORE = "plain,oracle,npc,knn-vote,elr,gce,cr,dygen,sidyp"
MORE = "co-teaching,selfmix," + ",".join(f"gold[rows={rows}]" for rows in (50, 100, 200, 500))
OURS = "second-opinion"
LIMIT = 600
THREE, FIVE = (1, 2, 3), (1, 2, 3, 4, 5)
PARTS = {
    "semeval": ("mpnet:top4", SEMEVAL, None, {CORE: THREE, MORE: THREE, OURS: THREE}),
    "sets": ("mpnet:top4", STRONG_AND_WEAK, LIMIT, {CORE: FIVE, MORE: FIVE, OURS: THREE}),
    "whole": (
        "mpnet",
        SEMEVAL,
        None,
        {"plain,oracle,npc": FIVE, "cr,dygen,sidyp": FIVE, f"{OURS},knn-vote,elr,gce,co-teaching,selfmix": THREE},
    ),
    "minilm": ("minilm", STRONG_AND_WEAK, LIMIT, {CORE: THREE, MORE: THREE, OURS: THREE}),
}
"""Encoder, label sets (task -> `llm/prompting`), texts per split, and methods with their seeds, in the order in which
they run."""


def table(cells: pd.DataFrame, setup: str) -> Iterator[str]:
    """Accuracy at the last step, gains over plain by both rules and ECE of every method on SemEval, best first.

    Intervals are over seeds; a method with fewer seeds than others says how many.
    """
    yield from _markdown(_done(cells, SEMEVAL, setup), [])


def sets_table(cells: pd.DataFrame, setup: str) -> Iterator[str]:
    """The same averaged over the four sets, after the gain over plain at the last step on each.

    Only seeds that have all four sets count.
    """
    cells = _done(cells, STRONG_AND_WEAK, setup)
    counts = cells.groupby(["method_label", "seed"])["noise"].transform("count")
    cells = cells[counts == sum(map(len, STRONG_AND_WEAK.values()))]
    yield from _markdown(cells, [part for _, part in cells.groupby(["task", "noise"], sort=False)])


def layers_table(cells: pd.DataFrame) -> Iterator[str]:
    """Accuracy on SemEval at the last step with four layers and with all, and by how much they differ, by both rules.

    Over the seeds that have both, paired by seed.
    """
    top, whole = (
        [by_seed(_done(cells, SEMEVAL, setup), rule) for rule in ("accuracy_last", "accuracy_noisy_valid")]
        for setup in ("mpnet:top4", "mpnet:fine-tuned")
    )
    rows = []
    for method in ordered(whole[0]):
        if seeds := top[0].get(method, {}).keys() & whole[0][method].keys():
            accuracies = [mean_interval([of[0][method][seed] for seed in seeds]) for of in (top, whole)]
            gaps = [paired_difference(four[method], twelve[method]) for four, twelve in zip(top, whole, strict=True)]
            rows.append([method, *map(shown, accuracies), *map(signed, gaps)])
    heads = ["method", "four layers (%)", "all twelve (%)", "difference, last step", "difference, early stopping"]
    yield from markdown(heads, rows)


def _done(cells: pd.DataFrame, chosen: dict[str, tuple[str, ...]], setup: str) -> pd.DataFrame:
    """What has run of the tasks of `chosen` with the encoder `setup`."""
    return cells[(cells["status"] == "done") & cells["task"].isin(chosen) & (cells["setup"] == setup)]


def _markdown(cells: pd.DataFrame, parts: list[pd.DataFrame]) -> Iterator[str]:
    """A row per method: its gain in each of `parts`, then what it has over all of `cells`."""
    last, early, ece = (by_seed(cells, name) for name in ("accuracy_last", "accuracy_noisy_valid", "ece_last"))
    alone = [by_seed(part, "accuracy_last") for part in parts]
    heads = [
        f"{part['task'].iloc[0]} {part['noise'].iloc[0]} ({100 * part['noise_rate_trained'].mean():.1f} % wrong)"
        for part in parts
    ]
    rows, seeds = [], max(map(len, last.values()), default=0)
    for method in ordered(last):
        accuracy, calibration = (shown(mean_interval(list(scores[method].values()))) for scores in (last, ece))
        gains = [gain(scores, method) for scores in (*alone, last, early)]
        name = method if len(last[method]) == seeds else f"{method} ({len(last[method])} seeds)"
        rows.append([name, *gains[: len(parts)], accuracy, *gains[len(parts) :], calibration])
    known = ["accuracy (%)", "over plain, last step", "over plain, early stopping", "ECE (%)"]
    yield from markdown(["method", *heads, *known], rows)


TABLES = (
    (table, "mpnet:top4"),
    (table, "mpnet:fine-tuned"),
    (sets_table, f"mpnet:top4, limit={LIMIT}"),
    (sets_table, f"minilm:fine-tuned, limit={LIMIT}"),
)


def main() -> None:
    """Run what is left of a part, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "table"])
    parser.add_argument("--data-dir")
    parser.add_argument("--results", default="results/base-size")
    asked = vars(parser.parse_args())
    if asked["part"] == "table":
        cells = bench.load_results(asked["results"]).cells
        for of, setup in TABLES:
            print(f"\n{setup}\n\n" + "\n".join(of(cells, setup)))
        print("\nfour layers beside all twelve\n\n" + "\n".join(layers_table(cells)))
        return
    encoder, chosen, limit, groups = PARTS[asked.pop("part")]
    precision = "bf16" if has_native_bf16("cpu") else None
    for methods, seeds in groups.items():
        for seed in seeds:
            fixed = asked | {"encoder": encoder, "limit": limit, "methods": methods, "seeds": str(seed)}
            run_chosen(chosen, **fixed, epochs=5, precision=precision)


if __name__ == "__main__":
    main()
