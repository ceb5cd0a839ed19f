"""The private parts of other libraries that bench cannot do without: one function each, tried by one test each."""

from __future__ import annotations

from importlib.metadata import version

from bench.core.errors import BenchError


def forget_accelerator() -> None:
    """Let the next Accelerator have another precision: Accelerate keeps the first one's for good.

    Raises BenchError where the installed Accelerate has no such way.
    """
    from accelerate.state import AcceleratorState

    try:
        AcceleratorState._reset_state()
    except AttributeError as error:
        raise BenchError(
            f"accelerate {version('accelerate')} does not work with bench ({error}): install the version that "
            "constraints.txt names"
        ) from error
