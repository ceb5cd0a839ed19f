"""The page on this machine: it follows the records, and answers this machine's browser alone."""

import errno
import os
import shutil
import threading
import urllib.error
import urllib.request

import pytest

from bench.core.errors import UsageError
from bench.report.build import build_report
from bench.report.output import serve as serving
from bench.store.packing import pack
from tests.factories import cell_key, write_done


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A served report: its address, what was told, and how often it was built."""
    monkeypatch.setattr(serving, "SECONDS", 0.05)
    results, out = tmp_path / "results", tmp_path / "results" / "report"
    write_done(results, cell_key())
    stop, told, built, tried, turn = threading.Event(), [], [], [], threading.Condition()

    def note(where, what):
        with turn:
            where.append(what)
            turn.notify_all()

    def build():
        note(tried, len(tried))
        if (results / "broken").exists():
            raise UsageError("a broken folder")
        if (results / "full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        build_report(results, out, formats=["html"])
        note(built, len(built))

    def wait_for(condition):
        with turn:
            assert turn.wait_for(condition, timeout=60)

    watched = (build, results, out, lambda text: note(told, text))
    thread = threading.Thread(target=serving.serve, args=watched, kwargs={"browser": False, "stop": stop})
    thread.start()
    wait_for(lambda: told)
    yield results, out, told, built, wait_for, tried
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()


def read(address, **headers):
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as reply:
        return reply.read().decode(), reply.headers


def test_the_page_is_made_anew_when_a_record_is_written(served):
    results, _, told, built, wait_for, _ = served
    address = told[0].split()[0]
    assert address.startswith("http://127.0.0.1:")
    assert "gce" not in read(address)[0].split("</style>")[1]
    write_done(results, cell_key(method="gce"))
    wait_for(lambda: len(built) == 2)
    page, headers = read(address)
    assert "gce" in page.split("</style>")[1]
    assert headers["Last-Modified"]


def test_only_the_served_page_follows_and_the_file_stays_as_it_is(served):
    _, out, told, *_ = served
    page, _ = read(told[0].split()[0])
    assert '<html lang="en" data-follow>' in page
    assert "connect-src 'self'" in page
    plain = page.replace(" data-follow", "").replace(" connect-src 'self';", "")
    assert plain == (out / "index.html").read_text("utf-8")


def test_a_report_that_cannot_be_made_is_told_and_the_last_one_stays(served):
    results, _, told, _, wait_for, _ = served
    (results / "broken").touch()
    write_done(results, cell_key(method="gce"))
    wait_for(lambda: len(told) == 2)
    assert told[1] == "not updated: a broken folder"
    assert "Noisy-label benchmark" in read(told[0].split()[0])[0]


def test_a_full_disk_is_told_once_and_the_update_is_tried_until_there_is_room(served):
    results, _, told, built, wait_for, tried = served
    (results / "full").touch()
    write_done(results, cell_key(method="gce"))
    wait_for(lambda: len(tried) == 4)  # once at the start, three times without room
    assert told[1:] == ["not updated: [Errno 28] No space left on device"]
    assert len(built) == 1
    (results / "full").unlink()
    wait_for(lambda: len(built) == 2)
    assert "gce" in read(told[0].split()[0])[0].split("</style>")[1]


def test_a_pack_of_somebody_else_is_shown(served, tmp_path):
    results, _, told, built, wait_for, _ = served
    write_done(tmp_path / "theirs", cell_key(method="gce"))
    pack(tmp_path / "theirs")
    shutil.copy(tmp_path / "theirs" / "packed.zip", results / "packed-theirs.zip")
    wait_for(lambda: len(built) == 2)
    assert "gce" in read(told[0].split()[0])[0].split("</style>")[1]


def test_another_name_of_this_machine_is_refused(served):
    address = served[2][0].split()[0]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        read(address, Host="evil.example")


def test_a_report_of_its_own_does_not_count_as_a_change(served):
    results, out, *_ = served
    before = serving.state(results)
    (out / "more.txt").write_text("x")
    (results / "stages").mkdir()
    assert serving.state(results) == before
