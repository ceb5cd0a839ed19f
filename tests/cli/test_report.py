"""`bench report`: the page alone, and the page in a browser that follows a running grid."""

import functools
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.command import bench
from tests.factories import cell_key, write_done


@pytest.fixture
def folder(tmp_path):
    for method in ("plain", "gce"):
        write_done(tmp_path / "results", cell_key(method=method))
    return tmp_path / "results"


def test_html_only_writes_the_page_and_the_cells_that_it_shows(folder):
    answer = bench("report", "--results", folder, "--html-only")
    assert answer.exit_code == 0, answer.output
    written = {path.name for path in (folder / "report").iterdir()}
    assert written == {"index.html", "cells.csv", "cells.parquet", "report-files.json"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--html-only", "--format", "md"], "--html-only cannot be combined with --format"),
        (["--compare", "a", "b", "--serve"], "--serve cannot be combined with --compare"),
        (["--compare", "a", "b", "--full"], "--full cannot be combined with --compare"),
        (["--compare", "a", "b", "--html-only"], "--html-only cannot be combined with --compare"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, named):
    answer = bench("report", *options)
    assert answer.exit_code == 2
    assert named in " ".join(answer.stderr.split())


@pytest.mark.parametrize("command", ["report", "status"])
@pytest.mark.parametrize("content", ["", "text,gold\n"])
def test_a_file_that_is_no_pack_is_not_called_a_damaged_one(tmp_path, command, content):
    (tmp_path / "mine.csv").write_text(content)
    answer = bench(command, "--results", tmp_path / "mine.csv")
    said = " ".join(answer.stderr.split())
    assert answer.exit_code == 2
    assert "mine.csv' is neither a results folder nor a packed one: name the folder that `bench run` wrote" in said


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a child")
def test_serve_says_where_the_page_is_and_ends_cleanly_on_interrupt(folder):
    command = [sys.executable, "-m", "bench", "report", "--results", str(folder), "--serve"]
    paths = {"PYTHONPATH": str(Path(__file__).parents[2]), "BROWSER": "true", "COLUMNS": "200"}
    # A suite in the background of a shell ignores the signal, and a child would inherit that.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, env=os.environ | paths, stdout=subprocess.PIPE, text=True, preexec_fn=heed
    ) as served:
        line = served.stdout.readline()
        address = line.split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=30) as reply:
            assert b"data-follow" in reply.read()
        served.send_signal(signal.SIGINT)
        try:
            rest, _ = served.communicate(timeout=60)
        finally:
            served.kill()
        assert served.returncode == 0
    assert "stopped" in rest
    assert "Traceback" not in rest
