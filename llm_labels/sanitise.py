"""An LLM's answer is untrusted text: make it harmless once, where it enters the project.

Pages and LaTeX escape what they show themselves; here goes what would harm a terminal, a CSV reader or a disk.
"""

from __future__ import annotations

import unicodedata

MAX_KEPT = 500
"""Characters of an answer that a label set keeps: the label stands at the beginning."""
_FORMULA = ("=", "+", "-", "@")


def printable(answer: str, limit: int = MAX_KEPT) -> str:
    """`answer` on one line: control, format and surrogate characters escaped (`\\x1b`), at most `limit` characters.

    Escape sequences can then not reach a terminal, right-to-left overrides cannot turn a line round, and a
    spreadsheet does not take the answer for a formula (a leading =, +, - or @ is quoted).
    """
    cut = answer[:limit]
    shown = "".join(_escape(char) for char in cut)
    if len(answer) > limit or len(shown) > 4 * limit:
        shown = shown[: 4 * limit] + " [...]"
    return "'" + shown if shown.startswith(_FORMULA) else shown


def _escape(char: str) -> str:
    if char == "\n":
        return "\\n"
    if char == "\t":
        return "\\t"
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        code = ord(char)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    return char
