"""Text that acts on a terminal, a line, the order of reading or a spreadsheet, and a check for it."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

HOSTILE = [
    "a\x1b[2Jb",
    "a\x1b]0;title\x07b",
    "a\x07b",
    "a\rb",
    "a\nb",
    "a\tb",
    "a\x00b",
    "a\x85b",
    "a\x9b31mb",
    "a\u2028b",
    "a\u2029b",
    "a\u202egpj.b",
    "a\u2066b\u2069",
    "a\u200bb",
    "a\u200db",
    "a\ufeffb",
    "a\u00adb",
    "a\u3164b",
    "a\U000e0041b",
    "a\ufe0fb",
    "a\ud800b",
]
"""Names that occur only in attacks."""
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_SHAPING = "\u200c\u200d"  # allowed within scripts and emoji that need them


def acting(text: str) -> str:
    """Return the characters of a text that act or are invisible; "" if there are none."""
    return "".join(
        c
        for i, c in enumerate(text)
        if unicodedata.category(c) in _ACTING
        and not (c in _SHAPING and min(text[i - 1 : i], text[i + 1 : i + 2]) > "֐")
    )


def texts() -> st.SearchStrategy[str]:
    """Return a strategy for any text, in which acting characters are frequent."""
    parts = st.sampled_from(
        [*HOSTILE, "=1+1", "@x", "-", "'", '"', ",", "|", "<b>", "é", "👨\u200d👩", "a", " ", "\\x1b"]
    )
    return st.lists(st.one_of(parts, st.text(max_size=4)), max_size=6).map("".join)
