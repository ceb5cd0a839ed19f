"""SiDyP: simplex label diffusion with a dynamic prior, on the dynamics of co-regularised classifiers.

config.py the hyper-parameters · dynamics.py marks on doubtful labels · retrieval.py label candidates · schedule.py
the forward process · denoiser.py the network · prior.py the dynamic prior · train.py · sample.py the reverse process
and the prediction · fit.py all of it on arrays · story.py what a record keeps · trace.py single texts in full.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from bench.core.errors import UsageError
from methods.base import Method, NoisyTask, Predictions, Tools
from methods.neighbours import checked_k
from methods.registry import register
from methods.sidyp import fit
from methods.sidyp.config import Config as SidypConfig
from methods.sidyp.dynamics import marked_count
from methods.sidyp.story import Story
from methods.sidyp.train import warning
from methods.stages import BRANCHES, NOISE_RATE, Stage

log = logging.getLogger("bench.sidyp")

UNWEIGHTED_FROM = 10
"""From so many epochs on the released code holds the branches of stage 1 to no common opinion."""


@register
class Sidyp(Method):
    """SiDyP: label candidates from neighbours, refined by diffusion on the label simplex (Ye et al., KDD 2025).

    P(y | x) = mean over branches m of sum_j q_m(y | label j, x) p_m(j | x): p_m are the classifiers of stage 1,
    q_m what the reverse process makes of label j. `mode=official` keeps the released code's behaviour but never its
    use of gold test labels. Up to some 600 texts in batches of 128 can give the denoisers too few steps to learn from,
    and a run says so: try a smaller `batch_size`.
    """

    name = "sidyp"
    version = 3
    stages = (BRANCHES, NOISE_RATE)
    exportable = False
    Config = SidypConfig

    def shared_stages(self, epochs: int) -> dict[Stage, dict]:
        """Those of `stages`, with what the mode does to stage 1."""
        return super().shared_stages(epochs) | {BRANCHES: self._stage1_settings(epochs)}

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield predictions after the epochs of the denoisers that are evaluated; raises UsageError for a large k."""
        generator = tools.torch_generator(self.name, "denoisers")
        seed = int(tools.generator(self.name, "reverse").integers(2**62))
        stage1 = self.stage1(task, tools)
        problem = fit.prepare(stage1, self.config, generator, tools.trainer.accelerator.device, seed)
        tools.trainer.parameters += problem.facts["trainable_parameters"]
        total, warned = self.config.epochs, warning(self.config, len(task.train))
        story = Story(stage1, problem)

        def report(epoch) -> None:
            story.remember(epoch)
            log.debug("epoch %d: %s", epoch.number, epoch.facts)
            tools.progress(f"{self.name}: denoisers", epoch.number, total)

        for step in fit.fit(stage1, problem, generator, seed, on_epoch=report):
            told, believed = {}, None
            if step.epoch == total and story.last is not None:
                told, believed = {"story": story.told(step)}, fit.label_posterior(stage1, problem, story.last, seed)
            facts = step.facts | told | warned
            yield Predictions(step=step.epoch, **step.probabilities, posterior=believed, diagnostics=facts)

    def stage1(self, task: NoisyTask, tools: Tools):
        """The arrays that the denoisers start from, through the shared stages; the cheap checks come first."""
        from methods import shared  # loads the trainer: reading traces need not

        config, size, epochs = self.config, len(task.train), tools.recipe.epochs
        settings = self._stage1_settings(epochs)
        if config.mode == "official" and epochs >= UNWEIGHTED_FROM and config.alpha != SidypConfig().alpha:
            raise UsageError(
                f"sidyp: alpha = {config.alpha} has no effect with mode=official and --epochs {epochs}, as in the "
                f"released code from {UNWEIGHTED_FROM} epochs on: leave it out"
            )
        checked_k(config.neighbours, size - config.exclude_self, self.name)
        rate = shared.noise_rate(task, tools, config.tau)
        checked_k(config.neighbours, size - marked_count(size, rate) - config.exclude_self, self.name)
        labels = shared.labels(task, tools)
        run = shared.branch_run(task, tools, **settings)
        return fit.Stage1(
            dynamics=run.features,
            probabilities={split: run.final(split) for split in ("valid", "test")},
            embeddings=shared.embeddings(task, tools),
            texts={split: getattr(task, split).texts for split in shared.SPLITS},
            train_labels=labels.train,
            valid_labels=labels.valid,
            noise_rate=rate,
            num_classes=task.num_classes,
        )

    def _stage1_settings(self, epochs: int) -> dict[str, Any]:
        """What the mode says of stage 1.

        The released code loses the weight where there is a warm-up epoch at all, restarts the learning rate every
        epoch and never shuffles.
        """
        settings = BRANCHES.settings(self.config)
        if self.config.mode == "paper":
            return settings
        alpha = 0.0 if epochs >= UNWEIGHTED_FROM else self.config.alpha
        return settings | {"alpha": alpha, "warmup": 0.0, "shuffle": False, "restarts": True}
