"""The deep evidence: fine-tuned encoders on the paper's own cell and four label sets of real LLMs, 5 epochs, 3 seeds.

    python -m benchmarks.base_size top4|whole|minilm --data-dir ../shared/data --results results/base-size

`top4` trains the four upper layers of all-mpnet-base-v2 on SemEval with Mixtral's labels and on the four sets, `whole`
all its layers on SemEval, `minilm` all of MiniLM's on the four sets. The sets were chosen by name before any result:
two strong labellers and two weak ones, of tasks with few and short texts. bf16 where the CPU multiplies it by itself.
What costs least comes first, seed by seed; the same command again goes on where it stopped.
"""

from __future__ import annotations

import argparse

from bench.training.device import has_native_bf16
from benchmarks.llm_axis import run_chosen

SEMEVAL = {"semeval": ("mixtral-8x22b/few",)}
STRONG_AND_WEAK = {
    "fomc": ("gpt-4/zero",),
    "scicite": ("qwen2.5_14b/zero", "gemma2-2b/few"),
    "phrasebank": ("llama-7b-chat/zero",),
}
CORE = "plain,oracle,npc,knn-vote,elr,gce,cr,dygen,sidyp"
MORE = "co-teaching,selfmix," + ",".join(f"gold[rows={rows}]" for rows in (50, 100, 200, 500))
PARTS = {
    "top4": ("mpnet:top4", SEMEVAL | STRONG_AND_WEAK, (CORE, MORE)),
    "whole": ("mpnet", SEMEVAL, ("plain,oracle,npc", "cr,dygen,sidyp")),
    "minilm": ("minilm", STRONG_AND_WEAK, (CORE, MORE)),
}
"""Encoder, label sets (task -> `llm/prompting`) and methods, in the order in which they run."""


def main() -> None:
    """Run what is left of a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data-dir")
    parser.add_argument("--results", default="results/base-size")
    parser.add_argument("--seeds", default="1,2,3")
    asked = vars(parser.parse_args())
    encoder, chosen, groups = PARTS[asked.pop("part")]
    precision = "bf16" if has_native_bf16("cpu") else None
    for methods in groups:
        for seed in asked["seeds"].split(","):
            fixed = asked | {"encoder": encoder, "methods": methods, "seeds": seed}
            run_chosen(chosen, **fixed, epochs=5, precision=precision)


if __name__ == "__main__":
    main()
