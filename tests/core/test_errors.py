"""Names are resolved or refused: the error names the value and the way out."""

import pytest

from bench.core.errors import BenchError, Skip, Unavailable, UsageError, nearest, resolve, unknown

KNOWN = ["mixtral-8x22b", "llama-3-70b", "llama-3-8b", "gpt-4o"]


@pytest.mark.parametrize("name", ["mixtral-8x22b", "MIXTRAL-8X22B", "mixtral", "mix", "gpt"])
def test_a_name_in_any_case_or_its_unique_beginning_resolves(name):
    assert resolve("llm", name, KNOWN) in ("mixtral-8x22b", "gpt-4o")


def test_a_full_name_wins_over_longer_ones_that_begin_with_it():
    assert resolve("method", "gce", ["gce", "gce-truncated"]) == "gce"


def test_an_ambiguous_name_is_refused_with_all_that_fit():
    with pytest.raises(UsageError, match="llm 'llama' matches llama-3-70b and llama-3-8b: write one of them in full"):
        resolve("llm", "llama", KNOWN)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mixtrel", "unknown llm 'mixtrel': did you mean mixtral-8x22b"),
        ("70b", "unknown llm '70b': did you mean llama-3-70b"),
        ("zzz", "unknown llm 'zzz': known: gpt-4o, llama-3-70b, llama-3-8b, mixtral-8x22b"),
        ("", "unknown llm '': known: "),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_or_the_known(name, message):
    with pytest.raises(UsageError) as caught:
        resolve("llm", name, KNOWN)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("(`bench list llms` shows all)")


def test_nothing_known_and_very_much_known():
    assert "known: none" in str(unknown("llm", "x", []))
    assert "30 are known" in str(unknown("llm", "zzzz", [f"name-{i}" for i in range(30)]))


def test_nearest_puts_the_closest_first_and_gives_each_name_once():
    assert nearest("gpt-4", KNOWN)[0] == "gpt-4o"
    found = nearest("llama", [*KNOWN, *KNOWN])
    assert len(found) == len(set(found)) <= 3
    assert {"llama-3-70b", "llama-3-8b"} <= set(found)


@pytest.mark.parametrize("kind", [UsageError, Unavailable, Skip])
def test_every_error_for_people_is_one_family(kind):
    assert issubclass(kind, BenchError)
