"""Check the fields of a line: their number, numeric ranges and class numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.submissions.verifier.findings import Findings, short
from zoo.tracks import Answer, Form, TrackSpec

FOLDERS: dict[str, str] = {Form.PER_VIDEO: ".txt", Form.CSV: ".csv"}
"""Forms that are a folder with one file per video -> suffix of the file names."""
HEADERLESS = (Form.FRAME_TRIALS, Form.TRIALS)
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


class Fields:
    """A checker for lines of one track's form; ``widths`` are the numbers of fields that a line may have."""

    def __init__(self, track: TrackSpec, found: Findings) -> None:
        self.found = found
        self.keyed = track.submission != Form.PER_VIDEO
        self.trials = track.submission == Form.TRIALS
        self.blanks = track.submission in HEADERLESS  # the organisers' checker refuses spaces there
        self.answers = [(answer, _allowed(answer)) for answer in track.answers]
        width = int(self.keyed) + len(track.answers)
        self.widths: tuple[int, ...] = (width, width + 2) if self.trials else (width,)

    def check(self, number: int, line: str, fields: Sequence[str]) -> None:
        """Check the fields of line ``number`` (from 1)."""
        if len(fields) not in self.widths:
            wanted = " or ".join(map(str, self.widths))
            filled = ": a spreadsheet fills lines up with commas" if not any(fields[max(self.widths) :]) else ""
            filled = filled if len(fields) > max(self.widths) else ""
            self.found.add("fields", number, f"{len(fields)} fields, not {wanted}: {short(line)!r}{filled}")
            return
        if self.blanks and any(char.isspace() for char in line):
            self.found.add("blank", number, f"there is a space in {short(line)!r}; this form has none")
        values = fields[1:] if self.keyed else fields
        if len(values) == len(self.answers) + 2:
            self._probabilities(number, values[0], values[1])
            values = values[2:]
        for (answer, texts), text in zip(self.answers, values, strict=True):
            if texts is None:
                self._number(answer.name, text, answer.low, answer.high, number)
            elif text not in texts:
                self.found.add(
                    "class", number, f"{answer.name} is {short(text)!r}, not a number from 0 to {len(texts) - 1}"
                )

    def same_width(self, number: int, fields: Sequence[str]) -> None:
        """Require as many fields in every line of a trial as in its first (or as the list has)."""
        if self.trials and len(fields) in self.widths:
            self.widths = (len(fields),)

    def clean(self, fields: Sequence[str]) -> bool:
        """Return True if the answers of a line are classes only, all of them valid.

        Another line with the same ending need not be checked.
        """
        values = fields[1:] if self.keyed else fields
        return len(values) == len(self.answers) and all(
            texts is not None and text in texts for (_, texts), text in zip(self.answers, values, strict=True)
        )

    def _number(self, name: str, text: str, low: float, high: float, number: int) -> bool:
        if not _NUMBER.fullmatch(text):
            self.found.add("number", number, f"{name} is {short(text)!r}, not a number")
        elif not low <= float(text) <= high:
            self.found.add("range", number, f"{name} is {short(text)}, outside {low:g} to {high:g}")
        else:
            return True
        return False

    def _probabilities(self, number: int, p0: str, p1: str) -> None:
        good = [self._number(name, text, 0, 1, number) for name, text in (("p0", p0), ("p1", p1))]
        if all(good) and float(p0) + float(p1) != 1.0:
            self.found.add("sum", number, f"p0 + p1 is {float(p0) + float(p1)!r}, not 1: {short(p0)} + {short(p1)}")


def _allowed(answer: Answer) -> frozenset[str] | None:
    """Return the texts of an answer's classes; None for a number."""
    if answer.kind == "value":
        return None
    return frozenset(str(number) for number in range(len(answer.classes) if answer.kind == "class" else 2))
