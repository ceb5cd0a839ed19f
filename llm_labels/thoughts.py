"""What a reasoning model thought before it answered, taken off its answer; and marks of a chat template that leak."""

from __future__ import annotations

import html
import re

_NAME = r"(?:[\w-]{0,20}[_-])?(?:think|thought|reason|reflect|analysis|monologue|scratchpad|cot\b)[\w-]{0,20}"
_OPENS = re.compile(
    rf"<\|begin_of_(thought)\|>|<\|?\s{{0,3}}(?:\w{{1,20}}:)?({_NAME})(?:\s[^<>]{{0,80}})?\s{{0,3}}\|?>|\[({_NAME})\]|◁({_NAME})▷"
    r"|<(details) type=[^<>]{0,9}reasoning[^<>]{0,80}>|<(unused)94>",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"<\|?\s{{0,3}}/\s{{0,3}}(?:\w{{1,20}}:)?({_NAME})\s{{0,3}}\|?>|\[/({_NAME})\]|◁/({_NAME})▷"
    r"|<\|end_of_(thought)\|>|</(details)>|<(unused)95>",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>\s{0,3}(\w{1,20})[^<]{0,80}<\|message\|>")
_TEMPLATE = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]")


def without_thoughts(answer: str) -> str | None:
    """What follows the thought (or stands before one that ends the answer); None where the thought has no end.

    Thoughts stand between tags such as <think>, <reasoning> or [THINK]; a closing tag alone ends a thought that the
    chat template opened. Of an answer in channels, the last "final" one counts. Time is linear in the length.
    """
    answer = html.unescape(answer) if "&lt;" in answer else answer
    channels = list(_CHANNEL.finditer(answer))
    if channels:
        last = channels[-1]
        if last[1].lower() != "final":
            return None
        answer = answer[last.end() :]
    elif answer.startswith("analysis") and "assistantfinal" in answer:  # channels whose marks were taken off
        answer = answer.rpartition("assistantfinal")[2]
    pieces, thought, at = [], None, 0  # pieces outside of thoughts; the tag name that is open
    for tag in sorted([*_OPENS.finditer(answer), *_CLOSES.finditer(answer)], key=lambda tag: tag.start()):
        name = next(filter(None, tag.groups())).lower()
        if tag.re is _OPENS:
            if thought is None:
                pieces.append(answer[at : tag.start()])
                thought = name
        elif thought is None and name == "details":
            continue
        elif thought is None:
            pieces = []  # all of it was a thought
        elif thought != name and "details" in (thought, name):
            continue
        else:
            thought = None
        at = tag.end()
    if thought is not None:
        return None
    pieces.append(answer[at:])
    outside = [_TEMPLATE.sub("\n", piece) for piece in pieces]
    return next((piece for piece in reversed(outside) if piece.strip()), "")
