"""A time limit ends what Python can end, is never swallowed, and leaves nothing armed behind."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from bench.core import deadline as module
from bench.core.deadline import CellTimeout, deadline, shown


def test_a_block_that_takes_too_long_is_left_and_one_in_time_is_not():
    with pytest.raises(CellTimeout, match=r"timed out after 0.1s \(--timeout\)"), deadline(0.1):
        time.sleep(60)
    with deadline(60):
        pass


def test_a_timer_outside_goes_on_as_if_nothing_had_been():
    outside = []
    before = signal.signal(signal.SIGALRM, lambda *_: outside.append(1))
    left, again = signal.setitimer(signal.ITIMER_REAL, 0.3)
    with deadline(60):
        pass
    time.sleep(0.5)
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, left, again)
    assert outside == [1]


def test_a_method_that_catches_exceptions_does_not_catch_it():
    with pytest.raises(CellTimeout), deadline(0.1):  # noqa: PT012
        try:
            time.sleep(60)
        except Exception:
            pytest.fail("it is no Exception")


def test_it_comes_again_where_it_was_swallowed(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.1)
    swallowed = []
    with pytest.raises(CellTimeout), deadline(0.1):  # noqa: PT012
        try:
            time.sleep(60)
        except CellTimeout:  # as a callback from native code may do
            swallowed.append(1)
        time.sleep(60)
    assert swallowed == [1]


SLOW = """
import time

end = time.monotonic() + 0.5
while time.monotonic() < end:
    pass
half_done = False
"""


def test_an_import_is_never_left_half_done(tmp_path, monkeypatch):
    """Python would keep what is missing: a library that loads its parts as they are asked for never gets them again."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_to_import.py").write_text(SLOW)
    done = []
    with pytest.raises(CellTimeout), deadline(0.1):  # noqa: PT012
        import slow_to_import

        done.append(slow_to_import.half_done)
        time.sleep(60)
    assert done == [False]


def test_an_import_that_never_ends_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_IMPORT", 0.1)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "endless_to_import.py").write_text("import time\n\ntime.sleep(60)\n")
    with pytest.raises(CellTimeout), deadline(0.1):
        import endless_to_import  # noqa: F401


def test_a_block_within_an_import_has_its_time_limit(tmp_path, monkeypatch):
    """As a script has it that another one imports."""
    monkeypatch.syspath_prepend(tmp_path)
    script = "import time\n\nfrom bench.core.deadline import deadline\n\nwith deadline(0.1):\n    time.sleep(60)\n"
    (tmp_path / "runs_a_grid.py").write_text(script)
    begun = time.monotonic()
    with pytest.raises(CellTimeout):
        import runs_a_grid  # noqa: F401
    assert time.monotonic() - begun < module.LONGEST_IMPORT / 2


def test_no_limit_and_other_threads_are_left_alone():
    before = signal.getsignal(signal.SIGALRM)
    with deadline(None):
        assert signal.getsignal(signal.SIGALRM) == before
    seen = []

    def work():
        with deadline(0.01):
            time.sleep(0.1)
        seen.append("finished")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == ["finished"]


@pytest.mark.parametrize(("seconds", "text"), [(90, "90s"), (300, "5m"), (7200, "2h"), (0.5, "0.5s"), (5400, "90m")])
def test_durations_are_shown_as_they_are_given(seconds, text):
    from bench.grid.options import load_options

    assert shown(seconds) == text
    assert load_options({"timeout": text}).timeout == seconds
