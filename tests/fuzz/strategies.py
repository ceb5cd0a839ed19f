"""What hostile input is made of: pieces of the languages that are read, put together at random."""

from __future__ import annotations

import json

from hypothesis import strategies as st

WORDS = (
    "plain", "co-teaching", "sidyp", "gce", "q", "tau", "ts", "mixtral", "smollm2", "vote", "dawid-skene", "all",
    "sn", "asn", "idn", "weak", "minilm", "frozen", "ray", "slurm", "local", "gpus", "hours", "address", "oracle",
    "text", "gold", "ann", "true", "null", "nan", "inf", "-1", "0", "0.3", "1e309", "99999999999999999999", "1_0",
    "2020-13-45", "2001-01-01 99:99:99", "1:99999999:1", "0x", "0b2", "!!python/object:os.system", "*a", "&a", "<<",
    "..", "../..", "/", "~", "./a.py", "a.csv", "\x00", "\x1b[31m", "\u202e", "é", "日本", "\ud800", "🙂", " ", "\n",
)  # fmt: skip
SIGNS = ("[", "]", "(", ")", "{", "}", "=", ",", "+", ":", "@", "/", "'", '"', "|", "-", "#", "%", "?", "!", "\\")
WORD = st.sampled_from(WORDS)

sentences = st.lists(WORD | st.sampled_from(SIGNS) | st.text(max_size=4), max_size=14).map("".join)
"""Text in no language, of the pieces of all of them."""
deep = st.builds(
    lambda sign, depth, rest: sign * depth + rest, st.sampled_from([*SIGNS, "[(", "{a: "]), st.integers(1, 3000), WORD
)
"""Brackets in brackets."""
hostile = sentences | deep

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | WORD | st.text(max_size=8) | st.integers(2**63, 2**80)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3), max_leaves=8
)


def changed(document: object, draw) -> object:
    """A JSON document with one to three of its parts replaced, removed or added."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        here = document
        while isinstance(here, dict | list) and here:
            key = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else list(range(len(here)))))
            action = draw(st.sampled_from(["deeper", "deeper", "replace", "remove", "add"]))
            if action == "deeper" and isinstance(here[key], dict | list) and here[key]:
                here = here[key]
                continue
            if action == "remove":
                del here[key]
            elif action == "add" and isinstance(here, dict):
                here[draw(WORD)] = draw(values)
            else:
                here[key] = draw(values)
            break
    return document


def damaged(data: bytes, draw) -> bytes:
    """Bytes with some cut off, some changed, or some put in."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        put = draw(st.binary(max_size=6) | hostile.map(lambda text: text.encode("utf-8", "surrogatepass")))
        data = data[:at] + put + data[at + length :]
    return data
