"""The options of `bench run` and `bench status`, one declaration each; every one has a BENCH_* variable.

Numbers arrive as text: bench.grid.options reads them, so that a wrong one gives the same error from wherever it came.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option


def _option(name: str, help: str, panel: str = "Grid", kind: str | None = None):
    variable = "BENCH_" + name.replace("-", "_").upper()
    return Option(f"--{name}", envvar=variable, help=help, rich_help_panel=panel, metavar=kind)


def _recipe(name: str, help: str, kind: str | None = None):
    return _option(name, help, "Training recipe", kind)


Methods = Annotated[str | None, _option("methods", "plain, co-teaching, sidyp\\[num_samples=8], plain+ts, my.py")]
Llms = Annotated[str | None, _option("llms", "labellers, or all: mixtral, smollm2, vote(a,b)")]
Tasks = Annotated[str | None, _option("tasks", "tasks, or paths of CSV/JSONL files and WRENCH folders")]
Prompting = Annotated[str | None, _option("prompting", "zero,few (default: all that exist)")]
Noise = Annotated[str | None, _option("noise", "weak,sn@RATE,asn@RATE,idn@RATE")]
Seeds = Annotated[str | None, _option("seeds", "seeds, or ranges like 1-5 (default 1,2,3)")]
Encoders = Annotated[str | None, _option("encoder", "Hugging Face name, local folder, or minilm; NAME:frozen")]
SentenceEncoder = Annotated[str | None, _option("sentence-encoder", "who embeds sentences (default: the encoder)")]
Preset = Annotated[str | None, _option("preset", "a grid that comes with bench: quickstart, paper")]
Config = Annotated[Path | None, _option("config", "YAML file; its keys are option names")]
Limit = Annotated[
    str | None, _option("limit", "at most N texts a split, the same for all methods and seeds", kind="<int>")
]

Epochs = Annotated[str | None, _recipe("epochs", "passes over the training texts", kind="<int>")]
BatchSize = Annotated[str | None, _recipe("batch-size", "texts an optimiser step", kind="<int>")]
LearningRate = Annotated[str | None, _recipe("learning-rate", "peak learning rate", kind="<float>")]
Warmup = Annotated[str | None, _recipe("warmup", "share of steps with a rising rate", kind="<float>")]
Clip = Annotated[str | None, _recipe("clip", "largest gradient norm of a network", kind="<float>")]
Dropout = Annotated[str | None, _recipe("dropout", "dropout probability", kind="<float>")]
AdamEpsilon = Annotated[str | None, _recipe("adam-epsilon", "added to Adam's denominator", kind="<float>")]
WeightDecay = Annotated[str | None, _recipe("weight-decay", "decoupled weight decay", kind="<float>")]
MaxLength = Annotated[str | None, _recipe("max-length", "tokens a text (default: the task's)", kind="<int>")]
Pooling = Annotated[str | None, _recipe("pooling", "auto, cls or mean")]
Precision = Annotated[str | None, _recipe("precision", "auto, no, bf16 or fp16")]

DataDir = Annotated[Path | None, _option("data-dir", "folder with a sub-folder a task, and llm_labels/", "Data")]
TextColumn = Annotated[str | None, _option("text-column", "a CSV's column of texts (default text)", "Data")]
GoldColumn = Annotated[str | None, _option("gold-column", "a CSV's column of gold labels", "Data")]
LabelColumns = Annotated[str | None, _option("label-columns", "a CSV's columns of noisy labels", "Data")]
NoAnswer = Annotated[str | None, _option("no-answer", "values that mean no answer: -1,abstain", "Data")]
Uncovered = Annotated[str | None, _option("uncovered", "texts without weak votes: uniform or drop", "Data")]

Results = Annotated[Path | None, _option("results", "folder of results (default results)", "Running")]
Jobs = Annotated[str | None, _option("jobs", "worker processes on this machine", "Running", kind="<int>")]
Executor = Annotated[
    str | None,
    _option("executor", "local, ray\\[address=auto,gpus=0.25], slurm\\[partition=gpu,hours=24,gpus=1]", "Running"),
]
ProcessesPerCell = Annotated[
    str | None, _option("processes-per-cell", "processes (GPUs) that train one cell together", "Running", kind="<int>")
]
Timeout = Annotated[str | None, _option("timeout", "longest time a cell may take: 90s, 5m, 2h", "Running", "<time>")]
Retry = Annotated[
    str | None, _option("retry", "which cells run again besides unfinished ones: failed (default), none", "Running")
]
Stages = Annotated[
    bool | None,
    Option("--stages/--no-stages", envvar="BENCH_STAGES", help="share stages between cells", rich_help_panel="Running"),
]
Track = Annotated[str | None, _option("track", "tensorboard,wandb,mlflow: curves of every cell", "Running")]
DryRun = Annotated[bool, Option("--dry-run", help="show the cells and their statuses, run nothing")]
Force = Annotated[bool, Option("--force", help="run finished cells again")]
LogJson = Annotated[bool, Option("--log-json", envvar="BENCH_LOG_JSON", help="one JSON line an event")]

NOT_IN_GRID = ("preset", "config", "dry_run", "force", "log_json", "worker")
"""Parameters of `bench run` that are not options of a grid."""
