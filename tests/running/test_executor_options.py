"""`--executor` in the selector language: names resolve, values are checked, errors say what is allowed."""

import pytest

from bench.core.errors import UsageError
from bench.running.executors.base import EXECUTORS, executor_of


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
