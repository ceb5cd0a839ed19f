"""Which engine runs the cells, in the selector language: `local`, `ray[gpus=0.25]`, `slurm[partition=gpu,hours=24]`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.core.errors import UsageError, resolve, shown
from bench.core.selectors import parse


class _Engine(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Local(_Engine):
    """This machine: one process, or `--jobs` workers."""


class Ray(_Engine):
    """A Ray cluster; each cell is a task, and `--jobs` above 1 bounds how many are under way at once."""

    address: str | None = Field(None, description="of an existing cluster: auto, HOST:PORT; without it, a local one")
    cpus: float = Field(1, gt=0, description="cores a cell")
    gpus: float | None = Field(None, ge=0, description="GPUs a cell, 0.25 for four cells a GPU (default: 1 if any)")
    memory: float | None = Field(None, gt=0, description="GiB of memory that a cell reserves")
    retries: int = Field(3, ge=0, le=100, description="how often a cell whose worker or node died is run again")


class Slurm(_Engine):
    """A Slurm cluster, through submitit: an array of `--jobs` jobs; each takes cells until none is left."""

    partition: str | None = Field(None, description="partition of the cluster")
    account: str | None = Field(None, description="account that is charged")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features that a node must have")
    hours: float = Field(4, gt=0, description="time limit of a job; it is queued again when that is over")
    requeues: int = Field(20, ge=0, description="how often a job is queued again after its time limit")
    cpus: int = Field(1, ge=1, description="cores a job")
    gpus: int = Field(0, ge=0, description="GPUs a job")
    memory: float | None = Field(None, gt=0, description="GiB of memory a job")
    wait: bool = Field(True, description="false: submit and return; `bench status` tells how the jobs are")
    cluster: Literal["slurm", "local"] = Field("slurm", description="local: plain processes here, to try it out")


ENGINES: dict[str, type[_Engine]] = {"local": Local, "ray": Ray, "slurm": Slurm}


def executor_of(text: str) -> Local | Ray | Slurm:
    """The engine that a selector names. Raises UsageError naming the parameter, its value and what is allowed."""
    selector = parse(text)
    name = resolve("executor", selector.name, ENGINES)
    if selector.wrappers:
        raise UsageError(f"executor '{text}': nothing can be added with '+'")
    try:
        return ENGINES[name](**selector.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        fields = ", ".join(ENGINES[name].model_fields) or "none"
        if first["type"] == "extra_forbidden":
            raise UsageError(f"executor '{name}' has no parameter '{where}': it has {fields}") from None
        raise UsageError(f"executor '{name}': {where} = {shown(first['input'])}: {first['msg']}") from None
