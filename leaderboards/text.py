"""Text of records made safe to print and to put into tables: the rule of ``zoo/text.py``, which is not imported here.

tests/zoo/test_text.py compares the two.
"""

from __future__ import annotations

import html
import unicodedata

__all__ = ["inert", "markup", "visible"]

_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
"""Categories of characters that control a terminal or a line, change the order of reading, or are invisible."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show nothing."""
_JOINERS = "\u200c\u200d"
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def visible(text: str, keep: str = "") -> str:
    r"""Return a text in which every character is visible: others are shown as Python writes them, ``\x1b``.

    Escaped are control characters, line separators, marks and overrides of the direction of reading, halves of
    surrogate pairs, characters without width and without a meaning. Letters of all scripts, accents, spaces and emoji
    stay, with the joiners and variants next to a script or emoji that needs them. Applying it twice gives the same as
    once.

    Args:
        text: Any text.
        keep: Characters that stay although they are invisible, such as the line ends of a page.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(c if c in keep or _is_seen(text, i) else _escaped(c) for i, c in enumerate(text))


def inert(text: str) -> str:
    """Return the text of a table's cell: visible, and not a formula to a spreadsheet.

    A text that a spreadsheet would take for a formula, or that already has such an apostrophe, gets an apostrophe in
    front. Use it for texts, not for numbers.
    """
    shown = visible(text)
    begin = shown.lstrip().lstrip("'").lstrip()
    return f"'{shown}" if begin.startswith(_FORMULA) else shown


def markup(text: str) -> str:
    """Return the HTML that shows a text, in an element or an attribute."""
    return html.escape(visible(text))


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
    """Return True if a character may have variants of its shape: signs, ideographs, © and ®."""
    return c in ("©", "®") or (c >= "\u2000" and unicodedata.category(c)[0] in "LPS" and c not in _BLANK)


def _escaped(c: str) -> str:
    return c.encode("unicode_escape").decode()
