"""`bench pack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.filesize import decimal
from typer import Argument, Option

from bench.cli.shell import app, err, friendly, say
from bench.core.texts import plural


@app.command("pack")
@friendly
def pack(
    results: Annotated[
        Path, Argument(help="results folder", metavar="RESULTS", envvar="BENCH_RESULTS", show_envvar=False)
    ] = Path("results"),
    out_file: Annotated[
        Path | None, Option("--out", help="write the pack to this file and leave the folder as it is", metavar="<file>")
    ] = None,
    undo: Annotated[bool, Option("--undo", help="unpack the cells into files again")] = False,
) -> None:
    """Pack a results folder into one small file, RESULTS/packed.zip, or unpack it again.

    Every command reads a packed folder like an unpacked one. New cells are written
    beside the pack; packing again adds them. Loose files are removed only after
    the new pack has been read back and compared with them. Further packs put into
    the folder as packed-NAME.zip are read too, and packing merges them into one.
    """
    from bench.core.errors import UsageError
    from bench.store.packing import pack as pack_folder
    from bench.store.packing import unpack

    if undo and out_file is not None:
        raise UsageError("--undo writes into the results folder: leave out --out")
    done = unpack(results) if undo else pack_folder(results, out_file)
    for file in done.left:
        say(f"{file.path}: {file.why}", mark="left as it is", style="yellow", to=err)
    cells = plural(done.cells, "cell")
    if undo:
        line = f"{cells} of {done.path} in {results}, {done.moved} of them unpacked now; the pack is removed"
    else:
        loose = "" if out_file else f"; {done.moved} of them were loose, {decimal(done.freed)}"
        line = f"{cells} in {done.path}, {decimal(done.size)}{loose}"
    if done.running:
        line += f"; {done.running} left loose, because they are running"
    if done.twice:
        line += f"; {done.twice} were in several packs; those of the first are kept"
    say(line)
