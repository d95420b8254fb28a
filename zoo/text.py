"""Make text from files and other programs safe to print and to put into tables. No heavy imports.

``leaderboards/text.py`` repeats the same rules: records can be read and ranked without the rest of the project.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable

__all__ = ["exact", "inert", "seen_json", "seen_toml", "undo_inert", "visible"]

_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
"""Unicode categories of characters that control a terminal or a line, change the reading order, or are invisible."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show nothing."""
_JOINERS = "\u200c\u200d"
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([nrt]))")
_SHORT = {"n": "\n", "r": "\r", "t": "\t"}


def exact(number: float) -> str:
    """Return the shortest text of a number that is read as the same number again, ``16`` and not ``16.0``."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def visible(text: str, keep: str = "") -> str:
    r"""Return a text with every invisible character escaped as Python writes it, ``\x1b``.

    Escaped are control characters, line separators, marks and overrides of the direction of reading, halves of
    surrogate pairs, and characters without width and without a meaning. Letters of all scripts, accents, spaces and
    emoji stay, with the joiners and variation selectors where such a script or emoji needs them. The function is
    idempotent.

    Args:
        text: Any text.
        keep: Characters that stay although they are invisible, such as the line ends of a page.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(c if c in keep or _is_seen(text, i) else _escaped(c) for i, c in enumerate(text))


def inert(text: str) -> str:
    """Return a table cell that shows a text and that no spreadsheet takes for a formula.

    The text is made visible. It gets an apostrophe in front if it begins like a formula, or like one that has its
    apostrophe already. This is for texts; do not pass numbers.
    """
    shown = visible(text)
    begin = shown.lstrip().lstrip("'").lstrip()
    return f"'{shown}" if begin.startswith(_FORMULA) else shown


def undo_inert(cell: str) -> str:
    """Return the text that ``inert`` was called with; any other cell is returned unchanged.

    A text that contained an escape of its own, a backslash and its digits, comes back as the character it stands for.
    """
    text = _ESCAPE.sub(_hidden, cell)
    return next((each for each in (text, text.removeprefix("'")) if inert(each) == cell), cell)


def seen_json(text: str) -> str:
    """Return JSON with readable letters (``ensure_ascii=False``) and JSON escapes for invisible characters."""
    return _escape_each(text, lambda c: json.dumps(c)[1:-1])


def seen_toml(text: str) -> str:
    """Return TOML with TOML escapes for invisible characters, which are all in quotes."""
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
    """Return True if a character belongs to a script whose letters a joiner shapes, or to an emoji."""
    return c >= "\u0590" and c not in _BLANK and unicodedata.category(c)[0] in "LMS"


def _is_varied(c: str) -> bool:
    """Return True if a character can have variation selectors: symbols, ideographs, © and ®."""
    return c in ("©", "®") or (c >= "\u2000" and unicodedata.category(c)[0] in "LPS" and c not in _BLANK)


def _escaped(c: str) -> str:
    return c.encode("unicode_escape").decode()


def _hidden(escape: re.Match[str]) -> str:
    """Return the character that an escape stands for, if ``visible`` escapes that character."""
    digits = escape[1] or escape[2] or escape[3]
    try:
        c = chr(int(digits, 16)) if digits else _SHORT[escape[4]]
    except (OverflowError, ValueError):
        return escape[0]
    return c if _escaped(c) == escape[0] else escape[0]
