"""Options of a grid: option > environment > file > preset > default, and errors that name option, value, way out."""

from __future__ import annotations

import inspect

import pytest
import yaml

from bench.cli import run
from bench.core.errors import UsageError
from bench.core.selectors import unquoted
from bench.grid.cells import Plan
from bench.grid.options import PRESETS, GridOptions, load_options
from bench.running.executors.base import dump_options


def test_defaults_are_those_of_the_model():
    assert load_options({}) == GridOptions()


@pytest.mark.parametrize(
    "value", ["plain, co-teaching[tau=0.2,ramp=1],npc", ["plain", "co-teaching[tau=0.2,ramp=1]", "npc"]]
)
def test_lists_are_comma_strings_or_lists_and_brackets_hold_together(value):
    assert load_options({"methods": value}).methods == ["plain", "co-teaching[tau=0.2,ramp=1]", "npc"]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1-3", [1, 2, 3]), ("7,1-3,2", [7, 1, 2, 3]), ("4-4", [4]), (["0 - 2", 9], [0, 1, 2, 9])],
)
def test_seeds_may_be_ranges(text, seeds):
    assert load_options({"seeds": text}).seeds == seeds


def test_a_path_of_a_file_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "grid.yaml"
    lines = ["results: ~/r", "data_dir: ~/d", "tasks: [~/mine.csv]", "methods: 'plain,~/m.py[x=~/f]'"]
    path.write_text("\n".join([*lines, "encoder: ~/bert:frozen", "no_answer: a~/b"]), encoding="utf-8")
    options = load_options({}, path)
    assert options.methods == ["plain", f"{tmp_path}/m.py[x={tmp_path}/f]"]
    assert (options.encoder, options.no_answer) == ([f"{tmp_path}/bert:frozen"], ["a~/b"])
    assert (options.results, options.data_dir, options.tasks) == (
        tmp_path / "r",
        tmp_path / "d",
        [f"{tmp_path}/mine.csv"],
    )


@pytest.mark.parametrize("text", ["3-1", "1-", "-1", "1-2-3", "1-9999999999", "a-b", "1.0-2"])
def test_a_range_that_does_not_go_up_is_refused(text):
    with pytest.raises(UsageError, match="--seeds"):
        load_options({"seeds": text})


def test_a_range_that_does_not_go_up_is_named_once():
    for text, said in (("5-1", "--seeds = '5-1': a range of"), ("1,5-1", "--seeds = '1,5-1': '5-1': a range of")):
        with pytest.raises(UsageError) as refused:
            load_options({"seeds": text})
        assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("seeds", "1.5", "--seeds = '1.5': give a whole number"),
        ("jobs", "two", "--jobs = 'two': give a whole number"),
        ("jobs", 1.5, "--jobs = 1.5: give a whole number"),
        ("jobs", [1], "--jobs = [1]: give a whole number"),
        ("dropout", "much", "--dropout = 'much': give a number"),
        ("dropout", [0.1], "--dropout = [0.1]: give a number"),
        ("stages", "perhaps", "--stages = 'perhaps': give true or false"),
        ("stages", 7.5, "--stages = 7.5: give true or false"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_plain_words(option, value, said):
    with pytest.raises(UsageError) as refused:
        load_options({option: value})
    assert str(refused.value) == said


def test_a_path_that_exists_is_found_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["my,data[1].csv", "a(b.csv", "x[y],z.csv", 'q"q.csv', "plain.csv"]
    for name in names:
        (tmp_path / name).touch()
    for name in names[:-1]:
        assert [unquoted(part)[0] for part in load_options({"tasks": name}).tasks] == [name]
        assert [unquoted(part)[0] for part in load_options({"tasks": f"trec,{name}, plain.csv"}).tasks] == [
            "trec", name, "plain.csv",
        ]  # fmt: skip
    assert load_options({"tasks": "semeval[mark_entities=false],plain.csv"}).tasks == [
        "semeval[mark_entities=false]", "plain.csv",
    ]  # fmt: skip
    options = load_options({"tasks": ",".join(names)})
    path = tmp_path / "grid.yaml"
    path.write_text(dump_options(Plan(options, [])), encoding="utf-8")
    assert load_options({}, path).tasks == options.tasks


def test_a_path_that_is_a_list_of_paths_too_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "a,b"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="'a,b' is both a file and a list of files: write \"a,b\" for the one file"):
        load_options({"tasks": "a,b"})
    assert load_options({"tasks": '"a,b"'}).tasks == ['"a,b"']


def test_a_repeated_entry_counts_once():
    assert load_options({"seeds": "3,1,3", "tasks": "a,b,a"}).seeds == [3, 1]


@pytest.mark.parametrize("seeds", ["seeds: 1, 2", "seeds: [1, 2]", "seeds:\n- 1\n- 2", "seeds: '1,2'"])
def test_yaml_takes_every_way_to_write_a_list(tmp_path, seeds):
    path = tmp_path / "grid.yaml"
    path.write_text(seeds, encoding="utf-8")
    assert load_options({}, path).seeds == [1, 2]


def test_yaml_means_what_was_typed(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(
        "precision: no\nllms: [no, gpt4, on, 010, 1:30, 2020-01-01, 1_000]\nlabel_columns: yes\nseeds: 010\n"
        "text_column: 1.0\nresults: 3\nstages: off\nepochs: 3\nlearning_rate: .5\nprompting: null\ntrack: ~\n"
    )
    options = load_options({}, path)
    assert options.precision == "no"
    assert options.llms == ["no", "gpt4", "on", "010", "1:30", "2020-01-01", "1_000"]
    assert (options.label_columns, options.text_column, str(options.results)) == (["yes"], "1.0", "3")
    assert (options.seeds, options.epochs, options.learning_rate) == ([10], 3, 0.5)
    assert (options.stages, options.prompting, options.track) == (False, None, None)


@pytest.mark.parametrize("key", ["learning-rate", "learning_rate"])
def test_yaml_keys_are_option_names_with_dashes_or_underscores(tmp_path, key):
    path = tmp_path / "grid.yaml"
    path.write_text(f"{key}: 0.01\nseeds: 4", encoding="utf-8-sig")
    options = load_options({}, path)
    assert (options.learning_rate, options.seeds) == (0.01, [4])


def test_given_wins_over_file_wins_over_preset_wins_over_default(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("seeds: 7\nnoise: weak", encoding="utf-8")
    options = load_options({"noise": "sn@0.1", "epochs": None}, path, "quickstart")
    preset = yaml.safe_load((PRESETS / "quickstart.yaml").read_text(encoding="utf-8"))
    assert options.noise == ["sn@0.1"]  # given, over the file and the preset
    assert options.seeds == [7]  # the file, over the preset
    assert options.tasks == [preset["tasks"]]  # the preset, over the default
    assert options.epochs is None  # the default: an option that was not given overrides nothing


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_loads_by_a_beginning_of_its_name(path):
    assert load_options({}, None, path.stem[:4]).methods[0] == "plain"


def test_the_paper_preset_is_the_setup_of_the_published_numbers():
    published = yaml.safe_load((PRESETS.parents[1] / "report/tables/published/paper.yaml").read_text("utf-8"))["setup"]
    options = load_options({}, None, "paper")
    assert options.epochs == published["epochs"] == 20
    assert options.encoder == [published["encoder"]]
    assert sorted(options.tasks) == sorted(published["tasks"])


def test_an_empty_file_changes_nothing(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("# nothing yet\n", encoding="utf-8")
    assert load_options({}, path) == GridOptions()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("methods: [plain\ntasks: x", ["line 2"]),
        ("- plain", ["`option: value`", "list"]),
        ("method: plain", ["unknown option 'method'", "did you mean methods?"]),
        ("preset: quickstart", ["preset cannot be a key: write --preset on the command line"]),
        ("config: other.yaml", ["config cannot be a key: write --config on the command line"]),
        ("frobnicate: 1", ["unknown option 'frobnicate'", "known: methods, tasks"]),
        ("epochs: yes", ["--epochs", "'yes'", "give a whole number"]),
        ("results: [a]", ["results must be a path", "['a']"]),
        ("limit: many", ["--limit", "'many'", "give a whole number"]),
        ("methods:", ["--methods", "None"]),
        ("seeds: [[1, x]]", ["--seeds"]),
        ("a" * 3 + ": " + "[" * 50_000, ["not YAML"]),
        ("seeds: 1\ntasks: x\nseeds: 2", ["line 3", "'seeds' is given twice"]),
        ("max-length: 3\nmax_length: 4", ["max_length is given twice"]),
        ("precision: off", ["--precision", "'off'", "'no'"]),
        ("seeds: 0x10", ["--seeds", "'0x10'", "give a whole number"]),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, content, said):
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_options({}, path)
    for words in said:
        assert words in str(caught.value)


def test_a_file_that_is_absent_a_folder_or_not_utf8_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"tasks: caf\xe9.csv")
    for path, said in (
        (tmp_path / "no.yaml", "does not exist"),
        (tmp_path, "cannot be read"),
        (tmp_path / "latin.yaml", "utf-8"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            load_options({}, path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"methods": "a,,b"}, "--methods = 'a,,b'.*empty entry"),
        ({"methods": "a[b"}, "--methods = 'a.b'.*not closed"),
        ({"noise": ""}, "--noise = ''"),
        ({"seeds": "1,x"}, "--seeds = 'x': give a whole number"),
        ({"max_length": "0"}, "--max-length = '0'.*greater than or equal to 2"),
        ({"limit": "1"}, "--limit = '1'.*greater than or equal to 2"),
        ({"jobs": "0"}, "--jobs = '0'.*greater than or equal to 1"),
        ({"pooling": "max"}, "--pooling = 'max'.*'auto', 'cls' or 'mean'"),
        ({"precision": "fp8"}, "--precision = 'fp8'.*'bf16'"),
        ({"uncovered": "keep"}, "--uncovered = 'keep'.*'uniform' or 'drop'"),
        ({"prompting": "many"}, "unknown prompting 'many'.*few, zero"),
    ],
)
def test_a_bad_value_is_named_with_its_option_and_what_is_allowed(given, said):
    with pytest.raises(UsageError, match=said):
        load_options(given)


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="unknown preset 'quickstrat': did you mean quickstart"):
        load_options({}, None, "quickstrat")


def test_what_workers_are_given_reads_back_to_the_same_grid(tmp_path):
    given = {
        "methods": "co-teaching[tau=0.2,ramp=0.5],plain+ts",
        "tasks": "./caf\u00e9.csv,tweets",
        "prompting": "few",
        "learning_rate": "1e-3",
        "results": "some/where",
        "label_columns": "ann",
        "jobs": "2",
        "stages": False,
    }
    options = load_options(given)
    path = tmp_path / "grid.yaml"
    path.write_text(dump_options(Plan(options, [])), encoding="utf-8")
    assert load_options({}, path) == options.model_copy(update={"jobs": 1})


def test_every_option_of_a_grid_is_an_option_of_run_and_status():
    own = {"preset", "config", "context", "dry_run", "force", "log_json", "worker", "one_round"}
    running = {"jobs", "executor", "stages", "timeout", "retry", "track", "until_settled"}
    for command, not_there in (
        (run.run, set()),
        (run.status, running),
    ):
        names = set(inspect.signature(command).parameters) - own
        assert names == set(GridOptions.model_fields) - not_there


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_preset_names_tasks_and_methods_that_exist(path):
    from bench.data.tasks import known
    from bench.grid.cells import choose_method

    options = load_options({}, path)
    assert all(choose_method(method).name for method in options.methods)
    assert set(options.tasks) <= set(known())


@pytest.mark.parametrize("given", [{"methods": {"plain": 1}}, {"seeds": [None]}, {"tasks": [["a", "b"]]}])
def test_a_list_holds_names_or_numbers_and_nothing_nested(given):
    with pytest.raises(UsageError, match=f"--{next(iter(given))} .* must be a comma list"):
        load_options(given)
