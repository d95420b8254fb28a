"""Files of spoken words with their times: SubRip, WebVTT, the JSON of Whisper, and CSV.

- ``.srt``, ``.vtt``: cues. A cue's words share its time in proportion to their letters, unless the cue has a time in
  front of each word (``<00:00:01.200>``).
- ``.json``: ``segments`` with ``start``, ``end``, ``text`` and, if they were asked for, ``words``, as Whisper and
  its relatives write them; or ``chunks`` with ``timestamp`` and ``text``, as transformers does.
- ``.csv``: a header with ``word,start,end``; seconds.

All times count from the first frame of the video.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.files import read_bytes, reason_of, spelled
from zoo.readers import Word

FOLDER = "transcripts"
OVERLAP = 0.05
"""Seconds by which a word may begin before the one before it ends: recognisers round."""

_CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)"
_ARROW = re.compile(rf"^\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?$")
_STAMP = re.compile(rf"<{_CLOCK}>")
_MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")

Line = tuple[int, Word]
"""A word with the number of its line, or of its entry in a JSON file, from 1."""


def find_transcript(root: Path, name: str, video: Path | None) -> Path | None:
    """Return the file with a video's words, or None.

    Its name is that of the annotated person or of the video. It is in the folder ``transcripts`` of the data folder, in
    such a folder next to the video, or itself next to the video. Raise UserError if there are several in one place.
    """
    stems = dict.fromkeys([name, *([video.stem] if video else [])])
    places = [root / FOLDER / stem for stem in stems]
    for file in (video, video.resolve()) if video else ():  # `harness data crop` links to the videos
        places += [file.parent / FOLDER / file.stem, file.with_suffix("")]
    for place in places:
        candidates = (spelled(place.with_name(place.name + ending)) for ending in READERS)
        found = [path for path in candidates if path.is_file()]
        if len(found) > 1:
            raise UserError("transcript-twice", file=found[0], file2=found[1].name, name=name)
        if found:
            return found[0]
    return None


def read_transcript(path: Path) -> list[Word]:
    """Read the words of a file in the order of their beginnings.

    Raises:
        UserError: The file cannot be read, a time is wrong, or words overlap by more than OVERLAP.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise UserError("transcript-unreadable", file=path, reason=reason_of(error)) from None
    except UnicodeDecodeError:
        raise UserError("transcript-unreadable", file=path, reason="it is not UTF-8") from None
    found = list(READERS[path.suffix.lower()](path, text.replace("\r\n", "\n").replace("\r", "\n")))
    for line, word in found:
        if not (math.isfinite(word.start) and math.isfinite(word.end) and 0 <= word.start <= word.end):
            raise UserError("transcript-time", file=path, line=line, start=word.start, end=word.end)
    for (_, before), (line, word) in pairwise(found):
        if word.start < before.end - OVERLAP:
            raise UserError("transcript-overlap", file=path, line=line, start=word.start, end=before.end)
    return [word for _, word in found]


def _cues(path: Path, text: str) -> Iterator[Line]:
    """Yield the words of SRT or VTT cues; what stands before a file's first cue, notes and styles are skipped."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if "-->" not in line:
            continue
        match = _ARROW.match(line)
        if match is None:
            raise UserError(
                "transcript-form", file=path, line=i + 1, what="a cue's time must be like 00:01:02.500 --> 00:01:04"
            )
        start, end = _seconds(match.groups()[:3]), _seconds(match.groups()[3:])
        body = []
        for other in lines[i + 1 :]:
            if not other.strip() or "-->" in other:
                break
            body.append(other)
        for word in _cue_words(" ".join(body), start, end):
            yield i + 1, word


def _cue_words(body: str, start: float, end: float) -> Iterator[Word]:
    """Yield a cue's words; each part between two times inside it is shared by the part's words."""
    marks = [(match.start(), match.end(), _seconds(match.groups())) for match in _STAMP.finditer(body)]
    begins = [(0, start), *((stop, time) for _, stop, time in marks)]
    ends = [*((at, time) for at, _, time in marks), (len(body), end)]
    for (left, begin), (right, stop) in zip(begins, ends, strict=True):
        plain = html.unescape(_MARKUP.sub("", body[left:right]))
        yield from spread(plain.split(), begin, stop)


def spread(words: Sequence[str], start: float, end: float) -> list[Word]:
    """Share the time from ``start`` to ``end`` (s) among words in proportion to their letters."""
    total = sum(map(len, words))
    out, letters = [], 0
    for word in words:
        begin = start + (end - start) * letters / total
        letters += len(word)
        out.append(Word(word, begin, start + (end - start) * letters / total))
    return out


def _json(path: Path, text: str) -> Iterator[Line]:
    """Yield the words of Whisper's JSON, or those of transformers' pipeline."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise UserError("transcript-form", file=path, line=line, what="it must be JSON") from None
    parts = next((tree[key] for key in ("segments", "chunks", "words") if isinstance(tree, dict) and key in tree), None)
    if not isinstance(parts, list):
        raise UserError(
            "transcript-form", file=path, line=1, what="it must have a list named segments, chunks or words"
        )
    for number, part in enumerate(parts, 1):
        try:
            yield from ((number, word) for word in _segment(part))
        except (KeyError, TypeError, ValueError):
            what = "a segment must have text (or word), start and end in seconds"
            raise UserError("transcript-form", file=path, line=number, what=what) from None


def _segment(part: Any) -> Iterator[Word]:
    words = part.get("words") or []
    if words and all("start" in word and "end" in word for word in words):
        for word in words:
            yield from spread(str(word.get("word", word.get("text"))).split(), float(word["start"]), float(word["end"]))
        return
    start, end = part["timestamp"] if "timestamp" in part else (part["start"], part["end"])
    yield from spread(str(part["text"] if "text" in part else part["word"]).split(), float(start), float(end))


def _csv(path: Path, text: str) -> Iterator[Line]:
    reader = csv.DictReader(io.StringIO(text))
    if not {"word", "start", "end"} <= set(reader.fieldnames or ()):
        raise UserError("transcript-form", file=path, line=1, what="the header must have word,start,end")
    for row in reader:
        try:
            start, end = float(row["start"]), float(row["end"])
        except (TypeError, ValueError):
            what = "start and end must be seconds"
            raise UserError("transcript-form", file=path, line=reader.line_num, what=what) from None
        for word in spread((row["word"] or "").split(), start, end):
            yield reader.line_num, word


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float((seconds or "0").replace(",", "."))


READERS: dict[str, Callable[[Path, str], Iterator[Line]]] = {".srt": _cues, ".vtt": _cues, ".json": _json, ".csv": _csv}
