"""`--executor` in the selector language: names resolve, values are checked, errors say what is allowed."""

import sys
from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.running.executors.base import EXECUTORS, executor_of, program_of
from tests.conftest import records


def test_names_resolve_and_parameters_are_typed():
    assert executor_of("loc").name == "local"
    ray = executor_of("ray[address=10.0.0.1:6379,gpus=0.25,retries=5]")
    assert ray.options == type(ray).Options(address="10.0.0.1:6379", gpus=0.25, retries=5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rya", "unknown executor 'rya': did you mean ray"),
        ("local[cpus=2]", "executor 'local' has no parameter 'cpus': it has none"),
        ("ray[gpu=1]", "executor 'ray' has no parameter 'gpu': it has address, cpus, gpus"),
        ("ray[gpus=-1]", "executor 'ray': gpus = -1: Input should be greater than or equal to 0"),
        ("ray[retries=many]", "executor 'ray': retries = 'many'"),
        ("slurm[hours=0]", "executor 'slurm': hours = 0"),
        ("slurm[partitions=gpu]", "has no parameter 'partitions': it has partition, account"),
        ("slurm[cluster=pbs]", "cluster = 'pbs'"),
        ("ray+ts", "nothing can be added with '+'"),
    ],
)
def test_a_wrong_engine_is_refused_before_anything_runs(text, said):
    with pytest.raises(UsageError) as caught:
        executor_of(text)
    assert said in str(caught.value)


def test_every_parameter_is_documented():
    for executor in EXECUTORS.available().values():
        for name, field in executor.Options.model_fields.items():
            assert field.description, f"{executor.name}.{name}"


def test_a_cell_that_runs_by_itself_runs_as_its_grid_says(bench, reviews, instant, tiny_bert):
    grid = {"tasks": "reviews.csv", "llms": "ann", "methods": "plain,./instant.py[log=log.txt]", "seeds": "1"}
    grid |= {"encoder": f"{tiny_bert}:frozen", "executor": "ray[gpus=0]", "jobs": 4, "until_settled": "3"}
    made = plan(
        load_options(grid | {"results": "else where", "retry": "none", "stages": False, "track": "wandb,mlflow"})
    )
    _, cell = made.cells
    words = program_of(cell, made, force=True)
    assert words[:4] == [sys.executable, "-m", "bench", "run"]
    for option, value in {"--retry": "none", "--track": "wandb,mlflow", "--results": "else where"}.items():
        assert words[words.index(option) + 1] == value
    assert "--no-stages" in words
    assert not {"--executor", "--jobs"} & set(words)

    made.options.track = None
    for _ in range(2):
        done = bench(*program_of(cell, made, force=True)[3:])
        assert done.exit_code == 0, done.stderr
    [record] = records(Path("else where"))  # no seed is added
    assert (record.hash, record.status, record.until_settled) == (cell.key.hash, "done", 3)
    assert len(Path("log.txt").read_text().splitlines()) == 2
    timed = plan(load_options(grid | {"timeout": "2h"}))
    words = program_of(cell, timed)
    assert words[words.index("--timeout") + 1] == "7200.0"
    assert "--force" not in words
