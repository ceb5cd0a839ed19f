"""The evidence on human labels: every method beside its price in random human labels, frozen features, 5 seeds.

    python -m benchmarks.human_worth --data-dir ../shared/data --results results/human [--encoder minilm:frozen]

One label set per task, chosen by name before any result: Mixtral's on SemEval, SmolLM2's few-shot ones on tweets, and
on the LLM axis those of GPT-4 where it labelled the task, else of GPT-4o, else of the largest Qwen. Smallest tasks
first; the same command again goes on where it stopped.
"""

from __future__ import annotations

from benchmarks.llm_axis import METHODS, parser_of, run_chosen

CHOSEN = {
    "fomc": ("gpt-4/zero",),
    "cfpb": ("gpt-4o/zero",),
    "scicite": ("qwen2.5_14b/zero",),
    "tweets": ("smollm2/few",),
    "semeval": ("mixtral-8x22b/few",),
    "phrasebank": ("gpt-4/zero",),
    "babe": ("gpt-4/zero",),
    "pidgin": ("gpt-4/zero",),
}
HUMAN = ",human,noisy-then-gold[rows=100],mixed[rows=100]"


def main() -> None:
    """Run what is left of the grid."""
    run_chosen(CHOSEN, **vars(parser_of(__doc__, "results/human", "1,2,3,4,5", METHODS + HUMAN).parse_args()))


if __name__ == "__main__":
    main()
