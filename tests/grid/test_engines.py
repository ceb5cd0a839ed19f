"""`--executor` in the selector language: names resolve, values are checked, errors say what is allowed."""

import pytest

from bench.core.errors import UsageError
from bench.grid.engines import ENGINES, Local, Ray, executor_of
from bench.grid.options import load_options


def test_names_resolve_and_parameters_are_typed():
    assert executor_of("local") == Local()
    assert executor_of("ray[address=10.0.0.1:6379,gpus=0.25,retries=5]") == Ray(
        address="10.0.0.1:6379", gpus=0.25, retries=5
    )


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
    with pytest.raises(UsageError, match="--executor = "):
        load_options({"executor": text})


def test_every_parameter_is_documented():
    for engine in ENGINES.values():
        for name, field in engine.model_fields.items():
            assert field.description, f"{engine.__name__}.{name}"
