"""Training curves and scores in TensorBoard, Weights & Biases or MLflow, through Accelerate's own trackers.

Each cell is a run of its own, named after its record. Trackers are an extra: records hold the results, and a tracker
that fails is reported once and left out for the rest of the cell.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import Unavailable
from bench.grid.cells import Cell
from bench.running.events import Event
from bench.store.folder import ResultsFolder
from bench.training import device, distributed

log = logging.getLogger("bench.tracking")

PROJECT = "noisy-label-bench"


def check_trackers(names: list[str] | None) -> None:
    """Raise Unavailable for a tracker whose package is not installed."""
    for name in names or []:
        if importlib.util.find_spec(name) is None:  # packages have the names of the trackers
            raise Unavailable(f"--track {name} needs the package {name}: pip install {name}, or leave it out")


class Tracked:
    """A listener that tells trackers what it hears, and passes all but the metrics on to the next listener."""

    def __init__(self, listen: Callable[[Event], None], names: list[str], results: Path) -> None:
        self.listen, self.names, self.folder = listen, names, ResultsFolder(results).tracking
        self.open: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if event.kind == "metrics":
            self._all(lambda _, tracker: tracker.log(dict(event.values), step=event.done))
            return
        if event.kind == "started" and distributed.is_first_process():
            self._begin(event.cell)
        if event.kind == "finished" and self.open:
            self._end(event)
        self.listen(event)

    def _begin(self, cell: Cell) -> None:
        device.accelerator(cell.recipe.precision)  # trackers ask its state which process writes
        self.open = {}
        for name in self.names:
            self._try(name, functools.partial(self._start, name, cell))
        self._all(lambda _, tracker: tracker.store_init_configuration(settings(cell)))

    def _start(self, name: str, cell: Cell) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        run = cell.key.path(Path()).relative_to(ResultsFolder("").cells).with_suffix("")
        self.folder.mkdir(parents=True, exist_ok=True)
        kind = LOGGER_TYPE_TO_CLASS[name]
        if name == "tensorboard":  # purge_step: an earlier attempt at this cell is not drawn into the same curve
            tracker = kind(str(run), self.folder / name, purge_step=0)
        elif name == "wandb":
            tracker = kind(PROJECT, name="/".join(run.parts), dir=str(self.folder), reinit="finish_previous")
        else:
            import mlflow

            if "MLFLOW_TRACKING_URI" not in os.environ:
                mlflow.set_tracking_uri(f"sqlite:///{self.folder.absolute()}/mlflow.db")
            artifacts = (self.folder / "mlflow-artifacts").absolute().as_uri()
            tracker = kind(PROJECT, artifacts, run_name="/".join(run.parts))
        tracker.start()
        self.open[name] = tracker

    def _end(self, event: Event) -> None:
        record = event.record
        for point in record.curve if record else []:
            values = {f"curve/{name}": value for name, value in point.model_dump(exclude={"step"}).items()}
            self._summary({name: value for name, value in values.items() if value is not None}, point.step)
        if record is not None and record.scores is not None:
            last = record.scores.last
            scores = {f"last/{n}": v for n, v in last.model_dump(exclude={"step"}).items() if v is not None}
            self._summary(scores, last.step)
        self._summary({"failed": float(event.status == "failed")}, 0)
        self._all(lambda _, tracker: tracker.finish())
        self.open = {}

    def _summary(self, values: dict[str, float], step: int) -> None:
        """Values by the method's own step; W&B, which refuses steps that fall, gets that as a value."""
        stepped = {"wandb": (values | {"curve/step": step}, None)}
        self._all(lambda name, tracker: tracker.log(*stepped.get(name, (values, step))))

    def _all(self, work: Callable[[str, Any], None]) -> None:
        for name, tracker in list(self.open.items()):
            self._try(name, functools.partial(work, name, tracker))

    def _try(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            log.warning("--track %s is left out for this cell: %s: %s", name, type(error).__name__, error)
            self.open.pop(name, None)


def settings(cell: Cell) -> Mapping[str, bool | int | float | str]:
    """What identifies a cell, flat: `task`, `method`, `config.tau`, `recipe.learning_rate`, ..."""
    flat: dict[str, Any] = {"hash": cell.key.hash}
    for name, value in cell.key.model_dump().items():
        flat |= {f"{name}.{part}": each for part, each in value.items()} if isinstance(value, dict) else {name: value}
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in flat.items()}
