"""What servers of the OpenAI protocol say: answers, refusals of a text, and which errors pass."""

from __future__ import annotations

import re
from typing import Any

from llm_labels.cache import Answer

REFUSED = "[the server refused the request"
BLOCKED = re.compile(
    r"content.?(?:filter|policy)|invalid_prompt|moderation|(?:input|prompt) was flagged", re.IGNORECASE
)
"""How servers say that they do not answer one text, with status 400 or 403."""
TOO_LONG = re.compile(r"context.{0,10}(length|window|size)|string_above_max_length", re.IGNORECASE)
"""How servers say that one text does not fit: that is no answer, and the others go on."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries at most, whatever the server asks for."""


def public_address(address: str) -> str:
    """An address without the name and password that it may hold."""
    return re.sub(r"//[^/@\s]*@", "//", address)


def read_reply(reply: Any, seconds: float) -> tuple[Answer, bool]:
    """The answer in a reply, and whether it is one: no text, for no reason given, may be text at the next try.

    Raises ValueError and its like where the reply is not of the protocol's shape.
    """
    choice = reply.choices[0]
    text = choice.message.content
    if text is None:
        refusal = getattr(choice.message, "refusal", None)
        text = f"[the model refused: {refusal}]" if isinstance(refusal, str) else None
    spoke = text is not None or choice.finish_reason in ("content_filter", "length")
    text = "" if text is None else text
    if not isinstance(text, str):
        raise ValueError("no text in the answer")
    usage = getattr(reply, "usage", None)
    counts = [getattr(usage, name, 0) for name in ("prompt_tokens", "completion_tokens")]
    tokens_in, tokens_out = (count if isinstance(count, int) and count >= 0 else 0 for count in counts)
    return Answer(text, (), tokens_in, tokens_out, round(seconds, 3), choice.finish_reason == "length"), spoke


def passes(error: Any) -> bool:
    """Whether the same request may do better later."""
    if error.status_code == 429:
        return error.code != "insufficient_quota"
    return error.status_code in (408, 409, 425) or error.status_code >= 500


def retry_after(error: Any) -> float | None:
    """Seconds that the server asks to wait, or None. Raises nothing."""
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except (TypeError, ValueError, AttributeError):
        return None
    return min(seconds, LONGEST_PAUSE) if 0 <= seconds < float("inf") else None
