"""`bench advise` as typed: one page on a person's own labels, and commands on it that work."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from bench.running.adviser import FEWEST_TEST
from bench.store.intervals import wilson
from tests.conftest import records, review_rows, write_csv

GUESS = "Wrong labels, estimated without gold"


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
    assert "24 cells in mine-advice, 24 still to run: about" in done.stdout
    assert {each.key.noise for each in records(Path("mine-advice"))} == {"ann", "bob", "cat", "vote(ann,bob,cat)"}
    raw, text, commands = page("mine-advice")
    assert GUESS in text
    assert re.search("agrees with the noisy validation labels best(, equally with .*)?: ", text)
    assert "not shown to differ from" in text or "ahead of" in text
    assert "Unknown: it takes gold in more than 10 train rows" in text
    assert "How many labels are wrong, how accurate any model is" in text
    assert "Which labeller is best: vote(ann,bob,cat) is used, by rule, since it is of several labellers" in text
    assert "Of labels that are equally frequent, it takes one at random" in text
    assert "row (from 0) or id" in text
    assert "row (from 0) or id" in done.stdout
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
    main = re.search("About the labels (?:<b>)?([^<]*)", text)[1]
    if "vote" not in main:
        other = {"ann": "bob", "bob": "ann"}[main]
        assert f"clean the vote of both with --llms 'vote({main},{other})'" in text
        assert f"clean the vote of both with --llms 'vote({main},{other})'" in " ".join(done.stdout.split())
    tested = sum(row["split"] == "test" for row in known)
    assert 0 < tested < FEWEST_TEST
    assert f"{tested} test rows have gold: too few to choose a method by" in text
    assert re.search(r"is worth [<>]? ?\d+.* random human labels", text)
    settled = {row["id"] for row in known}
    assert not settled & set(re.findall(r'<th scope="row">(r\d+)</th>', text))


def test_enough_test_rows_with_gold_choose_the_method_by_the_rule_of_the_report(bench, tiny_bert):
    table("mine.csv", ("id", "split", "text", "gold", "ann"), size=720, gold_every=1)
    done = advise(bench, tiny_bert, "mine.csv")
    assert done.exit_code == 0, done.stderr
    _, text, _ = page("mine-advice")
    flatters = r"\(which chose the method: a choice that flatters it\)"
    found = re.search(
        rf"Use (\S+)\. On the 120 test rows with gold {flatters}, last step: .* has the highest accuracy", text
    )
    means = {
        method: np.mean(
            [each.scores.last.accuracy for each in records(Path("mine-advice")) if each.key.method == method]
        )
        for method in ("plain", "co-teaching")
    }
    assert found[1] == max(means, key=means.get)


def test_one_labeller_of_a_table_whose_name_has_no_latin_letter(bench, tiny_bert):
    table("отзывы.csv", ("text", "ann"))
    done = advise(bench, tiny_bert, "отзывы.csv", methods="plain", seeds="1")
    assert done.exit_code == 0, done.stderr
    assert {each.key.noise for each in records(Path("отзывы-advice"))} == {"ann"}
    assert "contradict" not in done.stdout
    assert "Unknown: no gold, one labeller" in done.stdout
    assert "Use plain." in done.stdout
    *_, commands = page("отзывы-advice")
    written = [shlex.split(each)[-1] for each in commands if "--out" in each]
    assert written == [f"отзывы-{what}" for what in ("cleaned.csv", "model", "predictions.csv", "trust.csv")]


def test_a_labeller_that_hardly_answers_is_not_the_one_to_use(bench, tiny_bert):
    rows = [{key: row[key] for key in ("text", "gold", "ann")} for row in review_rows(120)]
    rows = [row | {"cat": row["gold"] if at % 13 == 0 else ""} for at, row in enumerate(rows)]
    wrong = sum(row["ann"] != row["gold"] for row in rows)
    write_csv(Path("mine.csv"), rows)
    done = advise(bench, tiny_bert, "mine.csv", "--llms", "cat,ann,vote(ann,cat)", methods="plain", seeds="1")
    assert done.exit_code == 0, done.stderr
    _, text, (clean, *_) = page("mine-advice")
    assert re.search(r"cat: 0 % of the answers are wrong .*, measured on 10 rows with gold\. 92 % of all rows", text)
    assert f"ann: {100 * wrong / 120:.0f} % of the answers are wrong" in text
    assert "--llms cat" not in clean
    assert not re.search("<td>no answer</td>", text)


def test_a_folder_gets_no_command_that_wants_a_file_and_agreement_is_no_contradiction(bench, tiny_bert):
    Path("two").mkdir()
    for split in ("train", "test"):
        rows = [row for row in review_rows() if row["split"] == split]
        write_csv(
            Path(f"two/{split}.csv"),
            [{"text": r["text"], "gold": r["gold"], "ann": r["ann"], "cat": r["ann"]} for r in rows],
        )
    done = advise(bench, tiny_bert, "two", methods="plain", seeds="1")
    assert done.exit_code == 0, done.stderr
    _, text, commands = page("two-advice")
    assert [command.split()[1] for command in commands] == ["export", "trust", "report"]
    told = bench(*shlex.split(commands[1])[1:])
    assert told.exit_code == 0, told.stderr
    assert "contradict" not in text


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
        "6 cells in mine-advice, 4 still to run"
        in advise(bench, tiny_bert, "mine.csv", "--dry-run", methods=method, seeds="1-2").stdout
    )
    assert advise(bench, tiny_bert, "mine.csv", methods=method, seeds="1-2").exit_code == 0
    assert len(Path("log.txt").read_text().splitlines()) == 6
    again = advise(bench, tiny_bert, "mine.csv", methods=method, seeds="1-2")
    assert "6 cells in mine-advice, 0 still to run: nothing to run" in again.stdout


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
    assert "1 cell in mine-advice, 0 still to run" in again.stdout


def test_an_option_that_advise_lacks_is_not_offered(bench, reviews, tiny_bert, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    told = bench("advise", reviews, "--encoder", tiny_bert, "--methods", "plain", "--seeds", 1, "--dry-run")
    assert told.exit_code == 0, told.stderr
    assert "precision float32" in told.stdout
    assert "--precision" not in told.stdout
    words = ("--encoder", tiny_bert, "--methods", "plain", "--seeds", 1, "--results", "r", "--dry-run")
    assert "--precision bf16 would train" in bench("run", "--tasks", reviews, *words).stdout


def test_nothing_to_compare_is_refused_before_and_after_the_grid(bench, tiny_bert, instant):
    table("mine.csv", ("text", "gold", "ann"), gold_every=1)
    told = advise(bench, tiny_bert, "mine.csv", methods="human,oracle", seeds="1")
    assert (told.exit_code, Path("mine-advice").exists()) == (2, False)
    assert "--methods human,oracle: all of these are given gold or human labels" in told.stderr
    Path("trap").touch()
    told = advise(bench, tiny_bert, "mine.csv", methods=f"{instant}[trap=trap]", seeds="1")
    assert (told.exit_code, Path("mine-advice/advice.html").exists()) == (2, False)
    assert "no method that learns from the noisy labels alone has finished" in told.stderr
    assert re.search("instant, ann: failed, .*the trap snapped", told.stderr)
