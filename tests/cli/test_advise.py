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
from bench.report.tables import stats
from bench.running.advice import disagreement_bound
from bench.running.adviser import FEWEST_TEST, Adviser, shared_means
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


def test_what_contradictions_prove():
    answers = np.array([[0, 1, -1, 2], [0, 0, 1, 2], [1, 2, -1, 2]])
    assert disagreement_bound(answers) == pytest.approx(1 - (2 + 1 + 1 + 3) / 10)
    assert disagreement_bound(np.full((2, 3), -1)) is None


@pytest.mark.parametrize(("guess", "mean"), [({"a": [0.1, 0.2], "b": [0.3]}, "21.4"), ({"a": [0.4], "b": [0.5]}, None)])
def test_estimates_that_contradictions_prove_too_low_are_said_to_be(guess, mean):
    from bench.running import advice

    answers = {"a": np.array([0] * 4 + [1] * 4), "b": np.array([1] * 6 + [-1] * 2)}  # 4 of 14 are wrong
    columns = {name: {"train": each, "valid": each[:0], "test": each[:0]} for name, each in answers.items()}
    source = lambda *names: SimpleNamespace(  # noqa: E731
        name="+".join(names), rate=None, cells=[SimpleNamespace(source=SimpleNamespace(members=names))]
    )
    told = SimpleNamespace(
        sources=[source("a"), source("b"), source("a", "b")],
        main=None,
        task=SimpleNamespace(columns=columns, whole=None),
        estimates=lambda each: guess.get(each.name, [0.0]),
    )
    said = advice._wrong(told)[-1]
    assert "at least 28.6 % of their answers are wrong" in said
    assert ("proves the estimates too low" in said) == (mean is not None)
    assert mean is None or f"they are {mean} %." in said


def test_two_labellers_are_told_apart_by_chance_and_a_single_one_by_its_place():
    from bench.running import advice

    def said(rule, *members):
        source = SimpleNamespace(rule=rule, members=members)
        return advice._by_rule(SimpleNamespace(name="x", cells=[SimpleNamespace(source=source)]))

    assert "Where its labellers differ, it takes one of their labels at random." in said("vote", "a", "b")
    assert "at random" not in said("crowdlab", "a", "b")
    assert said("single", "a").startswith("x is used, by rule, since it comes first")


def test_without_records_a_small_table_takes_no_less_than_what_every_cell_costs(bench, tiny_bert):
    """Such a grid took about 45 seconds of the processor: the times per text of large tables, scaled, say 15."""
    path = write_csv(Path("mine.csv"), review_rows(300))
    given = {"encoder": f"{tiny_bert}:frozen", "gold_column": "none", "llms": "ann,bob"}
    plan = advised.advised_plan(str(path), given)
    assert (len(plan.cells), len(plan.cells[0].task.train)) == (45, 200)
    assert 35 < advised.seconds_left(plan, plan.cells, []) < 70


def test_without_records_the_time_is_that_of_documented_constants(bench, reviews, tiny_bert):
    given = {"encoder": f"{tiny_bert}:frozen", "methods": "plain,sidyp", "seeds": "1-2", "llms": "ann"}
    plan = advised.advised_plan(str(reviews), given | {"gold_column": "none"})
    task = plan.cells[0].task
    texts = sum(len(task.texts(split)) for split in ("train", "valid", "test"))
    expected = 2 * (0.15 + 2.0) + 8.0 + (2 * (0.3 + 4.0) * len(task.train) + 10.0 * texts) / 1000
    assert advised.seconds_left(plan, plan.cells, []) == pytest.approx(expected)
    assert advised.seconds_left(plan, [], []) == 0
    tuned = advised.advised_plan(str(reviews), given | {"encoder": str(tiny_bert)})
    assert advised.seconds_left(tuned, tuned.cells, []) is None


def test_an_option_that_advise_lacks_is_not_offered(bench, reviews, tiny_bert, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    told = bench("advise", reviews, "--encoder", tiny_bert, "--methods", "plain", "--seeds", 1, "--dry-run")
    assert told.exit_code == 0, told.stderr
    assert "precision float32" in told.stdout
    assert "--precision" not in told.stdout
    words = ("--encoder", tiny_bert, "--methods", "plain", "--seeds", 1, "--results", "r", "--dry-run")
    assert "--precision bf16 would train" in bench("run", "--tasks", reviews, *words).stdout


def test_methods_that_agree_equally_are_said_to(monkeypatch):
    from bench.running import advice

    monkeypatch.setattr(advice, "_compared", lambda _, ours, theirs, p: f"{ours} with {theirs}")
    agreements = {"plain": {1: 55.0, 2: 57.0}, "npc": {1: 57.0, 2: 55.0}, "elr": {1: 50.0, 2: 50.0}}
    told = SimpleNamespace(ranked=["plain", "npc", "elr"], agreements=agreements, tested=0, by_gold=False)
    said = advice._method(told)
    assert said[0].startswith("Use plain. It agrees with the noisy validation labels best, equally with npc: 56.0 %.")
    assert said[1:] == ["plain with elr"]
    told = SimpleNamespace(ranked=["plain", "npc"], agreements=agreements, tested=0, by_gold=False)
    said = advice._method(told)
    assert said[0].startswith("Use plain. It agrees with the noisy validation labels best, equally with npc: 56.0 %.")
    assert said[1:] == ["plain with npc"]
    told = SimpleNamespace(ranked=["plain", "elr"], agreements=agreements, tested=0, by_gold=False)
    assert advice._method(told)[0].startswith("Use plain. It agrees with the noisy validation labels best: 56.0 %.")


def test_a_method_without_a_rival_is_not_praised():
    from bench.running import advice

    told = SimpleNamespace(ranked=["npc"], agreements={"npc": {1: 70.0}}, tested=0, by_gold=False)
    assert advice._method(told) == [
        "Use npc. It is the only method that ran, so it is compared with none; it agrees with 70.0 % of the noisy "
        "validation labels."
    ]
    told = SimpleNamespace(ranked=["npc", "elr"], agreements={"npc": {1: 70.0}}, tested=12, by_gold=False)
    said = advice._method(told)
    assert said[0].startswith("Use npc. It is the only method that could be scored on noisy validation labels, so")
    assert said[1].startswith("12 test rows have gold: too few")


def test_labels_are_shown_to_be_worse_on_the_rows_that_both_answered():
    from bench.running import advice

    def said(*theirs):
        def source(name, wrong, answered=200, split="train"):
            hits = {(split, row): row not in wrong for row in range(answered)}
            return SimpleNamespace(name=name, rate=wilson(len(wrong), answered), rows=answered, silent=0.0, hits=hits)

        main = source("gpt", np.arange(40))
        sources = [main, source("llama", *theirs)]
        told = SimpleNamespace(
            sources=sources, main=main, estimates=lambda _: [], task=SimpleNamespace(columns={}, whole=None)
        )
        return advice._wrong(told)[1]

    assert "not shown" not in said(np.arange(56))  # 16 rows that llama alone has wrong, none the other way round
    apart = "are not shown to be worse than gpt, which this advice is about (McNemar's exact test on the 200 rows with"
    assert apart in said(np.arange(30, 80))  # 40 against 30
    assert "on the 100 rows with gold that both answered)" in said(np.arange(40), 100)
    disjoint = said(np.arange(56), 200, "test")
    assert disjoint.endswith(" No row with gold was answered by both llama and gpt, so they cannot be compared.")
    assert "McNemar" not in disjoint


def test_a_tie_by_gold_is_broken_as_in_the_sentence_and_the_choice_is_said_to_flatter(monkeypatch):
    from bench.running import advice

    tied = {"elr": {1: 81.0, 2: 79.0, 3: 80.0}, "plain": {1: 80.0, 2: 81.0, 3: 79.0}}
    told = SimpleNamespace(
        accuracies=tied, by_gold=True, competing=tied, tested=140, column="", main=None, results=None
    )
    told.ranked, told.block = Adviser.ranked.func(told), SimpleNamespace(kinds={"": "llm"})
    assert told.ranked == stats.best_two(tied) == ["plain", "elr"]
    monkeypatch.setattr(advice, "Span", lambda *_: None)
    monkeypatch.setattr(advice, "draws_of", lambda *_: (None, ""))
    monkeypatch.setattr(advice, "headline", lambda *_: SimpleNamespace(sentence="…", best="plain"))
    told.main = SimpleNamespace(name="gpt")
    flatters = "test rows with gold (which chose the method: a choice that flatters it)"
    assert advice._method(told) == [f"Use plain. On the 140 {flatters}, last step: …"]
    assert f"the 140 {flatters}. In brackets" in worth_said("57 (41 to 80)", 5, 140, ("npc", "plain"))
    for tested, methods in ((140, ("npc",)), (40, ("npc", "plain"))):  # no choice, or not by these rows
        assert "flatters" not in worth_said("57 (41 to 80)", 5, tested, methods)


def test_methods_are_ranked_by_the_seeds_that_all_have():
    """Npc failed with the hardest seed and is worse with every other."""
    agreements = {"plain": {1: 60.0, 2: 70.0, 3: 30.0}, "npc": {1: 59.0, 2: 69.0}}
    told = SimpleNamespace(agreements=agreements, tested=0, by_gold=False, competing={"elr": {}, **agreements})
    assert Adviser.ranked.func(told) == ["plain", "npc", "elr"]
    assert shared_means(agreements) == {"plain": 65, "npc": 64}
    assert shared_means({"plain": {1: 60.0}, "npc": {2: 59.0, 3: 61.0}}) == {"plain": 60, "npc": 60}
    many = {"plain": {1: 80.0, 2: 60.0, 3: 60.0}, "npc": dict.fromkeys((1, 2, 3), 75.0), "elr": {1: 70.0}}
    assert shared_means(many) == {"plain": pytest.approx(200 / 3), "npc": 75}


def test_a_lead_over_several_methods_is_corrected_for_their_number():
    from bench.running import advice

    best = {1: 60.0, 2: 61.0, 3: 62.0}
    behind = {1: 59.0, 2: 59.7, 3: 60.4}  # p = 0.017
    hits = np.r_[np.ones(60), np.zeros(40)]

    def first(names, one_seed=()):
        agreements = {"npc": best} | dict.fromkeys(names, behind) | {name: {1: 50.0} for name in one_seed}
        competing = {name: dict.fromkeys(scores, name) for name, scores in agreements.items()}
        told = SimpleNamespace(
            ranked=[*agreements], agreements=agreements, tested=0, by_gold=False, competing=competing
        )
        told.valid_hits = lambda name: hits * (name == "npc")
        return advice._method(told)[1]

    assert first(["plain"]).startswith("It is ahead of plain: +1.3 ± 0.7 points over 3 seeds, ")
    assert first(["plain"], "ab").startswith("It is ahead of plain: +1.3 ± 0.7")  # these two have no p
    assert first(["plain", *"abcd"], "ef").startswith(
        "It is not shown to differ from plain (test over seeds corrected for 5 comparisons): +1.3 ± 0.7 points"
    )


def worth_said(text, seeds, tested=40, methods=("npc",)):
    from bench.running import advice

    curve = SimpleNamespace(entry=lambda *_: SimpleNamespace(text=text), fewest_seeds=lambda *_: seeds)
    scores = {"npc": dict.fromkeys(range(seeds), 70.0)}
    told = SimpleNamespace(ranked=methods, column="", accuracies=scores, yardstick=curve, tested=tested)
    told.by_gold = tested >= FEWEST_TEST
    return advice._worth(told)[0]


@pytest.mark.parametrize(("seeds", "over"), [(1, "over these rows;"), (2, "over seeds and these rows;")])
def test_the_interval_of_a_worth_is_over_seeds_where_there_are_several(seeds, over):
    assert f"In brackets: the 95 % interval {over}" in worth_said("57 (41 to 80)", seeds)


def test_the_interval_of_a_worth_is_said_to_be_too_narrow_with_fewer_than_five_seeds():
    few = " A method or a size of the curve has only 3 seeds: with fewer than five the 95 % interval is too narrow."
    assert worth_said("57 (41 to 80)", 3).endswith(f"outside the learning curve.{few}")
    for text, seeds in (("57 (41 to 80)", 5), ("< 10", 3)):  # seeds enough, no interval
        assert worth_said(text, seeds).endswith("outside the learning curve.")


def plan_of(table, encoder, **given):
    return advised.advised_plan(str(table), {"encoder": f"{encoder}:frozen", "methods": "plain", "seeds": "1"} | given)


def test_the_vote_of_the_labellers_that_are_named_is_asked_too(bench, reviews, tiny_bert):
    def sources(llms):
        return [cell.key.noise for cell in plan_of(reviews, tiny_bert, llms=llms, gold_column="none").cells]

    assert sources("ann,bob") == ["ann", "bob", "vote(ann,bob)"]
    assert sources("ann") == ["ann"]
    assert sources("vote(ann,bob),ann") == ["vote(ann,bob)", "ann"]


def test_the_learning_curve_of_human_labels_is_trained_once(bench, reviews, tiny_bert):
    cells = plan_of(reviews, tiny_bert).cells
    curve = [cell for cell in cells if cell.key.method == "gold"]
    assert {cell.key.noise for cell in cells} == {"ann", "bob", "vote(ann,bob)"}
    assert {cell.key.noise for cell in curve} == {"ann"}
    assert len(curve) == len({cell.variant for cell in curve}) > 2


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
