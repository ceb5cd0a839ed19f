"""`bench advise` as typed: one page on a person's own labels, and commands on it that work."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.grid import advised
from bench.running.advice import disagreement_bound
from bench.running.adviser import FEWEST_TEST
from bench.store.intervals import wilson
from tests.conftest import records, review_rows, write_csv

GUESS = "by an estimate that sees no gold"


def table(name, columns, size=120, gold_every=0):
    """Review rows with some of their columns, gold in one row of `gold_every`, and a text that is markup."""
    rows = review_rows(size)
    rows[1]["text"] += " <script>alert(1)</script>"
    for at, row in enumerate(rows):
        row["cat"] = row["ann"] if at % 3 else row["bob"]
        row["gold"] = row["gold"] if gold_every and at % gold_every == 0 else ""
    return write_csv(Path(name), [{column: row[column] for column in columns} for row in rows]), rows


def advise(bench, encoder, name, *words, methods="plain,co-teaching", seeds="1-3"):
    common = ("--encoder", f"{encoder}:frozen", "--epochs", 1, "--methods", methods, "--seeds", seeds)
    return bench("advise", name, *common, *words)


def page(folder):
    text = (Path(folder) / "advice.html").read_text("utf-8")
    commands = [html.unescape(each) for each in re.findall("<code>(bench .*?)</code>", text)]
    return text, html.unescape(text), commands


def test_three_labellers_without_gold_and_every_command_of_the_page(bench, tiny_bert):
    table("mine.csv", ("text", "ann", "bob", "cat"))
    done = advise(bench, tiny_bert, "mine.csv")
    assert done.exit_code == 0, done.stderr
    assert "24 cells, 24 of them to run, in mine-advice: about" in done.stdout
    assert {each.key.noise for each in records(Path("mine-advice"))} == {"ann", "bob", "cat", "vote(ann,bob,cat)"}
    raw, text, commands = page("mine-advice")
    assert GUESS in text
    assert re.search("agrees (best|as well as .*) with the noisy validation labels", text)
    assert "not shown to differ from" in text or "ahead of" in text
    assert "Unknown: that needs gold in more than 10 train rows" in text
    assert "How many labels are wrong, how accurate any model is" in text
    assert "the vote of all is used" in text
    assert "<script" not in raw
    assert len(re.findall('<tr><th scope="row">', raw)) == 2 + 20
    assert [command.split()[1] for command in commands] == ["clean", "export", "predict", "trust", "report"]
    for command in commands:
        assert command in done.stdout
        told = bench(*shlex.split(command)[1:])
        assert told.exit_code == 0, (command, told.stderr)
    for written in ("mine-cleaned.csv", "mine-trust.csv", "mine-predictions.csv"):
        assert len(Path(written).read_text("utf-8").splitlines()) == 121


def test_fifty_rows_with_gold_measure_the_labels_and_give_a_yardstick(bench, tiny_bert):
    _, rows = table("mine.csv", ("id", "split", "text", "gold", "ann", "bob"), size=250, gold_every=5)
    done = advise(bench, tiny_bert, "mine.csv", seeds="1-2")
    assert done.exit_code == 0, done.stderr
    _, text, _ = page("mine-advice")
    known = [row for row in rows if row["gold"]]
    for name in ("ann", "bob"):
        value, low, high = (100 * each for each in wilson(sum(row[name] != row["gold"] for row in known), len(known)))
        assert f"{name}: {value:.0f} % of the answers are wrong (95 % interval {low:.0f} to {high:.0f} %)" in text
    assert "measured on 50 rows with gold" in text
    assert GUESS not in text
    tested = sum(row["split"] == "test" for row in known)
    assert 0 < tested < FEWEST_TEST
    assert f"{tested} test rows have gold: too few to choose by" in text
    assert re.search(r"is worth [<>]? ?\d+.* random human labels", text)
    settled = {row["id"] for row in known}
    assert not settled & set(re.findall(r'<th scope="row">(r\d+)</th>', text))


def test_enough_test_rows_with_gold_choose_the_method_by_the_rule_of_the_report(bench, tiny_bert):
    table("mine.csv", ("id", "split", "text", "gold", "ann"), size=720, gold_every=1)
    done = advise(bench, tiny_bert, "mine.csv")
    assert done.exit_code == 0, done.stderr
    _, text, _ = page("mine-advice")
    found = re.search(r"Use (\S+)\. By the 120 test rows with gold, last step: .* has the highest accuracy", text)
    means = {
        method: np.mean(
            [each.scores.last.accuracy for each in records(Path("mine-advice")) if each.key.method == method]
        )
        for method in ("plain", "co-teaching")
    }
    assert found[1] == max(means, key=means.get)


def test_one_labeller(bench, tiny_bert):
    table("one.csv", ("text", "ann"))
    done = advise(bench, tiny_bert, "one.csv", methods="plain", seeds="1")
    assert done.exit_code == 0, done.stderr
    assert {each.key.noise for each in records(Path("one-advice"))} == {"ann"}
    assert "contradict" not in done.stdout
    assert "Unknown: no gold, one labeller" in done.stdout
    assert "Use plain." in done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ann,bob\npositive,negative\n", "text"),
        ("text,number\n" + "".join(f"hello {at},{at}.5\n" for at in range(9)), "label"),
        ("", "empty"),
        (None, "'mine.csv' does not exist: name a CSV"),
    ],
)
def test_a_broken_table_gives_the_readers_message_and_writes_nothing(bench, tiny_bert, content, said):
    if content is not None:
        Path("mine.csv").write_text(content, "utf-8")
    done = advise(bench, tiny_bert, "mine.csv")
    assert done.exit_code == 2
    assert done.stderr.startswith("error:")
    assert said in done.stderr
    assert not Path("mine-advice").exists()


def test_the_same_command_goes_on_after_an_interrupt(bench, tiny_bert, instant, monkeypatch):
    from bench.running import runner

    table("mine.csv", ("text", "ann", "bob"))
    method, real = f"{instant}[log=log.txt]", runner.run_cell
    calls = iter(range(99))

    def interrupted(*words, **named):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*words, **named)

    monkeypatch.setattr(runner, "run_cell", interrupted)
    stopped = advise(bench, tiny_bert, "mine.csv", methods=method, seeds="1-2")
    assert stopped.exit_code == 130
    assert not Path("mine-advice/advice.html").exists()
    monkeypatch.setattr(runner, "run_cell", real)
    assert (
        "6 cells, 4 of them to run"
        in advise(bench, tiny_bert, "mine.csv", "--dry-run", methods=method, seeds="1-2").stdout
    )
    assert advise(bench, tiny_bert, "mine.csv", methods=method, seeds="1-2").exit_code == 0
    assert len(Path("log.txt").read_text().splitlines()) == 6
    again = advise(bench, tiny_bert, "mine.csv", methods=method, seeds="1-2")
    assert "6 cells, 0 of them to run, in mine-advice: nothing to run" in again.stdout


def test_a_folder_with_the_advice_on_another_table_is_not_written_to(bench, tiny_bert):
    for folder in "ab":
        Path(folder).mkdir()
        table(f"{folder}/mine.csv", ("text", "ann"))
    words = {"methods": "plain", "seeds": "1"}
    assert advise(bench, tiny_bert, "a/mine.csv", **words).exit_code == 0
    before = Path("mine-advice/advice.html").read_bytes()
    refused = advise(bench, tiny_bert, "b/mine.csv", **words)
    assert refused.exit_code == 2
    assert "mine-advice holds the advice on another table, a/mine.csv: name a folder" in refused.stderr
    assert "b/mine.csv with --results" in refused.stderr
    assert (len(records(Path("mine-advice"))), Path("mine-advice/advice.html").read_bytes()) == (1, before)
    assert advise(bench, tiny_bert, "b/mine.csv", "--results", "b-advice", **words).exit_code == 0
    again = advise(bench, tiny_bert, Path("a/mine.csv").absolute(), **words)
    assert "1 cell, 0 of them to run, in mine-advice" in again.stdout


def test_what_contradictions_prove():
    answers = np.array([[0, 1, -1, 2], [0, 0, 1, 2], [1, 2, -1, 2]])
    assert disagreement_bound(answers) == pytest.approx(1 - (2 + 1 + 1 + 3) / 10)
    assert disagreement_bound(np.full((2, 3), -1)) is None


def test_without_records_the_time_is_that_of_documented_constants(bench, reviews, tiny_bert):
    given = {"encoder": f"{tiny_bert}:frozen", "methods": "plain,sidyp", "seeds": "1-2", "llms": "ann"}
    plan = advised.advised_plan(str(reviews), given | {"gold_column": "none"})
    task = plan.cells[0].task
    texts = sum(len(task.texts(split)) for split in ("train", "valid", "test"))
    expected = (2 * (0.3 + 4.0) * len(task.train) + 10.0 * texts) / 1000
    assert advised.seconds_left(plan.cells, plan.cells, []) == pytest.approx(expected)
    assert advised.seconds_left(plan.cells, [], []) == 0
    tuned = advised.advised_plan(str(reviews), given | {"encoder": str(tiny_bert)})
    assert advised.seconds_left(tuned.cells, tuned.cells, []) is None


def test_methods_that_agree_equally_are_said_to(monkeypatch):
    from bench.running import advice

    monkeypatch.setattr(advice, "_compared", lambda *_: "")
    agreements = {"plain": {1: 55.0, 2: 57.0}, "npc": {1: 57.0, 2: 55.0}, "elr": {1: 50.0, 2: 50.0}}
    told = SimpleNamespace(ranked=["plain", "npc", "elr"], agreements=agreements, tested=0)
    assert advice._method(told)[0].startswith(
        "Use plain. It agrees as well as npc, better than the others, with the noisy validation labels: 56.0 %."
    )
    told = SimpleNamespace(ranked=["plain", "npc"], agreements=agreements, tested=0)
    assert advice._method(told)[0].startswith("Use plain. It agrees as well as npc with the noisy validation labels:")
    told = SimpleNamespace(ranked=["plain", "elr"], agreements=agreements, tested=0)
    assert advice._method(told)[0].startswith("Use plain. It agrees best with the noisy validation labels: 56.0 %.")
