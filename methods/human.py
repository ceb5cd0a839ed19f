"""Methods that learn from k human labels: the yardstick for what all others make of noisy ones.

The harness hands out gold of k random train texts (`NoisyTask.human`), the same for all methods of a seed, and fewer
are the beginning of more. Zhu, Shen, Mosbach, Stephan, Klakow, "Weaker Than You Think: A Critical Look at Weakly
Supervised Learning", ACL 2023, arXiv 2305.17442: what such labels give by themselves, and after training on weak ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import PlainValidator

from bench.core.hashes import hash_arrays
from bench.training.batch import softmax
from bench.training.stages import Arrays
from methods import shared
from methods.base import Field, HumanLabels, Method, NoisyTask, Predictions, Tools, config
from methods.registry import register
from methods.runs import cross_entropy, run_key
from methods.stages import Stage
from methods.training import predictions_of

GOLD_RUN = Stage("gold run", 1)

CURVE = tuple(f"gold[rows={rows}]" for rows in (10, 20, 50, 100, 200, 500, 1000, "all"))
"""The learning curve from human labels, by which `bench report` says what a method is worth."""


def _count(value: Any) -> Any:
    if value == "all" or (type(value) is int and value >= 1):
        return value
    raise ValueError("it must be a whole number, at least 1, or all")


Rows = Annotated[int | Literal["all"], PlainValidator(_count)]


class _Human(Method):
    """What the methods with human labels have in common: how many they ask for."""

    @config
    class Config:
        """How many labels a human gives."""

        rows: Rows = Field(100, description="k: number of random train texts with a human label (at least 1), or all")

    def human_rows(self) -> int | Literal["all"]:
        """See `Method.human_rows`."""
        return self.config.rows


@register
class GoldRows(_Human):
    """Cross-entropy on k human labels and nothing else (Zhu et al., ACL 2023).

    The k texts are repeated until they are as many as the train texts, so that the optimiser makes as many steps, on
    the same schedule, as plain training does: few labels need many passes (Mosbach et al., ICLR 2021). Nothing depends
    on the noisy labels, so one run serves all noise sources of a task.
    """

    name = "gold"

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""
        human = labels_of(task)
        targets = np.zeros(len(task.train), dtype=np.int64)
        targets[human.rows] = human.labels
        trainer = dataclasses.replace(tools.trainer, axes=(*tools.axes[:1], tools.seed))  # they name no noise source

        def compute() -> Arrays:
            networks = trainer.classifiers(1, task.num_classes, "plain")
            epochs = trainer.fit(
                networks,
                shared.inputs(task, tools),
                cross_entropy,
                targets={"label": targets},
                name="gold",
                rows=np.resize(human.rows, len(targets)),
            )
            logits = [epoch.logits for epoch in epochs]
            tools.trainer.kept, tools.trainer.snapshots = trainer.kept, trainer.snapshots  # for an export
            kept = {split: np.stack([each[split][0] for each in logits]) for split in ("valid", "test")}
            return {**kept, "parameters": np.array([trainer.parameters])}

        settings = {"human": hash_arrays(rows=human.rows)}
        key = run_key(task, tools, targets, settings) | {"axes": list(map(str, trainer.axes))}
        arrays = GOLD_RUN.get(tools.stages, key, compute)
        tools.trainer.parameters = int(arrays["parameters"][0])
        for epoch, (valid, test) in enumerate(zip(softmax(arrays["valid"]), softmax(arrays["test"]), strict=True), 1):
            yield Predictions(epoch, valid, test, diagnostics=without_classes(task, human))


@register
class NoisyThenGold(_Human):
    """Plain training on noisy labels, then for as long on k human ones (continuous fine-tuning, Zhu et al., ACL 2023).

    The first half of the steps is the run of `plain`; the second starts from its weights with a new schedule and
    repeats the k texts as `gold` does.
    """

    name = "noisy-then-gold"

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch of both halves."""
        human, trainer, data = labels_of(task), tools.trainer, shared.inputs(task, tools)
        networks = trainer.classifiers(1, task.num_classes, "plain")
        noisy = shared.labels(task, tools).train
        facts = without_classes(task, human)
        for epoch in trainer.fit(networks, data, cross_entropy, targets={"label": noisy}, name="plain"):
            yield predictions_of(epoch, facts)
        targets, rows = {"label": replaced(noisy, human)}, np.resize(human.rows, len(noisy))
        for epoch in trainer.fit(networks, data, cross_entropy, targets=targets, name="human", rows=rows):
            yield dataclasses.replace(predictions_of(epoch, facts), step=tools.recipe.epochs + epoch.number, train=None)


@register
class Mixed(_Human):
    """Plain training on human labels for k texts and noisy labels for the others (Zhu et al., ACL 2023)."""

    name = "mixed"

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""
        human = labels_of(task)
        run = shared.plain_run(task, tools, replaced(shared.labels(task, tools).train, human))
        for step in run.predictions():
            yield dataclasses.replace(step, diagnostics=without_classes(task, human))


def labels_of(task: NoisyTask) -> HumanLabels:
    """The human labels that the harness handed out."""
    if task.human is None:
        raise ValueError("the harness provided no human labels")
    return task.human


def replaced(labels: np.ndarray, human: HumanLabels) -> np.ndarray:
    """`labels` int64[N_train] with the human ones in their places."""
    labels = labels.copy()
    labels[human.rows] = human.labels
    return labels


def without_classes(task: NoisyTask, human: HumanLabels) -> dict[str, Any]:
    """Which classes no human label names: a method cannot learn them from these."""
    missing = np.setdiff1d(np.arange(task.num_classes), human.labels)
    return {"classes_without_human_label": [task.label_names[each] for each in missing]} if len(missing) else {}
