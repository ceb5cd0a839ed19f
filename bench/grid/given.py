"""The options of a grid as a person gives them from Python, by name and type, so that editors complete them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

Words = str | Sequence[str]
"""A comma list, or a list of names."""


class Given(TypedDict, total=False):
    """The options of `bench run`, with underscores; `bench.grid.options.GridOptions` says what each means."""

    methods: Words
    tasks: Words
    llms: Words
    prompting: Words
    noise: Words
    seeds: str | int | Sequence[int | str]
    encoder: Words
    sentence_encoder: str
    limit: int
    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float
    clip: float
    dropout: float
    adam_epsilon: float
    weight_decay: float
    max_length: int
    pooling: Literal["auto", "cls", "mean"]
    precision: Literal["auto", "no", "bf16", "fp16"]
    processes_per_cell: int
    data_dir: str | Path
    text_column: str
    gold_column: str
    label_columns: Words
    no_answer: Words
    uncovered: Literal["uniform", "drop"]
    results: str | Path
    executor: str
    jobs: int
    timeout: str | float
    retry: Literal["failed", "none"]
    until_settled: int
    stages: bool
    track: Words
