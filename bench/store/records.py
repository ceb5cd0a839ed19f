"""Result records: one JSON file per cell, written atomically, read tolerantly.

A record holds everything a report needs; beside it an `.npz` holds the test probabilities and the gold
classes, so that every metric can be recomputed without training. Nothing here imports torch.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from bench.core.errors import UsageError, first_problem
from bench.core.files import prepared, signature, slug, write_atomically
from bench.core.hashes import hash_json
from bench.store.folder import SCHEMA, ResultsFolder, packed, record_bytes
from bench.store.parts import (
    CurvePoint,
    DataFacts,
    ErrorFacts,
    NoiseFacts,
    PartialScore,
    ScoreSet,
    StageUse,
    TrainedNoise,
)

Status = Literal["done", "failed", "skipped"]


class CellKey(BaseModel, extra="forbid"):
    """What identifies a cell. Its hash changes with every input that could change a number."""

    task: str
    noise: str  # "mixtral-8x22b/few", "weak", "sn@0.3"
    method: str  # the registered name; with "+ts" when temperature scaling wraps it
    method_version: int
    config: dict[str, Any]  # every hyper-parameter, resolved
    encoder: str  # "minilm", "bert-base-uncased"
    encoder_mode: str = Field(pattern=r"^(fine-tuned|frozen|top[1-9]\d?)$")
    encoder_revision: str  # fingerprint or pinned revision of the weights
    sentence_encoder: str  # model for sentence embeddings, which find neighbours
    recipe: dict[str, Any]  # the shared training recipe, resolved; "processes" where several train the cell together
    options: dict[str, Any] = {}  # options of the noise source and the data, e.g. {"uncovered": "uniform"}
    limit: int | None = None  # at most this many texts per split
    seed: int
    data: str  # fingerprint of texts, gold and noisy labels

    @property
    def hash(self) -> str:
        """64 hex digits over the canonical JSON of the key."""
        return hash_json(self.model_dump())

    @property
    def encoder_selector(self) -> str:
        """The encoder with its mode, as on the command line: `minilm`, `minilm:top2`, `minilm:frozen`."""
        return self.encoder if self.encoder_mode == "fine-tuned" else f"{self.encoder}:{self.encoder_mode}"

    def path(self, results: Path) -> Path:
        """Where the record of this cell lies under a results folder."""
        parts = [slug(part) for part in (self.task, self.noise, self.method, self.encoder_selector)]
        return ResultsFolder(results).record_path(*parts, seed=self.seed, digest=self.hash)


class Record(BaseModel, extra="forbid", populate_by_name=True):
    """One cell's result."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    hash: str
    key: CellKey
    status: Status
    reason: str | None = None  # why skipped or failed, for people
    sees_gold: bool | None = None  # told gold training labels or the true noise rate; None: an old record, see below
    human_labels: int | None = None  # train texts whose gold the method got as bought labels; None: it asked for none
    opened_files: list[str] = []  # data files of the task that the method opened by itself: it then does not compete
    data: DataFacts | None = None
    noise: NoiseFacts | None = None
    scores: ScoreSet | None = None
    partial: dict[str, PartialScore] = {}  # by rule, where only some test texts have gold
    curve: list[CurvePoint] = []
    seconds: dict[str, float] = {}  # by phase; "total" = wall time (marginal cost), "processor" = processor time
    stages: list[StageUse] = []
    peak_memory_mb: float | None = None
    parameters: int | None = None  # trainable parameters of all networks of the method
    device: dict[str, Any] = {}  # name, precision and its reason, threads, processes
    versions: dict[str, str] = {}
    code_version: str = ""
    until_settled: int | None = None  # the most seeds of a run that added them until intervals against plain exclude 0
    command: str = ""  # a command line that reproduces this cell
    created: str = ""  # UTC, ISO 8601
    diagnostics: dict[str, Any] = {}
    error: ErrorFacts | None = None

    @property
    def is_reference(self) -> bool:
        """Whether the method saw gold labels or the true noise rate: shown, but never compared."""
        if self.sees_gold is None:  # written before records said it: then only names told
            return "oracle" in self.key.method or "oracle" in self.key.config.values()
        return self.sees_gold

    @property
    def competes(self) -> bool:
        """Whether its scores may be compared with others': those of methods that knew noisy labels and no more.

        Not so a reference, a method with human labels, or one that opened data.
        """
        return not self.is_reference and self.human_labels is None and not self.opened_files

    @property
    def stand_alone_seconds(self) -> float:
        """Cost had nothing been shared: wall time plus the cost of every reused stage."""
        return self.seconds.get("total", 0.0) + sum(use.seconds for use in self.stages if use.reused)

    @property
    def trained_noise(self) -> TrainedNoise | None:
        """The noise of the labels trained on; None for a cell that ended before its labels were described."""
        noise = self.noise
        if noise is None:
            return None
        silent = noise.no_answer_train
        confusion = noise.confusion() if noise.rate_trained is None and silent else None
        if confusion is None:
            rate = noise.rate_train if noise.rate_trained is None else noise.rate_trained
            return TrainedNoise(rate, silent, expected=bool(silent) and noise.rate_trained is None and rate is not None)
        answered = 0.0 if noise.rate_train is None else noise.rate_train * (1 - silent)
        return TrainedNoise(answered + silent * (1 - 1 / len(confusion)), silent, expected=True)


@dataclass(frozen=True)
class Damaged:
    """A file that is not a record: named, skipped and counted by what reads the folder."""

    path: Path
    why: str


def array_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays as the file that lies beside a record."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy takes every name for allow_pickle
    return buffer.getvalue()


def write_record(record: Record, results: Path, arrays: dict[str, np.ndarray] | None = None) -> Path:
    """Write the arrays, then the record: a record that exists has its own arrays, whenever this is cut off.

    Nothing is replaced before everything is on disk. What a killed process left half-written for the same cell goes:
    the caller holds the cell's lease. Returns the record's path. Raises OSError.
    """
    path = record.key.path(results)
    for stale in path.parent.glob(f".{path.stem}.*.tmp"):
        stale.unlink(missing_ok=True)
    beside = path.with_suffix(".npz")
    text = record.model_dump_json(by_alias=True, indent=1).encode()
    if arrays is None:
        write_atomically(path, text)
        beside.unlink(missing_ok=True)
        return path
    with prepared(beside, array_bytes(arrays)) as put_arrays, prepared(path, text) as put_record:
        path.unlink(missing_ok=True)  # an older record must not stand beside newer arrays
        put_arrays()
        put_record()
    return path


def record_version(path: Path) -> tuple[int, int, int] | None:
    """What tells one version of a record from the next, see `same_version`; None where it cannot be told."""
    loose = signature(path)
    if loose is None and (found := packed(path)):
        return 0, 0, found[0].size(found[1])
    return loose or signature(path)


def same_version(one: tuple[int, int, int] | None, other: tuple[int, int, int] | None) -> bool:
    """Whether two answers of `record_version` mean one record. Packing keeps its bytes but not its file."""
    if one is None or other is None or (one[0] and other[0]):
        return one == other
    return one[2] == other[2]


def has_record(path: Path) -> bool:
    """Whether there is a record for `path`, loose or packed, whatever is in it."""
    return path.exists() or packed(path) is not None or path.exists()


def has_arrays(path: Path) -> bool:
    """Whether the arrays beside a record are there in full."""
    found = packed(path)
    return found[0].names(found[1]) is not None if found else zipfile.is_zipfile(path.with_suffix(".npz"))


def read_record(path: Path) -> Record | Damaged:
    """The record at `path`, loose or packed, or what is wrong with it. Raises UsageError for a newer schema."""
    try:
        return parse_record(path, record_bytes(path))
    except OSError as error:
        return parse_record(path, error)


def parse_record(path: Path, data: bytes | OSError) -> Record | Damaged:
    """The record that `data`, read from `path`, is, or what is wrong with it. Raises UsageError for a newer schema."""
    if isinstance(data, OSError):
        return Damaged(path, f"not readable: {data}")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        return Damaged(path, f"not readable as JSON: {error}")
    if not isinstance(raw, dict) or "schema" not in raw:
        return Damaged(path, "not a result record: it has no 'schema'")
    if not isinstance(raw["schema"], int):
        return Damaged(path, f"its 'schema' is not a number: {str(raw['schema'])[:80]!r}")
    if raw["schema"] > SCHEMA:
        raise UsageError(
            f"{path} has schema {raw['schema']}, this version of bench reads up to {SCHEMA}: "
            "upgrade bench, or name another folder with --results"
        )
    try:
        record = Record.model_validate(raw)
    except ValidationError as error:
        problem = first_problem(error)
        return Damaged(path, f"field {problem.where}: {problem.why}")
    if record.hash != record.key.hash:
        return Damaged(path, "its key does not match its hash: it was edited or torn")
    return record


def read_records(results: Path) -> Iterator[Record | Damaged]:
    """Every record of a results folder, loose or packed, in path order; damaged files come as `Damaged`.

    Raises UsageError for a newer schema, and for a damaged pack.
    """
    for path, data in ResultsFolder(results).record_files():
        yield parse_record(path, data)


def read_arrays(record_path: Path, *names: str) -> dict[str, np.ndarray]:
    """The arrays beside a record.

    Parameters
    ----------
    record_path
        Where the record lies, loose or packed; see `CellKey.path`.
    *names
        The arrays that are wanted; none means all.

    Returns
    -------
    {name: array}
        Those that are there: `test_last`, `test_noisy_valid`, `test_oracle_best` float16[N, C]; `gold` int64[N] where
        known; `bins_count`, `bins_accuracy`, `bins_confidence` float32[15] of the last step; noisy labels (-1 = no
        answer) `train_labels` int16[N_train], `valid_labels` int16[N_valid], and `test_labels` int16[N_test] where the
        labeller gave some; `train_gold` int16[N_train] where known; `valid_last` float16[N_valid, C]. Where the method
        has them, float16[N_train, C] (NaN in rows without an opinion): `train_last` and `train_mean`, running
        predictions of the last step and their mean over all steps, and `train_posterior`, see
        `methods.base.Predictions`; `train_aum` float16[N_train], the area under the margin. `bench.store.opinions`
        reads those of very many values.

    Raises
    ------
    OSError
        Where there are none.
    ValueError, BadZipFile
        For a damaged file.
    UsageError
        For a damaged pack.
    """
    found = packed(record_path)
    if found and (arrays := found[0].arrays(found[1], *names)) is not None:
        return arrays
    with np.load(record_path.with_suffix(".npz"), allow_pickle=False) as file:
        return {name: file[name] for name in file.files if not names or name in names}
