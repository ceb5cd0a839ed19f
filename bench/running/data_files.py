"""Where the labelled data of a task lie on disk: the files that a method should never open by itself."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import bench
from bench.core.cache import cache_dir
from bench.data.readers.tables import FORMATS
from bench.data.task import TaskData
from bench.data.tasks import Hub, PackageFiles, Source
from bench.store.folder import ResultsFolder
from llm_labels.labelsets import SETS


class Place(NamedTuple):
    """A file, or a folder with all that is in it, and how a record names it: without folders of this machine."""

    name: str
    path: str  # without links


def data_places(task: TaskData, data_dir: Path | None = None, results: Path | None = None) -> list[Place]:
    """All places where gold or noisy labels of a task may lie.

    The file or folder that it was read from, its folder and the label sets in `data_dir`, the data and label sets that
    come with this project, downloads, and the records in `results`, which hold gold for scoring.
    """
    places = [("bench/data", Path(bench.__file__).parent / "data" / "files"), ("llm_labels/sets", SETS)]
    places += [("downloads", cache_dir() / "downloads")]
    if data_dir is not None:
        places += [(name, Path(data_dir) / name) for name in (task.info.name, "llm_labels", "llm", "published")]
    if results is not None:
        places += [("results/cells", ResultsFolder(results).cells), ("results/packed.zip", results / "packed.zip")]
    for source in task.info.sources:
        places += _of_source(source)
    return [Place(name, os.path.realpath(path)) for name, path in [*places, *_own(Path(task.origin))]]


def names_of(opened: Iterable[str], places: Iterable[Place]) -> list[str]:
    """Those of the opened files (real paths) that lie in a place, by the names that records give them, sorted."""
    found: dict[str, str] = {}
    for path in opened:
        for place in places:
            if path == place.path:
                found.setdefault(path, place.name)
            elif path.startswith(place.path + os.sep):
                found.setdefault(path, f"{place.name}/{Path(path).relative_to(place.path).as_posix()}")
    return sorted(set(found.values()))


def _own(origin: Path) -> list[tuple[str, Path]]:
    """The tables of a user's own file or folder; other files beside them may be a method's own."""
    if origin.is_file():
        return [(origin.name, origin)]
    if not origin.name or not origin.is_dir():
        return []
    tables = [path for path in origin.iterdir() if path.suffix.lower() in FORMATS and path.name != "label.json"]
    return [(f"{origin.resolve().name}/{path.name}", path) for path in tables]


def _of_source(source: Source) -> list[tuple[str, Path]]:
    """Files of another package, and the hub's cache of a data set."""
    if isinstance(source, PackageFiles):
        try:
            package = importlib.metadata.distribution(source.distribution)
        except importlib.metadata.PackageNotFoundError:
            return []
        return [(inside, Path(str(package.locate_file(inside)))) for inside in source.files.values()]
    if isinstance(source, Hub):
        home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
        tables = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets")
        raw = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"datasets--{source.repo.replace('/', '--')}"
        name = source.repo.replace("/", "___").lower()
        return [(source.repo, raw), *((source.repo, each) for each in tables.glob("*") if each.name.lower() == name)]
    return []
