"""Which columns of a user's table are labellers', and that nothing is re-read, dropped or filled in silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.data.load import load_task
from bench.data.readers.columns import is_labellers_header, is_metadata_header
from bench.grid.options import GridOptions, load_options
from bench.noise.draw import draw
from bench.noise.facts import noise_facts
from bench.noise.select import sources_for
from bench.running.cell import data_facts
from tests.data.own import (
    COIN,
    GOLD,
    GUESS,
    NAMES,
    N,
    named,
    note,
    refused,
    with_some,
    write,
)

# columns


def test_flags_folds_years_and_the_index_are_no_labellers(task):
    right, flag = [row % 2 for row in range(N)], [row // 2 % 2 for row in range(N)]
    fits = {"is_reply": flag, "sarcasm": flag, "fold": right, "year": [2020 + each for each in right]}
    read = task({"gold": right, "gpt": right, "Unnamed: 0": range(N), **fits})
    assert list(read.columns) == ["gpt"]
    assert all(f"{name} (" in note(read).partition("ignored:")[2] for name in (*fits, "Unnamed: 0"))
    assert list(task({"gold": right, "sarcasm": flag}, label_columns=["sarcasm"]).columns) == ["sarcasm"]


def test_numbers_under_any_header_are_a_labellers_if_they_agree_with_gold(task):
    read = task({"gold": GOLD, "anna": GUESS, "x": COIN})
    assert list(read.columns) == ["anna"]
    assert "x ('0', '1' match the classes, but it agrees with gold no more than by chance" in note(read)


def test_headers_tell_labellers_from_metadata():
    assert all(map(is_labellers_header, ["gpt4", "GPT-4o", "Mixtral 8x22B", "annotator_1", "label_b", "llm", "rater2"]))
    assert all(map(is_metadata_header, ["fold", "is_reply", "year", "gpt_confidence", "isReply", "label_count"]))
    assert not any(is_labellers_header(name) for name in ["topic", "sarcasm", "gpt_score", "x"])


def test_every_column_left_out_is_named_with_its_reason(task):
    odd = {
        "url": [f"https://x/{row}" for row in range(N)],
        "llama": [name[:3] for name in named(GUESS)],
        "empty": [""] * N,
    }
    read = task({"gold": named(GOLD), "gpt": named(GUESS), "score": [each / 2 for each in GOLD], **odd})
    assert list(read.columns) == ["gpt"]
    ignored = note(read).partition("ignored: ")[2]
    assert "url (60 different values, such as 'https://x/0')" in ignored
    assert "llama (60 of 60 values, such as 'neg', 'neu', are not classes)" in ignored
    assert "empty (no values)" in ignored
    assert "score (decimal numbers" in ignored


def test_explanations_among_the_answers_are_refused_with_examples(task):
    explained = [f"{name} - because {row}" if row % 3 == 0 else name for row, name in enumerate(named(GUESS))]
    columns = {"gold": named(GOLD), "gpt": explained, "mix": named(GUESS)}
    refused(lambda: task(columns), "column gpt, row 1", "20 of 60", "because 12", "--label-columns")
    read = task(columns, label_columns=["mix"])
    assert "gpt (not in --label-columns)" in note(read)


def test_a_run_that_finds_no_labeller_is_refused_with_the_columns(task):
    read = task({"gold": named(GOLD), "llama": [name[:3] for name in named(GUESS)]})
    with pytest.raises(UsageError, match=r"no column is read as a labeller's: llama \(60 of 60.*--label-columns"):
        sources_for(read)
    with pytest.raises(UsageError, match="column 'llama' of task mine is not read as a labeller's: 60 of 60"):
        sources_for(read, llms=["llama"])
    assert [source.id for source, _ in sources_for(read, noise=["sn@0.2"])] == ["sn@0.2"]


def test_without_gold_the_classes_are_those_of_the_columns_that_overlap(task):
    platform = [("web", "app")[each] for each in COIN]
    read = task({"gpt4": named(GUESS), "mixtral": named(GOLD), "platform": platform})
    assert read.label_names == NAMES
    assert list(read.columns) == ["gpt4", "mixtral"]
    assert "platform ('app', 'web': no value in common with gpt4, mixtral)" in note(read)
    for columns in ({"gpt": named(GUESS), "source": platform, "lang": named(COIN)}, {"source": platform}):
        columns = columns | ({"lang": [("de", "en")[each] for each in COIN]} if "lang" in columns else {})
        refused(lambda columns=columns: task(columns), "source", "'app', 'web'", "--label-columns")
    chosen = task({"gpt": named(GUESS), "source": platform}, label_columns=["gpt"])
    assert chosen.label_names == NAMES
    both = {"gpt": named(GUESS), "source": platform}
    refused(lambda: task(both, label_columns=["gpt", "source"]), "share no value", "label.json")
    refused(lambda: task({"gpt": with_some(named(GUESS), "unsure")}), "'unsure' in 9 of 60", "--no-answer unsure")


def test_without_gold_a_column_that_cannot_name_the_classes_is_refused_with_the_reason(task):
    often = [f"class {row % 58}" for row in range(2 * N)]
    refused(lambda: task({"gpt": often}), "gpt: 58 different values, more than 50, such as 'class 0'")
    assert len(task({"gpt": often}, label_columns=["gpt"]).label_names) == 58
    few = [f"class {row % 40}" for row in range(N)]
    refused(lambda: task({"gpt": few}), "gpt: 40 different values, in 60 rows, such as 'class 0'")
    refused(lambda: task({"gpt": ["neutral"] * N}), "gpt: only one value, 'neutral'")
    refused(lambda: task({"gpt": ["n/a", "-"] * 30}, no_answer=["-"]), "gpt: no values")


def test_gold_of_one_class_says_that_labellers_add_none(task):
    some = ["positive" if row % 20 == 0 else "" for row in range(N)]
    columns = {"gold": some, "gpt": named(GUESS), "mix": named(GOLD)}
    only_if = "labellers' columns can add classes only if gold has at least two"
    refused(lambda: task(columns), "column gold: gold has only the class 'positive', and a task needs", only_if)
    assert task(columns, labels=NAMES).label_names == NAMES


def test_gold_that_is_declined_is_not_taken_for_a_labeller(task):
    read = task({"gold": named(GOLD), "gpt": named(GUESS), "mix": named(GUESS)}, gold_column="none")
    assert read.gold.test is None
    assert list(read.columns) == ["gpt", "mix"]
    assert "gold (--gold-column none)" in note(read)


@pytest.mark.parametrize(
    "headers", [("Text", "Gold", "Split"), (" TEXT ", " gold", "set"), ("text", "Gold Label", "fold")]
)
def test_headers_match_without_regard_to_case_and_space(task, headers):
    split = [("train", "train", "Test")[row % 3] for row in range(N)]
    columns = dict(zip((*headers, " gpt"), ([f"t{r}" for r in range(N)], named(COIN), split, named(COIN)), strict=True))
    read = task(columns)
    assert read.test.texts == tuple(f"t{row}" for row in range(N) if row % 3 == 2)
    assert read.gold.train is not None
    assert list(read.columns) == ["gpt"]
    assert f"split = {headers[2].strip()}" in note(read)


def test_a_split_column_that_is_only_half_one_is_refused(task):
    half = [("train", "test", "holdout")[row % 3] for row in range(N)]
    refused(
        lambda: task({"gold": named(GOLD), "fold": half}), "column 'fold' contains train and test, but also 'holdout'"
    )
    two = {name: [("train", "test")[each] for each in COIN] for name in ("part", "phase")}
    refused(lambda: task({"gold": named(GOLD), **two}), "'part', 'phase' all contain train and test")
    refused(lambda: task({"gold": named(GOLD), "Gold": named(GOLD)}), "two columns named 'gold', ignoring case")


# folders


def folder(path: Path, **tables: dict) -> str:
    path.mkdir()
    for split, columns in tables.items():
        write(path / f"{split}.csv", columns)
    return str(path)


def test_names_in_one_file_and_numbers_in_another_are_refused(tmp_path):
    tables = {"train": {"label": named(GOLD)}, "test": {"label": GOLD}}
    with pytest.raises(UsageError, match=r"both names \('negative', .* and numbers \('0', '1', '2'\)"):
        load_task(folder(tmp_path / "a", **tables))
    tables = {"train": {"label": named(GOLD), "gpt": named(GOLD)}, "test": {"label": named(GOLD), "gpt": GOLD}}
    with pytest.raises(UsageError, match=r"test\.csv, column gpt, row 1: .*'0', '1', '2' are outside.* mixed"):
        load_task(folder(tmp_path / "b", **tables))
    tables = {"train": {"label": named(GOLD)}, "test": {"label": ["bad", "good"]}}
    with pytest.raises(UsageError, match=r"no gold class of test \(bad, good\) occurs in train"):
        load_task(folder(tmp_path / "c", **tables))


def test_a_labeller_without_test_answers_has_no_accuracy(tmp_path):
    tables = {s: {"gold": named(GOLD), "gpt": named(GUESS)} for s in ("train", "valid")} | {
        "test": {"gold": named(GOLD)}
    }
    read = load_task(folder(tmp_path / "mine", **tables))
    ((source, _),) = sources_for(read)
    facts = noise_facts(draw(source, read, 1), read.gold, 3)
    assert facts.labeller_test_accuracy is None
    assert facts.labeller_test_no_answer == 1
    assert facts.rate_train == pytest.approx(np.mean(np.array(GOLD) != np.array(GUESS)))
    assert "gpt (not in test)" in note(read)


def test_a_labeller_without_train_answers_is_a_skipped_row(tmp_path):
    tables = {"train": {"gold": named(GOLD), "gpt": [""] * N}, "test": {"gold": named(GOLD), "gpt": named(GUESS)}}
    ((_, why),) = sources_for(load_task(folder(tmp_path / "mine", **tables)))
    assert "gpt has no answer for any train text" in why


def test_whole_numbers_of_a_wrench_folder_are_ids_even_where_class_names_are_numbers(tmp_path):
    (tmp_path / "label.json").write_text('{"0": "1", "1": "2"}')
    for split in ("train", "test"):
        rows = {f"{split}{row}": {"label": row % 2, "data": {"text": f"{split} {row}"}} for row in range(10)}
        (tmp_path / f"{split}.json").write_text(json.dumps(rows))
    assert load_task(str(tmp_path)).gold.test.tolist() == [0, 1] * 5


# what is told


def test_the_record_keeps_what_was_understood(task):
    read = task({"gold": named(GOLD), "gpt": with_some(named(GUESS), "")})
    assert data_facts(read).notes == [note(read)]
    assert note(read) == (
        "gold = gold, 3 classes: negative, neutral, positive; split 70/10/20 at random; labellers: gpt (15 % no answer)"
    )


def test_a_plan_says_what_was_understood_and_how_many_labels_are_drawn_at_random(tmp_path, tiny_bert):
    from bench.grid.cells import plan

    sparse = [name if row % 10 == 0 else "" for row, name in enumerate(named(GOLD))]
    path = write(tmp_path / "mine.csv", {"gold": named(GOLD), "a0": sparse})
    given = {"tasks": str(path), "encoder": f"{tiny_bert}:frozen", "seeds": "1", "results": str(tmp_path / "r")}
    made = plan(load_options(given))
    share = np.mean([row % 10 != 0 for row in map(int, made.cells[0].task.train.ids)])
    assert any(line.startswith("mine: gold = gold, 3 classes") and "a0 (90 % no answer)" in line for line in made.notes)
    assert (
        f"mine: train texts without an answer, which get a class drawn uniformly at random: a0 {100 * share:.1f} %"
        in made.notes
    )


def test_no_answer_is_a_list_and_part_of_the_command_that_makes_a_cell_again(tmp_path, tiny_bert):
    from bench.grid.cells import plan

    assert load_options({"no_answer": "-1,abstain"}).no_answer == ["-1", "abstain"]
    assert load_options({"no_answer": -1}).no_answer == ["-1"]
    assert GridOptions().no_answer is None
    path = write(tmp_path / "mine.csv", {"gold": named(GOLD), "gpt": with_some(named(GUESS), "abstain")})
    given = {"tasks": str(path), "encoder": f"{tiny_bert}:frozen", "seeds": "1", "no_answer": "abstain"}
    (cell,) = plan(load_options(given)).cells
    assert "--no-answer abstain" in cell.command
