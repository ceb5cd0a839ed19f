"""Without a network and without data: the first line says what is missing, and a command is named that runs."""

import shlex
from pathlib import Path

import pytest

from tests.command import bench


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    for name, value in {"HF_HUB_OFFLINE": "1", "BENCH_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def answer_to(*words):
    answer = bench("run", *words)
    assert answer.exit_code == 2
    lines = answer.stderr[answer.stderr.index("error: ") :].splitlines()
    return lines[0], [line.strip() for line in lines if line.strip().startswith("bench run ")]


def test_texts_and_encoder_are_both_named_and_the_command_that_is_printed_runs(monkeypatch):
    monkeypatch.setattr("bench.data.readers.fetch.cache_dir", lambda: Path("empty"))
    first, commands = answer_to("--methods", "sidyp,npc", "--llms", "mixtral", "--seeds", "1")
    assert first.startswith("error: task semeval is not available here; encoder 'bert-base-uncased'")
    [command] = commands
    assert "--methods sidyp,npc" in command
    assert "--tasks tweets --llms smollm2/few" in command
    again = bench(*shlex.split(command)[1:], "--dry-run")
    assert again.exit_code == 0, again.stderr
    assert "2 of 2 cells would run" in again.stdout


@pytest.mark.parametrize(
    ("words", "own"),
    [
        ([], ""),
        (["--methods", "npc", "--seeds", "3"], " --methods npc --seeds 3"),
        (["--noise", "sn@0.3", "--no-stages"], " --noise sn@0.3 --no-stages"),
    ],
)
def test_a_run_of_nothing_asks_for_tasks_or_llms_and_names_three_commands_that_run(words, own):
    first, commands = answer_to(*words)
    assert first.startswith("error: name tasks (--tasks, ")
    assert " or LLMs (--llms" in first
    assert commands == [
        f"bench run --tasks tweets{own} --encoder minilm:frozen",
        f"bench run --llms smollm2{own} --encoder minilm:frozen",
        f"bench run --preset quickstart{own}",
    ]
    for command in commands:
        again = bench(*shlex.split(command)[1:], "--dry-run")
        assert again.exit_code == 0, again.stderr
        assert "would run; nothing was run" in again.stdout
        assert "tweets" in again.stdout


def test_a_status_of_nothing_but_a_method_asks_the_same():
    answer = bench("status", "--methods", "npc")
    assert answer.exit_code == 2
    assert "    bench status --preset quickstart --methods npc\n" in answer.stderr


def test_where_only_the_encoder_is_missing_the_users_own_grid_is_kept():
    first, commands = answer_to("--tasks", "tweets", "--noise", "sn@0.2", "--seeds", "4", "--no-stages")
    assert first.startswith("error: encoder 'bert-base-uncased' cannot be loaded")
    assert commands == ["bench run --tasks tweets --noise sn@0.2 --seeds 4 --encoder minilm:frozen --no-stages"]


def test_no_command_is_named_where_none_would_run(monkeypatch):
    monkeypatch.setattr(
        "bench.training.find_encoder.PYPI_ENCODERS", {"minilm": ("no_such_module", "model", "no-such-package")}
    )
    assert answer_to("--tasks", "tweets", "--noise", "sn@0.2")[1] == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--tasks", "tweets", "--llms", "smolm3"), "smolm3"),
        (("--tasks", "tweets", "--noise", "xn@0.3"), "xn@0.3"),
        (("--tasks", "tweets,./none.csv"), "none.csv"),
        (("--methods", "nonesuch", "--tasks", "tweets"), "nonesuch"),
    ],
)
@pytest.mark.parametrize("encoder", [(), ("--encoder", "minilm:froze"), ("--encoder", "./none"), ("--epochs", "2000")])
def test_a_wrong_name_or_file_is_told_before_anything_of_encoders(words, name, encoder):
    first, commands = answer_to(*words, *encoder)
    assert name in first
    assert commands == []
    if encoder:
        with_good_names, _ = answer_to("--tasks", "tweets", "--noise", "sn@0.3", *encoder)
        assert encoder[1] in with_good_names
