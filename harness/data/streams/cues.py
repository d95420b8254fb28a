"""Cues of SubRip and WebVTT: their times, their words, and what stands around them."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from zoo.errors import UserError
from zoo.readers import Word

BRIDGE = 0.1
"""Seconds up to which a cue that only repeats is left out: those of YouTube last 0.01 s."""

_CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)"
_ARROW = re.compile(rf"^\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?$")
_ALMOST = re.compile(rf"^\s*{_CLOCK}\s*[-–—=]*[>→]\s*{_CLOCK}")
_STAMP = re.compile(rf"<{_CLOCK}>")
_MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_WORDLESS = re.compile(r"(WEBVTT|NOTE|STYLE|REGION)\b")
"""Beginnings of the blocks of a file that may be without cues."""

Placed = tuple[str, Word]
"""A word with its place in the file: ``line 3``, or ``entry 3`` of a list of JSON."""


def read_cues(path: Path, text: str) -> Iterator[Placed]:
    """Yield the words of SRT or VTT cues; what stands before a file's first cue, notes and styles are skipped.

    Raises:
        UserError: A cue's time has another form, or the file has text and no cue.
    """
    lines = text.split("\n")
    arrows = [i for i, line in enumerate(lines) if "-->" in line or _ALMOST.match(line)]
    if not arrows:
        _check_wordless(path, text)
        return
    # YouTube fills a cue of WebVTT up with lines of one space; programs that write SRT end cues with such lines.
    spaces_end = path.suffix.lower() != ".vtt"
    name = _form(lines[arrows[0] - 1]) if arrows[0] else ""
    rolls = _STAMP.search(text) is not None
    shown: list[str] = []
    for i, following in zip(arrows, [*arrows[1:], len(lines)], strict=True):
        start, end = _times(path, i, lines[i])
        block = list(takewhile(lambda x: x.strip() if spaces_end else x, lines[i + 1 : following]))
        # Without a blank line before it, the next cue's number ends this block.
        if block and i + 1 + len(block) == following < len(lines) and name and _form(block[-1]) == name:
            block.pop()
        body = [other for other in block if other.strip()]
        again = _repeated(body, shown, end - start) if rolls else 0
        shown = [_plain(other) for other in body]
        for word in _cue_words(" ".join(body[again:]), start, end):
            yield f"line {i + 1}", word


def _check_wordless(path: Path, text: str) -> None:
    """Raise UserError if a file without a cue holds more than the header, notes and styles of WebVTT."""
    if not all(_WORDLESS.match(block) for block in re.split(r"\n\s*\n", text.strip()) if block):
        what = "it has text and no cue; a cue begins with its time, such as 00:01:02.500 --> 00:01:04"
        raise UserError("transcript-form", file=path, place="line 1", what=what)


def _form(line: str) -> str:
    """Return the form that the names of a file's cues share: that of 7 and 8, or of cue-7 and cue-8."""
    return re.sub(r"\d+", "0", line.strip())


def _times(path: Path, number: int, line: str) -> tuple[float, float]:
    """Return start and end (s) of the cue that begins in a line; ``number`` counts from 0."""
    match = _ARROW.match(line)
    if match is None:
        what = "a cue's time must be like 00:01:02.500 --> 00:01:04"
        raise UserError("transcript-form", file=path, place=f"line {number + 1}", what=what)
    return _seconds(match.groups()[:3]), _seconds(match.groups()[3:])


def _repeated(body: list[str], shown: list[str], seconds: float) -> int:
    """Return how many of a cue's first lines are the last lines of the cue before; a line with times never is.

    A cue that only repeats, and is longer than BRIDGE, says the same words once more.
    """
    untimed = [_plain(line) for line in takewhile(lambda line: not _STAMP.search(line), body)]
    most = min(len(untimed), len(shown))
    found = next((n for n in range(most, 0, -1) if untimed[:n] == shown[-n:]), 0)
    return 0 if found == len(body) and seconds > BRIDGE else found


def _plain(text: str) -> str:
    """Return a cue's text without markup."""
    return html.unescape(_MARKUP.sub("", text)).strip()


def _cue_words(body: str, start: float, end: float) -> Iterator[Word]:
    """Yield a cue's words; each part between two times inside it is shared by the part's words."""
    marks = [(match.start(), match.end(), _seconds(match.groups())) for match in _STAMP.finditer(body)]
    begins = [(0, start), *((stop, time) for _, stop, time in marks)]
    ends = [*((at, time) for at, _, time in marks), (len(body), end)]
    for (left, begin), (right, stop) in zip(begins, ends, strict=True):
        yield from spread(_plain(body[left:right]).split(), begin, stop)


def spread(words: Sequence[str], start: float, end: float) -> list[Word]:
    """Share the time from ``start`` to ``end`` (s) among words in proportion to their letters.

    A time that cannot be shared stays as it is, so that the error about it shows what the file says.
    """
    if not 0 <= end - start < math.inf:
        return [Word(word, start, end) for word in words]
    total = sum(map(len, words))
    out, letters = [], 0
    for word in words:
        begin = start + (end - start) * letters / total
        letters += len(word)
        out.append(Word(word, begin, start + (end - start) * letters / total))
    return out


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds = parts
    return float(hours or 0) * 3600 + float(minutes or 0) * 60 + float((seconds or "0").replace(",", "."))
