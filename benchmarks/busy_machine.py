"""What small operations on all threads cost on a quiet machine and on one with busy cores, by how long threads spin.

    python -m benchmarks.busy_machine [--spins default,1000,20000,passive]

Prints wall seconds of 3,000 steps of a small network. `bench` sets GOMP_SPINCOUNT to 1000 unless it is set.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STEPS = """
import time, torch
x, weight = torch.randn(128, 768), torch.randn(768, 256)
started = time.perf_counter()
for _ in range(3000):
    torch.softmax((x @ weight).relu_(), -1).sum()
print(time.perf_counter() - started)
"""
BUSY = "while True: pass"


@contextmanager
def busy_cores() -> Iterator[None]:
    """Another process per core that does nothing but compute."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()


def seconds(spins: str) -> float:
    """Wall seconds of the steps in a process of their own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    chosen = {"default": {}, "passive": {"OMP_WAIT_POLICY": "passive"}}.get(spins, {"GOMP_SPINCOUNT": spins})
    command = [sys.executable, "-c", STEPS]
    return float(subprocess.run(command, env=kept | chosen, capture_output=True, check=True).stdout)


def main() -> None:
    """Print a row per setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spins", default="default,1000,20000,passive")
    print("| spins | quiet (s) | another process per core (s) |\n| --- | ---: | ---: |")
    for spins in parser.parse_args().spins.split(","):
        quiet = seconds(spins)
        with busy_cores():
            busy = seconds(spins)
        print(f"| {spins} | {quiet:.1f} | {busy:.1f} |", flush=True)


if __name__ == "__main__":
    main()
