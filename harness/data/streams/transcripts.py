"""Files of spoken words with their times: SubRip, WebVTT, the JSON of Whisper, and CSV.

- ``.srt``, ``.vtt``: cues. A cue's words share its time in proportion to their letters, unless the cue has a time in
  front of each word (``<00:00:01.200>``). Lines that such a file shows again, as
  YouTube's captions do, count once.
- ``.json``: ``segments`` with ``start``, ``end``, ``text`` and, if they were asked for, ``words``, as Whisper and
  its relatives write them; or ``chunks`` with ``timestamp`` and ``text``, as transformers does. The words may also be a
  list of their own, as OpenAI's service writes them. A word without times is placed between its neighbours.
- ``.csv``: a header with ``word,start,end``; seconds.

All times count from the first frame of the video.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from harness.data.streams.cues import Placed, read_cues, spread
from zoo.errors import UserError
from zoo.files import is_settled, name_key, read_bytes, reason_of
from zoo.readers import Word

FOLDER = "transcripts"
OVERLAP = 0.05
"""Seconds by which a word may begin before the one before it ends: recognisers round."""
OPEN_END = 1.0
"""Seconds of a file's last chunk if it has no end, as transformers writes it where the sound ends in a word."""


def find_transcript(root: Path, name: str, video: Path | None) -> Path | None:
    """Return the file with a video's words, or None.

    Its name is that of the annotated person or of the video. It is in the folder ``transcripts`` of the data folder, in
    such a folder next to the video, or itself next to the video. Only subtitles are looked for there, because tables
    and JSON next to a video are usually something else. Raise UserError if there are several in one place.
    """
    found = transcripts_of(root, name, video)
    if len(found) > 1:
        raise UserError("transcript-twice", file=found[0], file2=found[1].name, name=name)
    return found[0] if found else None


def transcripts_of(root: Path, name: str, video: Path | None) -> list[Path]:
    """Return the files with a video's words in the first place that has any; see `find_transcript`.

    Their endings may be in upper or lower case.
    """
    stems = dict.fromkeys([name, *([video.stem] if video else [])])
    places = [(root / FOLDER / stem, tuple(READERS)) for stem in stems]
    for file in (video, video.resolve()) if video else ():  # `harness data crop` links to the videos
        places += [(file.parent / FOLDER / file.stem, tuple(READERS)), (file.with_suffix(""), SUBTITLES)]
    for place, endings in places:
        names = _listed(place.parent).get(name_key(place.name), ())
        candidates = (place.with_name(name) for name in names if name.lower().endswith(endings))
        if found := [path for path in candidates if path.is_file()]:
            return found
    return []


def _listed(folder: Path) -> dict[str, list[str]]:
    """Return the names of a folder's files that may hold words, by their `name_key` without the ending.

    A list is kept as long as the folder's time tells every change: a folder of n videos is asked n times.
    """
    try:
        changed = folder.stat().st_mtime_ns
        return (_names if is_settled(changed, time.time_ns()) else _names.__wrapped__)(folder, changed)
    except OSError:  # there is no such folder
        return {}


@lru_cache(maxsize=64)
def _names(folder: Path, changed: int) -> dict[str, list[str]]:
    """Read what `_listed` returns. ``changed``: the folder's time, which makes it another entry of the cache."""
    found: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        stem, ending = os.path.splitext(name)
        if ending.lower() in READERS:
            found.setdefault(name_key(stem), []).append(name)
    return {stem: sorted(names, key=_order) for stem, names in found.items()}


def _order(name: str) -> tuple[int, str]:
    return list(READERS).index(os.path.splitext(name)[1].lower()), name


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
    for place, word in found:
        if not (math.isfinite(word.start) and math.isfinite(word.end) and 0 <= word.start <= word.end):
            raise UserError("transcript-time", file=path, place=place, start=word.start, end=word.end)
    for (_, before), (place, word) in pairwise(found):
        if word.start < before.end - OVERLAP:
            raise UserError("transcript-overlap", file=path, place=place, start=word.start, end=before.end)
    return [word for _, word in found]


def _json(path: Path, text: str) -> Iterator[Placed]:
    """Yield the words of Whisper's JSON, or those of transformers' pipeline."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise UserError("transcript-form", file=path, place=f"line {line}", what="it must be JSON") from None
    parts = _parts(tree) if isinstance(tree, dict) else None
    if not isinstance(parts, list):
        what = "it must have a list named segments, chunks or words"
        raise UserError("transcript-form", file=path, place="line 1", what=what)
    for number, part in enumerate(parts, 1):
        try:
            following = parts[number] if number < len(parts) else None
            yield from ((f"entry {number}", word) for word in _segment(part, following))
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
            what = "a segment must have text (or word), start and end in seconds"
            raise UserError("transcript-form", file=path, place=f"entry {number}", what=what) from None


def _parts(tree: dict[str, Any]) -> Any:
    """Return the list to read: ``segments``, or ``words`` next to them if the segments have none of their own."""
    segments = tree.get("segments")
    if tree.get("words") and isinstance(segments, list):
        own = any(isinstance(part, dict) and part.get("words") for part in segments)
        return segments if own else tree["words"]
    return next((tree[key] for key in ("segments", "chunks", "words") if key in tree), None)


def _segment(part: Any, following: Any) -> Iterator[Word]:
    """Yield the words of an entry; ``following`` is the next one."""
    words = part.get("words") or []
    if not any(_timed(word) for word in words):
        yield from spread(_said(part).split(), *_span(part, following))
        return
    runs = [(timed, list(run)) for timed, run in groupby(words, _timed)]
    for i, (timed, run) in enumerate(runs):
        if timed:
            for word in run:
                yield from spread(_said(word).split(), float(word["start"]), float(word["end"]))
        else:  # WhisperX gives no times to numerals
            start = float(runs[i - 1][1][-1]["end"] if i else part["start"])
            end = float(runs[i + 1][1][0]["start"] if i + 1 < len(runs) else part["end"])
            yield from spread([said for word in run for said in _said(word).split()], start, max(start, end))


def _timed(word: Any) -> bool:
    return word.get("start") is not None and word.get("end") is not None


def _said(part: Any) -> str:
    said = part["word"] if "word" in part else part["text"]
    if type(said) not in (str, int, float):  # the words null and true would be Python's
        raise TypeError
    return str(said)


def _span(part: Any, following: Any) -> tuple[float, float]:
    """Return start and end of an entry (s). A chunk of transformers may lack its end."""
    if "timestamp" not in part:
        return float(part["start"]), float(part["end"])
    start, end = part["timestamp"]
    if end is None:
        end = following["timestamp"][0] if following else start + OPEN_END
    return float(start), float(end)


def _csv(path: Path, text: str) -> Iterator[Placed]:
    reader = csv.DictReader(io.StringIO(text))
    try:
        if not {"word", "start", "end"} <= set(reader.fieldnames or ()):
            raise ValueError("the header must have word,start,end")
        for row in reader:
            for word in _row_words(row):
                yield f"line {reader.line_num}", word
    except csv.Error as error:
        place, what = f"line {reader.line_num + 1}", f"it must be CSV ({error})"
        raise UserError("transcript-form", file=path, place=place, what=what) from None
    except ValueError as error:
        place = f"line {max(1, reader.line_num)}"
        raise UserError("transcript-form", file=path, place=place, what=str(error)) from None


def _row_words(row: dict[str | Any, Any]) -> list[Word]:
    """Return the words of a row of CSV; ValueError says what is wrong with it."""
    if any(row.get(None, ())):  # decimal commas would make four cells of two times
        raise ValueError("a row must not have more cells than the header; write 0.5 rather than 0,5")
    try:
        start, end = float(row["start"]), float(row["end"])
    except (TypeError, ValueError):
        raise ValueError("start and end must be seconds") from None
    return spread((row["word"] or "").split(), start, end)


READERS: dict[str, Callable[[Path, str], Iterator[Placed]]] = {
    ".srt": read_cues,
    ".vtt": read_cues,
    ".json": _json,
    ".csv": _csv,
}
SUBTITLES = (".srt", ".vtt")
