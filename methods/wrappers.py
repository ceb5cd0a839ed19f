"""Wrappers around any method, written `method+wrapper`: `plain+ts` is plain with temperature scaling."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from bench.core.errors import UsageError, resolve
from methods import calibration, registry
from methods.base import NoisyTask, Predictions, Tools


class TemperatureScaling:
    """One temperature on log p, fitted by NLL on the answered noisy validation labels (Guo et al., ICML 2017)."""

    suffix = "ts"
    version = 2

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.name = f"{inner.name}+{self.suffix}"

    def __getattr__(self, name: str) -> Any:
        """What the wrapped method says, of all else."""
        if name == "inner":  # of a copy that is being made there is none yet
            raise AttributeError(name)
        return getattr(self.inner, name)

    def built_again(self) -> TemperatureScaling:
        """Around another object of the wrapped method; see `registry.fresh`."""
        return type(self)(registry.fresh(self.inner))

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """The wrapped method's predictions, each step with its own temperature; argmax never changes."""
        for step in self.inner.run(task, tools):
            temperature = calibration.fit_temperature(step.valid, task.valid_labels)
            yield dataclasses.replace(
                step,
                valid=calibration.apply_temperature(step.valid, temperature),
                test=calibration.apply_temperature(step.test, temperature),
                diagnostics={**step.diagnostics, "temperature": temperature},
            )


WRAPPERS = {cls.suffix: cls for cls in (TemperatureScaling,)}


def wrap(name: str, method: Any) -> Any:
    """`method` within the wrapper of that name. Raises UsageError for an unknown one."""
    if name == "es":
        raise UsageError("early stopping is not a wrapper: name plain, and every report has a row plain+es of its runs")
    return WRAPPERS[resolve("wrapper", name, WRAPPERS)](method)
