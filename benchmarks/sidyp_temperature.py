"""An ablation, not a method to compare: SiDyP whose candidate weights are tempered.

bench run --methods "./benchmarks/sidyp_temperature.py[temperature=2]" ...

W ∝ π^(1/T) over the candidates of each uncertain text: T > 1 makes the prior flatter before training moves it, T < 1
sharper; T = 1 is SiDyP.
"""

from __future__ import annotations

from collections.abc import Iterator

from methods.base import Field, NoisyTask, Predictions, Tools, config
from methods.registry import register
from methods.sidyp import Sidyp
from methods.sidyp.config import Config as SidypConfig


@register
class SidypTemperature(Sidyp):
    """SiDyP (Ye et al., KDD 2025) with tempered candidate weights; no source: an ablation."""

    name = "sidyp-temperature"
    version = 1

    @config
    class Config(SidypConfig):
        """SiDyP's hyper-parameters and the temperature."""

        temperature: float = Field(1.0, gt=0, le=100, description="T of the candidate weights π^(1/T)")

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield SiDyP's predictions from the tempered weights."""
        from methods.sidyp.fit import fit, prepare

        generator = tools.torch_generator(Sidyp.name, "denoisers")
        seed = int(tools.generator(Sidyp.name, "reverse").integers(2**62))
        stage1 = self.stage1(task, tools)
        problem = prepare(stage1, self.config, generator, tools.trainer.accelerator.device, seed)
        tempered = problem.candidates.weights ** (1 / self.config.temperature)  # a candidate stays one, zero stays zero
        problem.candidates.weights = tempered / tempered.sum(-1, keepdim=True)
        for step in fit(stage1, problem, generator, seed):
            yield Predictions(step=step.epoch, **step.probabilities, diagnostics=step.facts)
