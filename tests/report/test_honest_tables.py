"""Tables whose rows stand on different cells: what they say of it, and what they leave empty."""

import pytest

from bench.report.tables.blocks import Block
from bench.report.tables.result import result_table
from bench.report.tables.rules import rules_table
from bench.report.tables.summaries import calibration_table, selection_table
from bench.store.metrics import METRICS

RULES = ("last", "noisy_valid", "oracle_best")
FACTS = {
    "status": "done",
    "has_gold": True,
    "reason": None,
    "n_scored": 500,
    "noise_rate_trained": 0.2,
    "no_answer_train": 0,
    "noise_rate_expected": False,
    "labeller_test_accuracy": None,
    "labeller_test_no_answer": None,
}


def block_of(scores, references=(), **facts):
    """Of `scores[method][task][seed]`, fractions, on the labels of one LLM; `facts` go to every cell."""
    tasks = dict.fromkeys(task for by_task in scores.values() for task in by_task)
    columns = [(task, "gpt") for task in tasks]
    rows = {
        (method, (task, "gpt")): [
            FACTS
            | {f"{metric}_{rule}": score for metric in METRICS for rule in RULES}
            | {"cell": f"{method} {task} {seed}", "seed": seed}
            | facts
            for seed, score in by_seed.items()
        ]
        for method, by_task in scores.items()
        for task, by_seed in by_task.items()
    }
    kinds = dict.fromkeys(columns, "llm")
    methods, none = list(scores), frozenset()
    return Block("setup", methods, frozenset(references), none, columns, kinds, rows, baseline=methods[0])


EASY = {1: 0.70, 2: 0.71, 3: 0.69, 4: 0.75, 5: 0.76, 6: 0.74}


def own(*seeds, worse=0.0):
    return {seed: EASY[seed] - worse for seed in seeds}


@pytest.mark.parametrize(("others", "said"), [((3, 4, 5, 6), True), ((1, 2, 3, 4), False), ((1, 2), True)])
def test_rows_over_different_seeds_say_so(others, said):
    """B is worse with every seed that both have; with easier ones its mean is higher."""
    block = block_of({"plain": {"trec": own(1, 2, 3, 4)}, "B": {"trec": own(*others, worse=0.01)}})
    sentence = (
        "Methods have different seeds, and each row is over its own: compare methods by differences from plain, "
        "paired by seed."
    )
    for table in (
        result_table(block, "trec", "accuracy", "last"),
        result_table(block, "trec", "ece", "last"),
        rules_table(block, None),
        selection_table(block, block.methods, block.columns),
        calibration_table(block, block.methods, block.columns, "last"),
    ):
        assert (sentence in table.caption) is said, table.name
