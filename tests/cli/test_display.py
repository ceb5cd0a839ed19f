"""What a running grid shows: a line per cell for people, JSON lines for programs, statuses as a table."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.text import Text

from bench.cli import display
from bench.cli.display import GridDisplay, finished_line, status_table, statuses_by_row
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.running.events import Event, Planned
from bench.running.events import Text as Line
from tests.factories import cell_key, done_record


@pytest.fixture
def cells(reviews, tiny_bert):
    options = {"tasks": str(reviews), "encoder": f"{tiny_bert}:frozen", "methods": "co-teaching,co-teaching[tau=0.2]"}
    return plan(load_options(options | {"llms": "ann", "seeds": "1,2"})).cells


def finished(cell, **changes):
    record, _ = done_record(cell_key())
    return Event("finished", cell, "done", record=record.model_copy(update=changes))


def console():
    return Console(file=io.StringIO(), width=200)


def test_a_finished_cell_is_one_line_with_its_numbers(cells):
    event = finished(cells[0])
    message = event.message
    last = event.record.scores.last
    assert message.accuracy == pytest.approx(last.accuracy, abs=1e-4)
    line = Text.from_markup(finished_line(message, 3, 12)).plain
    assert line == (
        f" 3/12    done reviews · ann · co-teaching · tiny-bert:frozen · seed 1  {event.record.seconds['total']:.1f} s"
        f"  accuracy {100 * last.accuracy:.1f} · ECE {100 * last.ece:.1f} · "
        f"noise {100 * event.record.noise.rate_train:.1f} %  {cells[0].key.hash[:8]}"
    )


def test_what_a_method_warns_of_stands_in_the_line(cells):
    message = finished(cells[0], diagnostics={"warning": "[b]all[/b] is plain"}).message
    assert json.loads(message.line)["warning"] == "[b]all[/b] is plain"
    line = Text.from_markup(finished_line(message, 1, 1)).plain
    assert line.endswith("warning: [b]all[/b] is plain")
    both = finished(cells[0], diagnostics={"warning": "all is plain"}, opened_files=["a.csv"]).message
    assert both.warning.startswith("all is plain; the method opened")
    assert both.warning.endswith("a.csv")


def test_no_gold_is_said(cells):
    message = finished(cells[0], scores=None).message
    assert "accuracy" not in json.loads(message.line)
    assert "no gold: predictions written, no scores" in finished_line(message, 1, 1)


def test_text_from_outside_is_no_markup(cells):
    event = Event("finished", cells[0], "failed", reason="[red]boom[/] \u2014 caf\u00e9")
    line = Text.from_markup(finished_line(event.message, 1, 1)).plain
    assert "[red]boom[/] \u2014 caf\u00e9" in line


def test_json_is_one_parseable_line_an_event_and_nothing_for_progress(cells):
    screen = console()
    events = [Event("started", cells[0], "running"), Event("progress", cells[0], "running", phase="train", total=4)]
    with GridDisplay(screen, 4, as_json=True) as shown:
        for event in [*events, finished(cells[0])]:
            shown(event.message)
    lines = [json.loads(line) for line in screen.file.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["started", "finished"]
    assert {line["hash"] for line in lines} == {cells[0].key.hash}


def test_quiet_shows_nothing_and_counts_on(cells):
    screen = console()
    with GridDisplay(screen, 4, quiet=True) as shown:
        shown(finished(cells[0]).message)
        assert shown.number == 1
    assert screen.file.getvalue() == ""


def test_a_terminal_gets_a_live_table_with_what_runs_and_what_is_left(cells, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(display, "time", SimpleNamespace(monotonic=lambda: now[0]))
    screen = Console(file=io.StringIO(), width=200, force_terminal=True)
    with GridDisplay(screen, 10) as shown:
        now[0] += 60  # starting up
        for cell in cells[:3:2]:
            shown(Event("started", cell, "running").message)
        shown(Event("progress", cells[2], "running", phase="fine-tuning", done=2, total=8).message)
        now[0] += 30
        shown(finished(cells[0]).message)
        frame = console()
        frame.print(shown._table())
    text = frame.file.getvalue()
    assert f"running {cells[2].label}" in text
    assert "fine-tuning 2/8" in text
    assert cells[0].label not in text, "it has ended and stands above"
    assert "1 done · 1 running · 8 left · 2 min" in text
    assert "2.0 cells/min · about 4 min left" in text, "one cell in 30 s, nine to go"


def test_messages_of_workers_go_to_standard_error(cells):
    screen, errors = console(), console()
    with GridDisplay(screen, 1, messages=errors) as shown:
        shown(Line(text="WARNING [bold]x"))
    assert errors.file.getvalue() == "WARNING [bold]x\n"
    assert screen.file.getvalue() == ""


def test_a_planned_cell_as_json(cells):
    planned = Planned(status="skipped", hash=cells[0].key.hash, cell=cells[0].label, reason="why")
    assert json.loads(planned.line) == {
        "event": "planned",
        "status": "skipped",
        "hash": cells[0].key.hash,
        "cell": cells[0].label,
        "reason": "why",
    }


def rendered(table):
    screen = console()
    screen.print(table)
    return screen.file.getvalue()


def test_statuses_are_one_row_a_method_with_seeds_and_changed_parameters(cells):
    shown = [(cell, "done" if cell.key.seed == 1 else "failed", "" if cell.key.seed == 1 else "why") for cell in cells]
    table, reasons = status_table(shown)
    text = rendered(table)
    assert table.row_count == 2
    assert "co-teaching  " in text  # a default that was not changed is not shown
    assert "co-teaching[tau=0.2]" in text
    assert "done (1) · failed (2)" in text
    assert reasons == ["failed: reviews · ann · 2 methods: why (2 cells)"]


def test_a_reason_that_holds_for_several_methods_is_told_once():
    keys = [cell_key(method=method, seed=seed) for method in ("plain", "npc", "cr") for seed in (1, 2)]
    _, reasons = statuses_by_row([(key, key.method, "skipped", "no labels") for key in keys])
    assert reasons == [f"skipped: {keys[0].task} · {keys[0].noise} · 3 methods: no labels (6 cells)"]


def test_a_narrow_terminal_wraps_and_hides_nothing():
    screen = Console(file=io.StringIO(), width=60)
    variant = "co-teaching[tau=0.2,ramp=0.5,exponent=2.0]"
    screen.print(statuses_by_row([(cell_key(method="co-teaching"), variant, "done", "")])[0])
    text = screen.file.getvalue()
    assert "…" not in text
    assert "done" in text


def test_encoder_mode_is_always_named(cells):
    assert ":frozen" in cells[0].label
    tuned = replace(cells[0], key=cells[0].key.model_copy(update={"encoder_mode": "fine-tuned"}))
    assert ":frozen" not in tuned.label
