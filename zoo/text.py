"""Text from files and other programs, made safe to print and to put into tables. Light.

``leaderboards/text.py`` has the same rule once more: records can be read and ranked without the rest of the project.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable

__all__ = ["inert", "seen_json", "seen_toml", "told", "visible"]

_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
"""Categories of what acts on a terminal or a line, changes the order of reading, or cannot be seen."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show nothing."""
_JOINERS = "\u200c\u200d"
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([nrt]))")
_SHORT = {"n": "\n", "r": "\r", "t": "\t"}


def visible(text: str, keep: str = "") -> str:
    r"""Return a text whose every character can be seen: what cannot is shown as Python writes it, ``\x1b``.

    Hidden are control characters, line separators, marks and overrides of the direction of reading, halves of surrogate
    pairs, characters without width and without a meaning. Letters of all scripts, accents, spaces and emoji stay, with
    the joiners and variants that stand where such a script or emoji needs them. Twice is as good as once.

    Args:
        text: Any text.
        keep: Characters that stay although they are hidden, such as the line ends of a page.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(c if c in keep or _is_seen(text, i) else _escaped(c) for i, c in enumerate(text))


def inert(text: str) -> str:
    """Return the cell of a table that shows a text: visible, and with an apostrophe before what a spreadsheet would
    take for a formula, or for one that has its apostrophe. For texts; numbers are no texts."""
    shown = visible(text)
    begin = shown.lstrip().lstrip("'").lstrip()
    return f"'{shown}" if begin.startswith(_FORMULA) else shown


def told(cell: str) -> str:
    """Return the text that ``inert`` was given; of any other cell, the cell. A text that has an escape of its own, a
    backslash and its digits, is taken for what the escape shows."""
    text = _ESCAPE.sub(_hidden, cell)
    return next((each for each in (text, text.removeprefix("'")) if inert(each) == cell), cell)


def seen_json(text: str) -> str:
    """Return JSON with letters as they are (``ensure_ascii=False``) whose hidden characters are escapes of JSON."""
    return _escape_each(text, lambda c: json.dumps(c)[1:-1])


def seen_toml(text: str) -> str:
    """Return TOML whose hidden characters, which stand in quotes, are escapes of TOML."""
    return _escape_each(text, lambda c: f"\\U{ord(c):08x}")


def _escape_each(text: str, escape: Callable[[str], str]) -> str:
    if visible(text, "\n") == text:
        return text
    return "".join(c if c == "\n" or _is_seen(text, i) else escape(c) for i, c in enumerate(text))


def _is_seen(text: str, i: int) -> bool:
    c = text[i]
    if " " <= c <= "~":
        return True
    if c in _JOINERS:
        return _joins(text[i - 1 : i]) and _joins(text[i + 1 : i + 2])
    if "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef":
        return _is_varied(text[i - 1 : i]) or (c == "\ufe0f" and text[i + 1 : i + 2] == "\u20e3")  # a key cap
    return c not in _BLANK and unicodedata.category(c) not in _HIDDEN


def _joins(c: str) -> bool:
    """Whether a character is of the scripts whose letters a joiner shapes, or part of an emoji."""
    return c >= "\u0590" and c not in _BLANK and unicodedata.category(c)[0] in "LMS"


def _is_varied(c: str) -> bool:
    """Whether a character is of those that variants of their shape are known of: signs, ideographs, © and ®."""
    return c in ("©", "®") or (c >= "\u2000" and unicodedata.category(c)[0] in "LPS" and c not in _BLANK)


def _escaped(c: str) -> str:
    return c.encode("unicode_escape").decode()


def _hidden(escape: re.Match[str]) -> str:
    """The character that an escape shows, if it is one that is shown so."""
    digits = escape[1] or escape[2] or escape[3]
    try:
        c = chr(int(digits, 16)) if digits else _SHORT[escape[4]]
    except (OverflowError, ValueError):
        return escape[0]
    return c if _escaped(c) == escape[0] else escape[0]
