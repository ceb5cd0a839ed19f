"""A chat server that speaks the OpenAI protocol as a labeller (OpenAI, vLLM, llama.cpp, Ollama, Together, ...).

Questions go out concurrently, up to a limit. 408, 409, 429, 5xx, time-outs, lost connections and malformed
answers are tried again with growing pauses (`Retry-After` is obeyed); whatever stays broken ends the run with
one error, and what was answered is kept. A completed answer without a label is "no answer", never an error, and so is
a text that the server will not answer.
The key comes from the environment alone and goes nowhere else.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import math
import os
import re
from collections.abc import Callable, Container, Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import Unavailable, UsageError
from bench.core.hashes import hash_json
from bench.core.seeds import named_seed
from llm_labels.cache import Answer
from llm_labels.decode import DECODERS, Decoder, read
from llm_labels.labellers import Decoded, Question, Usage
from llm_labels.labellers import openai_protocol as protocol
from llm_labels.prompts import Prompt, message
from llm_labels.sanitise import printable

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KEY_VARIABLE = "OPENAI_API_KEY"
ADDRESS_VARIABLE = "OPENAI_BASE_URL"
SILENT = 3
"""Answers without any text after which a question has no answer, if the server has text for others."""


@dataclasses.dataclass(frozen=True)
class Prices:
    """US dollars per million tokens. Raises UsageError for what is not a price."""

    tokens_in: float
    tokens_out: float

    def __post_init__(self) -> None:
        for price in (self.tokens_in, self.tokens_out):
            if not (math.isfinite(price) and price >= 0):
                raise UsageError(f"price {price} is not a price: give US dollars per million tokens, at least 0")


class OpenAILabeller:
    """Asks a chat model one question per text, at temperature 0 unless said otherwise.

    `base_url` defaults to $OPENAI_BASE_URL, else OpenAI's own. `attempts`: attempts per question in all.
    `pause`: seconds before the second try, doubled for each further one. `timeout`: seconds for one try.
    `token_field`: some newer models want "max_completion_tokens"; `temperature=None` leaves it to the server.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        base_url: str | None = None,
        concurrency: int = 8,
        timeout: float = 60.0,
        attempts: int = 7,
        pause: float = 1.0,
        temperature: float | None = 0.0,
        max_tokens: int = 100,
        token_field: str = "max_tokens",
        prices: Prices | None = None,
        decoder: Decoder = "strict",
    ) -> None:
        if decoder not in DECODERS:
            raise UsageError(f"decoder '{decoder}' is unknown: choose {' or '.join(DECODERS)}")
        if token_field not in ("max_tokens", "max_completion_tokens"):
            raise UsageError(f"token_field '{token_field}' is unknown: choose max_tokens or max_completion_tokens")
        for what, value in (("concurrency", concurrency), ("attempts", attempts), ("max_tokens", max_tokens)):
            if value < 1:
                raise UsageError(f"{what} {value} is too small: at least 1")
        if not (math.isfinite(timeout) and timeout > 0):
            raise UsageError(f"timeout {timeout} is not a time: give seconds, more than 0")
        if temperature is not None and not (math.isfinite(temperature) and temperature >= 0):
            raise UsageError(f"temperature {temperature} is not a number of at least 0")
        if not (self.key.isascii() and self.key.isprintable()):
            raise UsageError(f"the key in {KEY_VARIABLE} has characters that no key has: copy it again")
        self.base_url = base_url or os.environ.get(ADDRESS_VARIABLE) or None
        if self.base_url and not re.match(r"https?://[^\s/]+", self.base_url):
            raise UsageError(
                f"invalid server address '{printable(protocol.public_address(self.base_url), 100)}': expected https://host/v1"
            )
        if not self.key and not self.base_url:
            raise Unavailable(
                f"unknown local model '{model}', and no server was given: set {KEY_VARIABLE} "
                f"for OpenAI, or {ADDRESS_VARIABLE} (and {KEY_VARIABLE}, where it wants one) for another server"
            )
        self.name = name or model.rsplit("/", 1)[-1]
        self.revision = model
        self.concurrency, self.timeout, self.attempts, self.pause = concurrency, timeout, attempts, pause
        self.temperature, self.max_tokens, self.token_field = temperature, max_tokens, token_field
        self.prices, self.decoder = prices, decoder
        self.decoding = {"decoder": decoder}
        self.usage = Usage(usd=None if prices is None else 0.0)
        self.has_spoken = False

    @property
    def key(self) -> str:
        """The key in the environment, which is kept nowhere else; empty without one."""
        return os.environ.get(KEY_VARIABLE, "").strip()

    @property
    def address(self) -> str:
        """Where the texts go, without a name and password in it."""
        return printable(protocol.public_address(self.base_url), 100) if self.base_url else "api.openai.com"

    def settings(self) -> dict[str, Any]:
        """What shapes an answer; of the server's address a hash (two may call different models the same), no key."""
        server = {"server": hash_json(protocol.public_address(self.base_url).rstrip("/"))[:12]} if self.base_url else {}
        return {"kind": "chat", "temperature": self.temperature, "max_tokens": self.max_tokens, **server}

    def price(self, tokens_in: float, tokens_out: float) -> float | None:
        """US dollars for that many tokens, or None where no prices were given."""
        if self.prices is None:
            return None
        return (tokens_in * self.prices.tokens_in + tokens_out * self.prices.tokens_out) / 1e6

    def references(self, train: Sequence[str]) -> list[str]:
        """None: an answer in words is not calibrated."""
        return []

    def check(self, prompt: Prompt, questions: Sequence[Question]) -> None:
        """Nothing: how long a prompt may be, the server knows."""

    def ask(
        self,
        prompt: Prompt,
        questions: Sequence[Question],
        known: Container[str],
        store: Callable[[str, Answer], None],
        stop: Callable[[], bool],
    ) -> None:
        """Ask every unknown question; see `Labeller.ask`. Requests in flight when `stop()` turns true are finished.

        Raises Unavailable (server out of reach or refusing) or UsageError (the request is wrong).
        """
        waiting = [question for question in questions if question.key not in known]
        if not waiting:
            return
        self.has_spoken |= len(waiting) < len(questions)  # in an earlier run
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self._ask(prompt, waiting, store, stop))
            return
        # inside a running loop (a notebook): a loop of our own needs a thread of its own
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, self._ask(prompt, waiting, store, stop)).result()

    def decode(self, prompt: Prompt, answers: Sequence[Answer], references: Sequence[Answer]) -> Decoded:
        """Labels read from the answers' text."""
        names = {"answer_name": prompt.answer_name, "text_name": prompt.text_name}
        readings = [read(answer.text, prompt.labels, self.decoder, cut=answer.cut, **names) for answer in answers]
        labels = np.array([reading.label for reading in readings], dtype=np.int64)
        rules = tuple(reading.rule for reading in readings)
        return Decoded(labels, tuple(answer.text for answer in answers), rules=rules)

    async def _ask(self, prompt: Prompt, waiting: list[Question], store, stop) -> None:
        from openai import AsyncOpenAI

        # a server of one's own often wants no key; the client insists on one
        key = self.key or "none"
        errors: list[Exception] = []
        silent: list[tuple[str, Answer]] = []
        line = iter(waiting)
        async with AsyncOpenAI(api_key=key, base_url=self.base_url, timeout=self.timeout, max_retries=0) as client:
            workers = [self._work(client, prompt, line, store, stop, errors, silent) for _ in range(self.concurrency)]
            await asyncio.gather(*workers)
        if silent and not self.has_spoken and not errors:
            errors.append(
                Unavailable(
                    f"the server of '{self.revision}' has answered {len(silent)} texts without a word and none "
                    "with one: look at its settings (a reasoning model may hide what it says), then run the same again"
                )
            )
        for key, answer in silent if self.has_spoken else ():
            store(key, answer)
        if errors:
            raise errors[0]

    async def _work(
        self, client: AsyncOpenAI, prompt: Prompt, line: Iterator[Question], store, stop, errors, silent
    ) -> None:
        """Take questions off the line, one after the other, until it is empty or one has failed.

        Answers without a word go to `silent`: a server that has none for any text is out of order.
        """
        for question in line:
            if errors or stop():
                return
            try:
                answer, spoke = await self._one(client, message(prompt, question.examples, question.text), question)
            except Exception as error:
                errors.append(error)
                return
            self.usage.requests += 1
            self.usage.tokens_in += answer.tokens_in
            self.usage.tokens_out += answer.tokens_out
            self.usage.usd = self.price(self.usage.tokens_in, self.usage.tokens_out)
            self.has_spoken |= spoke
            if spoke:
                store(question.key, answer)
            else:
                silent.append((question.key, answer))
            if self.prices is not None and not answer.tokens_in and not answer.text.startswith(protocol.REFUSED):
                errors.append(
                    Unavailable(
                        f"the server of '{self.revision}' does not say how many tokens it read, so what it costs is "
                        "not known: leave out the prices and the budget"
                    )
                )
                return

    async def _one(self, client: AsyncOpenAI, content: str, question: Question) -> tuple[Answer, bool]:
        """One completed answer, after as many tries as it takes, and whether it has a word.

        Raises Unavailable or UsageError.
        """
        import openai

        options: dict[str, Any] = {self.token_field: self.max_tokens}
        if self.temperature is not None:
            options["temperature"] = self.temperature
        problem, silent, paid = "no answer", 0, (0, 0)  # tokens: tries without a word cost, too
        for attempt in range(self.attempts):
            wait = None
            started = perf_counter()
            try:
                reply = await client.chat.completions.create(
                    model=self.revision, messages=[{"role": "user", "content": content}], **options
                )
                answer, spoke = protocol.read_reply(reply, perf_counter() - started)
                silent += not spoke
                paid = paid[0] + answer.tokens_in, paid[1] + answer.tokens_out
                if spoke or silent == min(SILENT, self.attempts):
                    return dataclasses.replace(answer, tokens_in=paid[0], tokens_out=paid[1]), spoke
                problem = "an answer without text"
            except openai.APIStatusError as error:
                said = f"{error.code} {error.message}"
                if error.status_code in (400, 403) and protocol.BLOCKED.search(said):
                    return Answer(f"{protocol.REFUSED}: content filter]"), True
                if error.status_code == 400 and protocol.TOO_LONG.search(said):
                    return Answer(f"{protocol.REFUSED}: the text is too long for the model]"), True
                if not protocol.passes(error):
                    raise self._final(error, question.text) from None
                problem, wait = f"status {error.status_code}", protocol.retry_after(error)
            except openai.APITimeoutError:
                problem = f"no answer within {self.timeout:g} s"
            except openai.APIConnectionError as error:
                problem = f"no connection ({type(error.__cause__ or error).__name__})"
            except (openai.APIError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
                problem = f"a malformed answer ({type(error).__name__})"
            if attempt + 1 < self.attempts:
                self.usage.retries += 1
                await asyncio.sleep(max(wait or 0.0, self._backoff(question.key, attempt)))
        raise Unavailable(
            f"the server of '{self.revision}' gave {problem} {self.attempts} times in a row for the text "
            f"'{printable(question.text, 60)}'; what was answered is kept: run the same command again to go on"
        )

    def _backoff(self, key: str, attempt: int) -> float:
        """Seconds: doubling, less up to a quarter, so that concurrent questions do not come back at once."""
        jitter = 0.25 * (named_seed("retry", key, attempt) % 1000) / 1000
        return min(protocol.LONGEST_PAUSE, self.pause * 2**attempt) * (1 - jitter)

    def _final(self, error: Any, text: str) -> Exception:
        """The error of a status that no retry changes."""
        said = str(getattr(error, "message", ""))
        said = printable(said.replace(self.key, "[key]") if self.key else said, 300)
        if error.status_code in (401, 403):
            return Unavailable(f"the server refused the key in {KEY_VARIABLE} (status {error.status_code}): {said}")
        if error.status_code == 404:
            return UsageError(f"the server does not know the model '{self.revision}' (status 404): {said}")
        if error.status_code == 429:
            return Unavailable(f"the account's quota is used up (status 429): {said}; what was answered is kept")
        return UsageError(
            f"the server of '{self.revision}' refused the request (status {error.status_code}): {said}; "
            f"the text was '{printable(text, 60)}'"
        )
