"""Seeds by named axes: every axis counts, its type and its place too."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from bench.core.seeds import named_generator, named_seed

AXES = st.lists(st.one_of(st.text(max_size=5), st.integers(-5, 5)), min_size=1, max_size=4)


@given(AXES)
def test_a_seed_fits_63_bits_and_is_the_same_every_time(axes):
    seed = named_seed(*axes)
    assert 0 <= seed < 2**63
    assert named_seed(*axes) == seed


def test_every_axis_its_type_and_its_place_matter():
    axes = [("a", 1), ("a", "1"), (1, "a"), ("a", 1, ""), ("a", 1.0), ("a",), ("a", 2), ("b", 1), ("ab", 1), (True,)]
    assert len({named_seed(*axis) for axis in axes}) == len(axes)


def test_another_process_draws_the_same():
    code = "from bench.core.seeds import named_seed; print(named_seed('noise', 'trec', 1))"
    for hash_seed in ("1", "2"):  # Python's own hash() would differ
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hash_seed}
        )
        assert int(out.stdout) == named_seed("noise", "trec", 1)


def test_neighbouring_seeds_give_independent_looking_draws():
    draws = np.concatenate([named_generator("axis", seed).integers(0, 10, 5) for seed in range(2000)])
    assert chisquare(np.bincount(draws, minlength=10)).pvalue > 0.001
    firsts = np.array([named_generator("axis", seed).random() for seed in range(2000)])
    assert abs(np.corrcoef(firsts[:-1], firsts[1:])[0, 1]) < 0.08


def test_a_generator_is_numpys_of_that_seed():
    expected = np.random.default_rng(named_seed("x", 3)).random(4)
    np.testing.assert_array_equal(named_generator("x", 3).random(4), expected)
