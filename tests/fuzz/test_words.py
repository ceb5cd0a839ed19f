"""Names, selectors and options from hostile text: understood, or refused with one message that a person can read."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.errors import BenchError, UsageError
from bench.core.selectors import Selector, parse, split_list
from bench.data.load import load_task
from bench.grid.cells import choose_method
from bench.grid.options import GridOptions, load_options
from bench.noise.select import sources_for
from bench.noise.source import parse_noise
from bench.running.executors.base import executor_of
from bench.training.find_encoder import locate, split_mode
from tests.fuzz.strategies import WORD, hostile, values

pytestmark = pytest.mark.timeout(300)
PROFILE = settings.get_profile("fuzz")
LONGEST = 5000
BOMB = (
    "[&a [x,x,x,x,x,x,x,x,x]"
    + "".join(f", &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(12))
    + "]"
)
"""A value that would be 9 ** 13 words long if it were written out."""


def understood(read, *given_) -> object:
    """What `read` makes of it, or None where it refuses with a message that names a way out."""
    try:
        return read(*given_)
    except BenchError as error:
        assert str(error).strip()
        return None


@PROFILE
@given(hostile)
@example(" ")
@example("gce[q=2020-13-45]")
@example("gce[q=" + "[" * 3000)
@example("gce[q=" + "[" * 3000 + "]" * 3000 + "]")
@example("gce[q=1:99999999999999999999:1]")
@example("gce[q=!!binary x]")
@example("gce[q=!!timestamp x]")
@example("gce[q=!!int x]")
@example("gce[q=!!float '']")
def test_a_selector_is_read_or_refused(text):
    found = understood(parse, text)
    assert found is None or (isinstance(found, Selector) and found.name and found.name == found.name.strip())
    parts = understood(split_list, text)
    assert parts is None or all(part and part == part.strip() for part in parts)


names = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
identifiers = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)


@PROFILE
@given(
    st.lists(
        st.tuples(
            names, st.dictionaries(identifiers, st.integers() | st.booleans(), max_size=3), st.lists(names, max_size=2)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_as_a_selector_is_read_as_it_was_meant(meant):
    def written(name, parameters, wrappers):
        inside = ",".join(f"{key}={str(value).lower()}" for key, value in parameters.items())
        return name + (f"[{inside}]" if inside else "") + "".join(f"+{wrapper}" for wrapper in wrappers)

    parts = split_list(", ".join(written(*each) for each in meant))
    assert [parse(part) for part in parts] == [Selector(n, p, tuple(w)) for n, p, w in meant]


@PROFILE
@given(hostile)
@example("gce[q=" + BOMB + "]")
@example("{" * 255 + "./a.py")
def test_a_method_is_found_or_refused(text):
    understood(choose_method, text)


@PROFILE
@given(hostile | st.builds("{}@{}".format, st.sampled_from(["sn", "asn", "idn", "SN "]), hostile))
def test_noise_is_read_or_refused(text):
    found = understood(parse_noise, text)
    assert found is None or found.rate is None or 0 <= found.rate <= 1


@PROFILE
@given(hostile | st.builds("{}[{}={}]".format, st.sampled_from(["ray", "slurm", "local"]), WORD, hostile))
@example("ray[gpus=" + BOMB + "]")
def test_an_executor_is_read_or_refused(text):
    understood(executor_of, text)


@PROFILE
@given(hostile)
@example("x" * 300)
@example("/" + "x" * 300)
@example("a/b/c/d")
@example("\x00")
def test_an_encoder_is_found_or_refused(text):
    found = understood(split_mode, text)
    if found and found[0] not in ("minilm",):
        understood(locate, found[0])


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    from tests.conftest import review_rows, write_csv

    return load_task(str(write_csv(tmp_path_factory.mktemp("fuzz") / "reviews.csv", review_rows(24))))


@PROFILE
@given(text=hostile | st.builds("{}({},{})".format, WORD, WORD, hostile))
def test_a_labeller_is_found_or_refused(task, text):
    understood(lambda: sources_for(task, llms=[text]))


@PROFILE
@given(hostile)
def test_a_task_is_found_or_refused(text):
    if text.strip().partition("[")[0].lower() not in ("", "tweets"):
        understood(lambda: load_task(text.replace("trec", "t").replace("semeval", "s")))


fields = st.sampled_from(sorted(GridOptions.model_fields))


@PROFILE
@given(st.dictionaries(fields, hostile | values, max_size=4))
@example({"learning_rate": "1" * 5000})
@example({"epochs": 10**5000})
@example({"seeds": "1" * 5000})
def test_options_are_taken_or_refused(given_):
    found = understood(load_options, given_)
    assert found is None or isinstance(found, GridOptions)


@PROFILE
@given(text=hostile | st.lists(st.builds("{}: {}".format, fields | WORD, hostile), max_size=4).map("\n".join))
@example(text="epochs: 2020-13-45")
@example(text="epochs: {2020-13-45: 1}")
@example(text="[" * 3000)
@example(text="? [a]\n: b")
@example(text="1: 2")
@example(text="epochs: &a [*a]")
@example(text="methods: &a [*a]")
@example(text="<<: 3")
@example(text="epochs: " + "9" * 5000)
@example(text="epochs: " + BOMB)
@example(text="methods: " + BOMB)
@example(text="results: " + BOMB)
@example(text="executor: " + BOMB)
@example(text="timeout: " + BOMB)
@example(text="other: " + BOMB)
@example(text="0x" + "f" * 5000 + ": 1")
@example(text="epochs: 0x" + "f" * 5000)
@example(text="seeds: [0x" + "f" * 5000 + "]")
def test_a_yaml_file_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert isinstance(load_options({}, path), GridOptions)
    except UsageError as error:
        assert 0 < len(str(error)) < LONGEST
