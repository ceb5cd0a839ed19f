"""The chat labeller against a real HTTP server that misbehaves on purpose."""

import asyncio
import json
import time

import pytest

from bench.core.errors import Unavailable, UsageError
from llm_labels.labellers import Question
from llm_labels.labellers.openai_server import OpenAILabeller, Prices
from llm_labels.prompts import find_prompt, message
from tests.llm_labels.tiny import NAMES, chat_server, reply, text_of

PROMPT = find_prompt("moods", NAMES)
KEY = "sk-do-not-show-me"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def labeller(server, **options):
    return OpenAILabeller("moody-8b", base_url=server.address, pause=0.01, **options)


def questions(*texts):
    return [Question(text, text, ()) for text in texts]


def ask(who, *texts, known=(), stop=lambda: False):
    got = {}
    who.ask(PROMPT, questions(*texts), known, got.__setitem__, stop)
    return got


def test_the_request_is_one_user_message_at_temperature_zero():
    with chat_server(lambda text, n: (200, reply("positive\nit smiles"))) as server:
        got = ask(labeller(server), "a sunny day")
    [body] = server.asked
    assert body == {
        "model": "moody-8b",
        "messages": [{"role": "user", "content": message(PROMPT, (), "a sunny day")}],
        "temperature": 0.0,
        "max_tokens": 100,
    }
    assert server.keys == {f"Bearer {KEY}"}
    assert got["a sunny day"].text == "positive\nit smiles"
    assert (got["a sunny day"].tokens_in, got["a sunny day"].tokens_out) == (100, 10)


def test_settings_of_newer_models():
    with chat_server(lambda text, n: (200, reply("positive"))) as server:
        ask(labeller(server, temperature=None, token_field="max_completion_tokens", max_tokens=7), "x")
    assert "temperature" not in server.asked[0]
    assert server.asked[0]["max_completion_tokens"] == 7


TROUBLE = {
    "429": (429, {"error": {"message": "slow down"}}),
    "500": (500, {"error": {"message": "oops"}}),
    "503 in HTML": (503, b"<html>busy</html>"),
    "truncated JSON": (200, json.dumps(reply("positive")).encode()[:40]),
    "no JSON": (200, b"positive"),
    "no choices": (200, {**reply("positive"), "choices": []}),
    "choices null": (200, {**reply("positive"), "choices": None}),
    "content null": (200, reply(None)),
    "content a list": (200, {**reply("x"), "choices": [{"index": 0, "message": {"content": [1]}}]}),
    "another schema": (200, {"answer": "positive"}),
    "a list": (200, [1, 2]),
    "empty": (200, b""),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_passing_trouble_is_tried_again(trouble):
    with chat_server(lambda text, n: TROUBLE[trouble] if n <= 2 else (200, reply("negative"))) as server:
        who = labeller(server)
        got = ask(who, "a", "b")
    assert {key: answer.text for key, answer in got.items()} == {"a": "negative", "b": "negative"}
    assert server.texts == {"a": 3, "b": 3}
    assert (who.usage.requests, who.usage.retries) == (2, 4)


def test_a_slow_answer_is_given_up_and_asked_again():
    with chat_server(lambda text, n: (200, reply("late"), {}, 1.0 if n == 1 else 0.0)) as server:
        start = time.monotonic()
        got = ask(labeller(server, timeout=0.2), "a")
    assert got["a"].text == "late"
    assert server.texts == {"a": 2}
    assert time.monotonic() - start < 5


def test_retry_after_is_obeyed_and_pauses_grow():
    def behave(text, n):
        return (429, {"error": {}}, {"Retry-After": "0.3"}) if n == 1 else (500, {}) if n < 4 else (200, reply("x"))

    with chat_server(behave) as server:
        ask(labeller(server), "a")
    pauses = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    assert pauses[0] >= 0.3
    who = OpenAILabeller("m", base_url="http://x/v1", pause=1.0)
    waits = [who._backoff("a", attempt) for attempt in range(9)]
    assert all(0.75 * 2**at <= wait <= 2**at for at, wait in enumerate(waits[:6]))
    assert max(waits) <= 60
    assert who._backoff("a", 2) != who._backoff("b", 2)


def test_lasting_trouble_ends_the_run_and_keeps_what_was_answered():
    def behave(text, n):
        return (500, {"error": {"message": "oops"}}) if text == "bad" else (200, reply("positive"))

    got = {}
    with chat_server(behave) as server:
        who = labeller(server, attempts=3, concurrency=1)
        with pytest.raises(Unavailable, match=r"gave status 500 3 times in a row for the text 'bad'; what was"):
            who.ask(PROMPT, questions("a", "bad", "c"), (), got.__setitem__, lambda: False)
    assert list(got) == ["a"]
    assert server.texts == {"a": 1, "bad": 3}


def test_a_server_that_is_not_there():
    with pytest.raises(Unavailable, match=r"the server of 'm' gave no connection .* 2 times in a row"):
        ask(OpenAILabeller("m", base_url="http://127.0.0.1:9/v1", attempts=2, pause=0.01), "a")


@pytest.mark.parametrize(
    ("status", "error", "kind", "complaint"),
    [
        (401, {"message": f"wrong key {KEY}"}, Unavailable, r"refused the key in OPENAI_API_KEY \(status 401\)"),
        (404, {"message": "no such model"}, UsageError, "does not know the model 'moody-8b'"),
        (400, {"message": "max_tokens is not supported"}, UsageError, "max_tokens is not supported"),
        (429, {"message": "pay", "code": "insufficient_quota"}, Unavailable, "quota is used up"),
    ],
)
def test_what_no_retry_changes_fails_at_once_and_never_shows_the_key(status, error, kind, complaint):
    behave = lambda text, n: (status, {"error": error})  # noqa: E731
    with chat_server(behave) as server, pytest.raises(kind, match=complaint) as failed:
        ask(labeller(server, concurrency=1), "a", "b", "c")
    assert len(server.asked) == 1
    assert KEY not in str(failed.value)


def test_an_error_message_cannot_command_the_terminal():
    nasty = {"error": {"message": "\x1b[2J\x00" + "x" * 10**6}}
    with chat_server(lambda text, n: (400, nasty)) as server, pytest.raises(UsageError) as failed:
        ask(labeller(server), "a")
    assert "\x1b" not in str(failed.value)
    assert len(str(failed.value)) < 2000


def test_a_refusal_is_an_answer_without_a_label_and_is_not_asked_again():
    refusals = {
        "words": (200, reply("I'm sorry, but I can't help with that.")),
        "field": (200, {**reply(None), "choices": [{"index": 0, "message": {"content": None, "refusal": "No."}}]}),
        "filter": (200, reply(None, finish_reason="content_filter")),
        "status": (400, {"error": {"message": "filtered", "code": "content_filter"}}),
    }
    with chat_server(lambda text, n: refusals[text]) as server:
        who = labeller(server)
        got = ask(who, *refusals)
    assert server.texts == dict.fromkeys(refusals, 1)
    decoded = who.decode(PROMPT, [got[name] for name in refusals], [])
    assert decoded.labels.tolist() == [-1, -1, -1, -1]
    assert decoded.rules == ("no class named", "refused", "empty", "refused")
    yes_no = find_prompt("questions", ("no", "yes"))
    assert who.decode(yes_no, [got["field"]], []).labels.tolist() == [-1]  # "No." refuses; it is not the class


def test_a_text_that_a_server_will_not_answer_does_not_stop_the_others():
    blocked = {
        "never a word": (200, reply(None)),
        "policy": (400, {"error": {"message": "Invalid prompt: your prompt was flagged", "code": "invalid_prompt"}}),
        "moderated": (403, {"error": {"message": "m requires moderation. Your input was flagged", "code": 403}}),
    }
    with chat_server(lambda text, n: blocked.get(text, (200, reply("positive")))) as server:
        who = labeller(server)
        got = ask(who, *blocked, "a")
    assert server.texts == {"never a word": 3, "policy": 1, "moderated": 1, "a": 1}
    decoded = who.decode(PROMPT, [got[name] for name in (*blocked, "a")], [])
    assert decoded.labels.tolist() == [-1, -1, -1, 1]
    assert decoded.rules == ("empty", "refused", "refused", "alone")


def test_a_server_without_a_word_for_any_text_is_out_of_order_and_nothing_is_kept_of_it():
    got = {}
    with chat_server(lambda text, n: (200, reply(None))) as server:
        who = labeller(server, attempts=2)
        with pytest.raises(Unavailable, match="has answered 2 texts without a word and none with one"):
            who.ask(PROMPT, questions("a", "b"), (), got.__setitem__, lambda: False)
    assert got == {}
    assert server.texts == {"a": 2, "b": 2}
    assert who.usage.tokens_in == 2 * 2 * 100  # every try is paid for
    with chat_server(lambda text, n: (200, reply(None))) as server:
        labeller(server).ask(PROMPT, questions("a", "b"), {"a"}, got.__setitem__, lambda: False)
    assert [answer.text for answer in got.values()] == [""]  # it had a word for another text before


def test_the_error_of_one_question_names_its_text():
    complaint = r"\(status 400\): .*bad.*; the text was 'a text of mine'"
    with (
        chat_server(lambda text, n: (400, {"error": {"message": "bad"}})) as server,
        pytest.raises(UsageError, match=complaint),
    ):
        ask(labeller(server), "a text of mine")


def test_a_sentence_that_the_token_limit_cut_is_not_searched_for_a_class():
    """A model whose thought has no tags would else be read by what it thinks of first."""
    said = reply("Okay, the user wants the mood. It sounds positive", finish_reason="length")
    with chat_server(lambda text, n: (200, said if text == "cut" else reply("It sounds positive"))) as server:
        who = labeller(server)
        got = ask(who, "cut", "whole")
    assert who.decode(PROMPT, [got["cut"], got["whole"]], []).labels.tolist() == [-1, 1]


def test_requests_run_at_once_up_to_the_limit():
    with chat_server(lambda text, n: (200, reply("positive"), {}, 0.1)) as server:
        start = time.monotonic()
        got = ask(labeller(server, concurrency=5), *(f"t{i}" for i in range(20)))
    assert len(got) == 20
    assert 2 <= server.most_at_once <= 5
    assert time.monotonic() - start < 1.9  # 2 s one by one


def test_known_answers_are_not_asked_again_and_stop_is_heard():
    with chat_server(lambda text, n: (200, reply("positive"))) as server:
        who = labeller(server, concurrency=1, prices=Prices(10.0, 100.0))
        assert set(ask(who, "a", "b", known={"a"})) == {"b"}
        assert ask(who, "c", stop=lambda: True) == {}
        assert who.usage.usd == pytest.approx(100 * 10 / 1e6 + 10 * 100 / 1e6)
    assert server.texts == {"b": 1}


def test_it_works_inside_a_running_loop():
    async def notebook():
        return ask(who, "a")

    with chat_server(lambda text, n: (200, reply("positive"))) as server:
        who = labeller(server)
        assert asyncio.run(notebook())["a"].text == "positive"


def test_a_server_without_a_key_and_the_address_from_the_environment(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(Unavailable, match="set OPENAI_API_KEY for OpenAI, or OPENAI_BASE_URL"):
        OpenAILabeller("m")
    with chat_server(lambda text, n: (200, reply("positive"))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.address)
        assert ask(OpenAILabeller("m"), "a")["a"].text == "positive"


def test_neither_key_nor_address_is_in_the_settings():
    who = OpenAILabeller("m", base_url="http://user:password@host/v1")
    shown = json.dumps([who.settings(), who.decoding, who.revision, who.name])
    assert KEY not in shown
    assert "password" not in shown


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"base_url": "host:80"}, "expected https://host/v1"),
        ({"concurrency": 0}, "concurrency 0 is too small"),
        ({"decoder": "loose"}, "decoder 'loose' is unknown"),
        ({"token_field": "tokens"}, "token_field 'tokens' is unknown"),
        ({"timeout": 0}, "timeout 0 is not a time"),
        ({"temperature": float("nan")}, "temperature nan is not a number"),
        ({"base_url": "ftp://user:hunter2@host/v1"}, "invalid server address 'ftp://host/v1'"),
    ],
)
def test_wrong_settings_are_refused(options, complaint):
    with pytest.raises(UsageError, match=complaint):
        OpenAILabeller("m", **{"base_url": "http://x/v1", **options})


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_what_is_no_price_is_refused(price):
    with pytest.raises(UsageError, match="is not a price: give US dollars per million tokens"):
        Prices(price, 1.0)


def test_a_key_is_stripped_and_one_that_cannot_be_sent_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    with chat_server(lambda text, n: (200, reply("positive"))) as server:
        ask(labeller(server), "a")
    assert server.keys == {f"Bearer {KEY}"}
    monkeypatch.setenv("OPENAI_API_KEY", "“sk-quoted”")
    with pytest.raises(UsageError, match="the key in OPENAI_API_KEY has characters that no key has") as failed:
        OpenAILabeller("m")
    assert "quoted" not in str(failed.value)


def test_two_servers_may_call_two_models_the_same():
    first, again, other = (
        OpenAILabeller("m", base_url=url).settings()
        for url in ("http://a:8000/v1", "http://me:secret@a:8000/v1/", "http://b:8000/v1")
    )
    assert first == again != other
    assert "server" not in OpenAILabeller("m").settings()


def test_a_price_is_not_guessed_where_the_server_counts_no_tokens():
    silent = {key: value for key, value in reply("positive").items() if key != "usage"}
    got = {}
    with chat_server(lambda text, n: (200, silent)) as server:
        who = labeller(server, prices=Prices(1.0, 1.0), concurrency=1)
        with pytest.raises(Unavailable, match="does not say how many tokens it read"):
            who.ask(PROMPT, questions("a", "b"), (), got.__setitem__, lambda: False)
        assert list(got) == ["a"]  # what was answered is kept
        assert len(ask(labeller(server), "a", "b")) == 2


def test_a_text_too_long_for_the_server_is_no_answer_and_the_others_go_on():
    said = {"error": {"message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError"}}
    with chat_server(lambda text, n: (400, said) if text == "long" else (200, reply("positive"))) as server:
        who = labeller(server)
        got = ask(who, "a", "long", "c")
    assert who.decode(PROMPT, [got["a"], got["long"], got["c"]], ()).labels.tolist() == [1, -1, 1]


def test_no_server_is_asked_again_at_once():
    slow = (429, {"error": {}}, {"Retry-After": "0"})
    with chat_server(lambda text, n: slow if n <= 3 else (200, reply("x"))) as server:
        ask(OpenAILabeller("m", base_url=server.address, pause=0.1), "a")
    assert server.times[-1] - server.times[0] >= 0.75 * (0.1 + 0.2 + 0.4)


def test_the_text_is_found_in_the_request():  # the server's own helper
    assert text_of({"messages": [{"content": message(PROMPT, (), "so so")}]}) == "so so"
