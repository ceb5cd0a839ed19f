"""The options of `bench run` and `bench status`, one declaration each; every one has a BENCH_* variable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option


def _option(name: str, help: str, panel: str = "Grid"):
    return Option(f"--{name}", envvar="BENCH_" + name.replace("-", "_").upper(), help=help, rich_help_panel=panel)


Methods = Annotated[str | None, _option("methods", "methods: plain,co-teaching,sidyp\\[num_samples=8],plain+ts, my.py")]
Llms = Annotated[str | None, _option("llms", "labellers, or all: mixtral,smollm2,vote(a,b)")]
Tasks = Annotated[str | None, _option("tasks", "tasks, or paths of CSV/JSONL files and WRENCH folders")]
Prompting = Annotated[str | None, _option("prompting", "zero,few (default: all that exist)")]
Noise = Annotated[str | None, _option("noise", "weak,sn@RATE,asn@RATE,idn@RATE")]
Seeds = Annotated[str | None, _option("seeds", "seeds (default 1,2,3)")]
Encoders = Annotated[str | None, _option("encoder", "Hugging Face name, local folder, or minilm; NAME:frozen")]
SentenceEncoder = Annotated[str | None, _option("sentence-encoder", "who embeds sentences (default: the encoder)")]
Preset = Annotated[str | None, _option("preset", "a grid that comes with bench: quickstart, paper")]
Config = Annotated[Path | None, _option("config", "YAML file; its keys are option names")]
Limit = Annotated[int | None, _option("limit", "at most N texts a split, the same for all methods and seeds")]

Epochs = Annotated[int | None, _option("epochs", "passes over the training texts", "Training recipe")]
BatchSize = Annotated[int | None, _option("batch-size", "texts an optimiser step", "Training recipe")]
LearningRate = Annotated[float | None, _option("learning-rate", "peak learning rate", "Training recipe")]
Warmup = Annotated[float | None, _option("warmup", "share of steps with a rising rate", "Training recipe")]
Clip = Annotated[float | None, _option("clip", "largest gradient norm of a network", "Training recipe")]
Dropout = Annotated[float | None, _option("dropout", "dropout probability", "Training recipe")]
AdamEpsilon = Annotated[float | None, _option("adam-epsilon", "added to Adam's denominator", "Training recipe")]
WeightDecay = Annotated[float | None, _option("weight-decay", "decoupled weight decay", "Training recipe")]
MaxLength = Annotated[int | None, _option("max-length", "tokens a text (default: the task's)", "Training recipe")]
Pooling = Annotated[str | None, _option("pooling", "auto, cls or mean", "Training recipe")]
Precision = Annotated[str | None, _option("precision", "auto, no, bf16 or fp16", "Training recipe")]

DataDir = Annotated[Path | None, _option("data-dir", "folder with a sub-folder a task, and llm_labels/", "Data")]
TextColumn = Annotated[str | None, _option("text-column", "a CSV's column of texts (default text)", "Data")]
GoldColumn = Annotated[str | None, _option("gold-column", "a CSV's column of gold labels", "Data")]
LabelColumns = Annotated[str | None, _option("label-columns", "a CSV's columns of noisy labels", "Data")]
Uncovered = Annotated[str | None, _option("uncovered", "texts without weak votes: uniform or drop", "Data")]

Results = Annotated[Path | None, _option("results", "folder of results (default results)", "Running")]
Jobs = Annotated[int | None, _option("jobs", "worker processes on this machine", "Running")]
Stages = Annotated[
    bool | None,
    Option("--stages/--no-stages", envvar="BENCH_STAGES", help="share stages between cells", rich_help_panel="Running"),
]
DryRun = Annotated[bool, Option("--dry-run", help="show the cells and their statuses, run nothing")]
Force = Annotated[bool, Option("--force", help="run finished cells again")]
LogJson = Annotated[bool, Option("--log-json", envvar="BENCH_LOG_JSON", help="one JSON line an event")]

NOT_IN_GRID = ("preset", "config", "dry_run", "force", "log_json")
"""Parameters of `bench run` that are not options of a grid."""
