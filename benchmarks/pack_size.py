"""What a pack saves, and what reading it costs. From the repository root:

    python -m benchmarks.pack_size [FOLDER]        (default: results/reference/frozen)

Lays the cells of FOLDER out as files in a temporary folder, packs a copy of it, and compares: bytes; seconds to read
all records, all test predictions, all reliability bins, and one record; seconds of `bench report`. Loose and packed
take turns, so that both meet the same machine.

Seen for the 1,360 cells of frozen on one shared core of an AMD EPYC, processor seconds, median of 3: 46.8 MB loose,
19.1 MB packed; packing 17 s; records 0.70 loose, 0.99 packed; predictions 0.77 and 0.65; bins 0.58 and 0.41; one cell
0.02 and 0.06; `bench report` 10.8 and 10.8.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.report import frame
from bench.report.build import build_report
from bench.store.folder import ResultsFolder
from bench.store.pack import _opened
from bench.store.packing import pack, unpack
from bench.store.records import read_arrays, read_record

ROUNDS = 3


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "format.json")


def seconds(action: Callable[[], object]) -> float:
    """Processor seconds of an action, nothing kept open from before."""
    _opened.cache_clear()
    started = time.process_time()
    action()
    return time.process_time() - started


def one_cell(folder: Path) -> None:
    path = ResultsFolder(folder).record_paths()[-1]
    read_record(path)
    read_arrays(path, "test_last", "gold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("results/reference/frozen"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        loose, packed, out = (Path(temporary) / name for name in ("loose", "packed", "out"))
        shutil.copytree(asked.folder, loose, ignore=shutil.ignore_patterns("report", "stages", "claims"))
        if ResultsFolder(loose).packs():
            unpack(loose)
        shutil.copytree(loose, packed)
        print(f"packing: {seconds(lambda: pack(packed)):.1f} s")
        results = {folder: frame.load(folder) for folder in (loose, packed)}
        cells = list(results[loose].by_cell)
        print(f"{len(cells)} cells: loose {size(loose) / 1e6:.2f} MB, packed {size(packed) / 1e6:.2f} MB")
        actions = {
            "records": frame.load,
            "test predictions": lambda folder: [results[folder].right(cell) for cell in cells],
            "reliability bins": lambda folder: [results[folder].bins(cell) for cell in cells],
            "one cell": one_cell,
            "bench report": lambda folder: build_report(folder, out),
        }
        for name, action in actions.items():
            taken: dict[Path, list[float]] = {loose: [], packed: []}
            for _ in range(ROUNDS):
                for folder, times in taken.items():
                    times.append(seconds(functools.partial(action, folder)))
            medians = [statistics.median(times) for times in taken.values()]
            print(f"{name:<18} loose {medians[0]:6.3f} s   packed {medians[1]:6.3f} s")


if __name__ == "__main__":
    main()
