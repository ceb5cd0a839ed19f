"""Decoding: an answer gives a label, or no answer; nothing is guessed."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UsageError
from bench.data.tasks import known
from llm_labels.decode import decode
from llm_labels.prompts import FOLDER, find_prompt

PROMPTS = {path.stem for path in FOLDER.glob("*.yaml")}
LABELS = {name: find_prompt(name, info.label_names).labels for name, info in known().items() if name in PROMPTS}
SEMEVAL = LABELS["semeval"]
CE, CW, CC, ED, EO, IA, MC, MT, PP = range(9)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("CE\nbecause the fog brought delays", CE),
        ("Label: MT", MT),
        ("Cause-Effect (CE)", CE),
        ("**PP**", PP),
        ("ce.", CE),
        ("`CC`", CC),
        ("_CW_", CW),
        ("The relation is Entity-Origin.", EO),
        ("1. **Label:** IA", IA),
        ("### Answer\nMC", MC),
        ("\n\n  > ED  \nreason", ED),
        ('```json\n{"label": "MC", "reason": "a flock"}\n```', MC),
        ("Message Topic", MT),
        ("ＣＥ", CE),
        ("CE, because the effect follows", CE),
        ("Cause-Effect, not Entity-Origin", -1),
        ("CE or MT", -1),
        ("CE/PP", -1),
        ("It is not CE", -1),
        ("cause-effects", -1),
        ("DICE", -1),
        ("a good cause with effect", -1),
        ("", -1),
        ("   \n\t\n", -1),
        ("I'm sorry, but I can't help with that.", -1),
        ("As an assistant I am unable to say whether it is CE.", -1),
        ("reason first\nCE", -1),
    ],
)
def test_strict(answer, label):
    assert decode(answer, SEMEVAL) == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("CE because", CE),
        ("Label : MT", MT),
        ("Label: MT", MT),
        ("Cause-Effect ( CE )", CE),
        ("mt", MT),
        ("CE or MT", CE),  # what the authors' rule gives, for better or worse
        ("The answer is CE", -1),
        ("", -1),
        ("I'm sorry.", -1),
    ],
)
def test_official(answer, label):
    assert decode(answer, SEMEVAL, "official") == label


def test_numclaim_spellings_and_one_label_inside_the_other():
    labels = LABELS["numclaim"]
    assert [decode(a, labels) for a in ("OUTOFCLAIM", "Out of claim", "out-of-claim.")] == [0, 0, 0]
    assert [decode(a, labels) for a in ("INCLAIM", "in-claim", "This is an in claim sentence")] == [1, 1, 1]
    assert decode("INCLAIM or OUTOFCLAIM", labels) == -1


def test_an_everyday_word_counts_only_alone():
    assert decode("number", LABELS["trec"]) == 5
    assert decode("NUM: the number of people in a place", LABELS["trec"]) == 5
    assert decode("a number of people", LABELS["trec"]) == -1


@pytest.mark.parametrize("task", sorted(LABELS))
@pytest.mark.parametrize(
    "frame", ["{}", "{}.", "**{}**", "Label: {}", "{}\nbecause", " {} ", "`{}`", '{{"label": "{}"}}']
)
def test_every_label_of_every_task_comes_back(task, frame):
    for position, label in enumerate(LABELS[task]):
        for spelling in (label.answer, label.name, label.answer.upper(), label.answer.lower()):
            assert decode(frame.format(spelling), LABELS[task]) == position, spelling


@given(st.text(max_size=300))
def test_any_text_gives_a_class_or_none(answer):
    for decoder in ("strict", "official"):
        assert -1 <= decode(answer, SEMEVAL, decoder) < len(SEMEVAL)


@pytest.mark.parametrize(
    "answer", ["CE\n" + "x" * 1_000_000, "\x00" * 1_000_000, "{" * 100_000, "[" * 100_000, "_" * 50_000]
)
def test_a_huge_answer_costs_no_time(answer):
    start = time.perf_counter()
    assert decode(answer, SEMEVAL) == (CE if answer.startswith("CE") else -1)
    assert time.perf_counter() - start < 1


def test_terminal_escapes_and_null_bytes_do_not_hide_a_label():
    assert decode("\x1b[31mCE\x1b[0m\x00", SEMEVAL) in (CE, -1)
    assert decode("\x00CE\x00\nwhy", SEMEVAL) == CE


def test_an_unknown_decoder_is_refused():
    with pytest.raises(UsageError, match="decoder 'loose' is unknown: choose strict or official"):
        decode("CE", SEMEVAL, "loose")
