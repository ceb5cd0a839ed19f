"""What is said of noise and of data, and what tells two files of one name apart."""

import numpy as np
import pytest

from bench.store.noise_words import noise_words, repeats_sentence, told_apart
from bench.store.records import TrainedNoise
from tests.factories import cell_key, done_record


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0.3, 0.0), "noise 30.0 %"),
        ((0.6213, 0.857), "noise 62.1 % (85.7 % no answer)"),
        ((0.6213, 0.857, True), "noise ≈ 62.1 % (85.7 % no answer)"),
        ((0.2, 0.0001), "noise 20.0 % (< 0.1 % no answer)"),
        ((None, 0.0), "noise unknown"),
        ((None, 0.5), "noise unknown (50.0 % no answer)"),
    ],
)
def test_noise_in_words(given, said):
    assert noise_words(*given) == said


def test_texts_in_two_splits_are_one_sentence_and_none_are_none():
    sizes = {"train": 5000, "valid": 50, "test": 1200}
    counts = {"test in train": 1100, "valid in train": 0, "test in valid": 2}
    sentence = repeats_sentence("trec", counts, sizes)
    assert sentence.startswith("trec: 1,100 of 1,200 test texts are also in train; 2 of 1,200 test texts are also in v")
    assert repeats_sentence("trec", dict.fromkeys(counts, 0), sizes) is None
    assert repeats_sentence("trec", None, sizes) is None


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x.csv"], ["x"]),
        (["../a/x.csv", "../b/x.csv"], ["a/x", "b/x"]),
        (["../p/a/x.csv", "../q/a/x.csv"], ["p/a/x", "q/a/x"]),
        (["../x.csv", "../b/x.csv"], ["../x", "b/x"]),
        (["x.csv", "b/x.csv"], ["x", "b/x"]),
        (["a/x.csv", "a/x.tsv"], ["a/x.csv", "a/x.tsv"]),
    ],
)
def test_files_of_one_name_are_told_apart_by_as_few_folders_as_it_takes(paths, names):
    assert list(told_apart(("x", path) for path in paths).values()) == names


def test_the_expected_noise_of_an_older_record_is_near_what_a_draw_gives():
    """Independent computation: answers wrong at the recorded rate, uniform classes for the rest."""
    key = cell_key("trec", "mixtral-8x22b/few")
    record, _ = done_record(key)
    silent, rate, classes, size = 0.7, record.noise.rate_train, 6, 400_000
    rng = np.random.default_rng(0)
    wrong = np.where(rng.random(size) < silent, rng.integers(classes, size=size) != 0, rng.random(size) < rate)
    old = record.model_copy(update={"noise": record.noise.model_copy(update={"no_answer_train": silent})})
    assert old.trained_noise.rate == pytest.approx(wrong.mean(), abs=0.003)
    assert old.trained_noise[1:] == (silent, True)
    new = old.model_copy(update={"noise": old.noise.model_copy(update={"rate_trained": 0.61})})
    assert new.trained_noise == TrainedNoise(0.61, silent, expected=False)
