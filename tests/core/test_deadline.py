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
