"""The contract of a method: what it sees, what it yields, how it is registered.

A method is a *generator of predictions*. It sees texts and noisy labels, never gold; it yields `Predictions` after each
epoch (or once), and the harness alone scores them. docs/add-a-method.md has one in full.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from bench.core.texts import Texts
from bench.training.batch import Batch, Loss, PerExample
from bench.training.tools import Tools
from methods.stages import NOISE_RATE, Stage

__all__ = [
    "RATE",
    "Batch",
    "Field",
    "HumanLabels",
    "Loss",
    "Method",
    "NoisyTask",
    "PerExample",
    "Predictions",
    "Texts",
    "Tools",
    "config",
    "refuse_unused",
]

config = functools.partial(
    pydantic_dataclass,
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True),
)
"""Decorator of a method's `Config`: a frozen dataclass that refuses unknown and out-of-range values.

A number given for a text field is its text, so that `[tau=0.3]` needs no quotes."""


def refuse_unused(given: Any, setting: str, *names: str) -> None:
    """For the validators of a `Config`: two names of one method must not look like two methods.

    Parameters
    ----------
    given : Config
        The configuration.
    setting
        What leaves parameters unused, as it is written in a selector.
    *names
        The fields that it leaves unused.

    Raises
    ------
    ValueError
        For a field that differs from its default.
    """
    for name in names:
        if (value := getattr(given, name)) != type(given).__pydantic_fields__[name].default:
            raise ValueError(f"{name} = {value} has no effect with {setting}: leave out one of the two")


RATE = Field(
    "estimated",
    pattern=r"^(estimated|oracle|0(\.[0-9]+)?|[0-9](\.[0-9]+)?e-0*[1-9][0-9]*)$",
    description="share of wrong labels to assume: estimated (without gold), a number in [0, 1), or oracle "
    "(the true rate: an ablation, never a result)",
)
"""The field `tau` of every method that needs a noise rate. A number has one form, as `[tau=0.30]` is `[tau=0.3]`."""
_one_form = AfterValidator(lambda rate: rate if rate.isalpha() else repr(float(rate)).removesuffix(".0"))
RATE.metadata.append(_one_form)  # type: ignore[attr-defined]  # to mypy a field is its default


@dataclass(frozen=True)
class HumanLabels:
    """Labels of a human for k train texts: those that a method asked for with `human_rows`, and no others.

    Attributes
    ----------
    rows : int64[k]
        Positions in train; random ones are the same for all methods of a seed.
    labels : int64[k]
        Their gold classes in 0..C-1.
    """

    rows: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class NoisyTask:
    """Everything that a method may know. Labels are noisy; -1 = the labeller gave no answer.

    Attributes
    ----------
    name : str
        The task's name.
    label_names : tuple of str
        The names of the C classes; a class is its position.
    train, valid, test : Texts
        The texts of the three splits.
    train_labels, valid_labels : int64[N_train], int64[N_valid]
        Noisy labels in -1..C-1, read-only.
    human : HumanLabels or None
        Only for a method that asks for them, see `Method.human_rows`.
    answers : int64[labellers, N_train] or None
        What each member of an ensemble said, -1 = nothing; only for `Method.human_scores`.
    """

    name: str
    label_names: tuple[str, ...]
    train: Texts
    valid: Texts
    test: Texts
    train_labels: np.ndarray
    valid_labels: np.ndarray
    human: HumanLabels | None = None
    answers: np.ndarray | None = None

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return len(self.label_names)


@dataclass(frozen=True)
class Predictions:
    """What a method believes after one step (usually an epoch): class probabilities, rows sum to 1.

    Attributes
    ----------
    step : int
        Its number, which rises.
    valid, test : float32[N_valid, C], float32[N_test, C]
        Of the validation and test texts, in the order of the splits.
    train : float32[N_train, C] or None
        Running predictions of the training texts, as each was visited in this epoch, before its update. Only used for
        the memorisation curve; None without them.
    posterior : float32[N_train, C] or None
        What the method believes the true class of each training text to be, where it has a better opinion than its
        running predictions; only the last step's is kept. Rows of NaN: no opinion.
    diagnostics : mapping
        Small JSON-able facts, e.g. {"noise_rate_estimate": 0.41}; the record has those of the last step. A text under
        "warning" stands in the cell's line of a run as well. Equal seeds give equal ones, so no times: the record has
        the cell's seconds.
    """

    step: int
    valid: np.ndarray
    test: np.ndarray
    train: np.ndarray | None = None
    posterior: np.ndarray | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)


class Method(abc.ABC):
    """A method that learns from noisy labels; built-in ones derive from it, any class of this shape will do.

    Attributes
    ----------
    name : str
        What it is called on the command line and in tables: without spaces and any of + / [ ] , = :
    Config : type
        A `@config` dataclass of its hyper-parameters.
    version : int
        Raised when a change alters predictions: old records are then not reused.
    sees_gold : bool
        Set by `@register(reference=True)`, as for `oracle`: it is given gold training labels and never competes.
    stages : tuple of Stage
        The shared stages that `run` asks for (`methods.stages`), which `--dry-run` then tells of.
    exportable : bool or "frozen"
        False where something besides the networks of the last `trainer.fit` predicts (their mean does, if True): such a
        model cannot be exported. "frozen": it can on a frozen encoder, with `trainer.correction`.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    version: ClassVar[int] = 1
    sees_gold: ClassVar[bool] = False
    stages: ClassVar[tuple[Stage, ...]] = ()
    exportable: ClassVar[bool | Literal["frozen"]] = True
    opened_files: ClassVar[set[str]]  # set by `register`

    def __init__(self, config: Any) -> None:
        self.config = config

    @abc.abstractmethod
    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Learn from the noisy labels, and yield predictions after each step.

        Parameters
        ----------
        task : NoisyTask
            Texts and noisy labels, no gold.
        tools : Tools
            What the harness lends: trainer, encoders, shared stages, recipe, named random draws.

        Yields
        ------
        Predictions
            One or more. None at all, a wrong shape or rows that do not sum to 1 fail the cell.
        """

    def human_rows(self) -> int | Literal["all"] | None:
        """How many train texts the method wants a human's label for; None: for none.

        Asking is allowed to every method. Its records say how many labels it was given (`human_labels`), and it is
        shown apart from the methods that learn from noisy labels alone.
        """
        return None

    def human_scores(self, task: NoisyTask, tools: Tools) -> np.ndarray | None:
        """Which train texts a human should label first: float64[N_train], the highest first; None: random ones.

        Parameters
        ----------
        task
            Texts and noisy labels, no gold; with `answers`, those of the members, where the labels are an ensemble's.
        tools
            What `run` is given.
        """
        return None

    def shared_stages(self, epochs: int) -> dict[Stage, dict[str, Any]]:
        """The shared stages that `run` asks for, with their settings: for the forecast of `--dry-run` alone.

        Parameters
        ----------
        epochs
            Those of the recipe.

        Returns
        -------
        dict
            By stage what differs from its defaults: here the fields of `config` that are called like its settings.
            The noise rate is left out where `config.tau` gives it.
        """
        estimated = getattr(self.config, "tau", "estimated") == "estimated"
        wanted = (stage for stage in self.stages if estimated or stage != NOISE_RATE)
        return {stage: stage.settings(self.config) for stage in wanted}
