"""The wide evidence on labels of real LLMs: every method on a fixed choice of label sets, frozen features, 3 seeds.

    python -m benchmarks.llm_axis --data-dir ../shared/data --results results/llm-axis [--encoder minilm:frozen]

The label sets were chosen by their names before any method had run on them: of each task some strong and some weak
labellers of different families, all of a task with at most three, and zero-shot where a task has both promptings but
for four. Smallest tasks first; the same command again goes on where it stopped.
"""

from __future__ import annotations

import argparse

import bench

CHOSEN = {
    "fomc": ("gpt-4/zero", "gpt-3.5-turbo/zero"),
    "cfpb": ("gpt-4o/zero", "claude-3-7-sonnet/zero", "gemini-1.5-flash/zero", "deepseek-chat/zero"),
    "scicite": (
        "qwen2.5_14b/zero",
        "gemma2-27b/zero",
        "llama3.1/zero",
        "mistral_nemo/few",
        "llama3.2_3b/few",
        "gemma2-2b/few",
    ),
    "semeval": ("mixtral-8x22b/few",),
    "phrasebank": ("gpt-4/zero", "gpt-3.5-turbo/zero", "llama-7b-chat/zero"),
    "babe": (
        "gpt-4/zero",
        "gpt-4/few",
        "gpt-3-5/zero",
        "mixtral-8x7b/zero",
        "flan-t5-xl/zero",
        "llama-7b/zero",
    ),
    "pidgin": ("gpt-4/zero", "mt0-xxl/zero", "llama-2-13b-chat/zero"),
    "banking58": ("qwen3-8b/zero", "deepseek-r1-7b/zero"),
}
METHODS = (
    "plain,plain+ts,co-teaching,jocor,cr,npc,dygen,sidyp,selfmix,elr,gce,mixup,label-smoothing,knn-vote,cleanlab,"
    "second-opinion,oracle"
)


def run_chosen(chosen: dict[str, tuple[str, ...]], **options) -> None:
    """Run what is left of a grid over label sets (task -> `llm/prompting`), a task and a way to prompt at a time."""
    for task, names in chosen.items():
        for prompting in ("zero", "few"):
            llms = [llm for llm, _, how in (name.partition("/") for name in names) if how == prompting]
            if llms:
                bench.run_grid(tasks=task, llms=",".join(llms), prompting=prompting, **options)
                print(f"{task} {prompting}: {', '.join(llms)} done", flush=True)


def parser_of(described: str | None, results: str, seeds: str, methods: str) -> argparse.ArgumentParser:
    """The options of a run over label sets, with its defaults."""
    parser = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--results", default=results)
    parser.add_argument("--encoder", default="minilm:frozen")
    parser.add_argument("--seeds", default=seeds)
    parser.add_argument("--methods", default=methods)
    return parser


def main() -> None:
    """Run what is left of the grid."""
    parser = parser_of(__doc__, "results/llm-axis", "1,2,3", METHODS)
    parser.add_argument("--tasks", default=",".join(CHOSEN), help="tasks of the choice, in their order")
    asked = vars(parser.parse_args())
    run_chosen({task: CHOSEN[task] for task in asked.pop("tasks").split(",")}, **asked)


if __name__ == "__main__":
    main()
