"""What was found wrong, with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SHOWN = 20
"""Findings of a kind that are listed; the rest is counted."""


@dataclass(frozen=True)
class Finding:
    """Something wrong: ``line`` from 1, 0 where it concerns the file or folder as a whole."""

    line: int
    text: str


class Findings:
    """Findings by kind, the first few of each kept and all counted. ``where`` is put before every text."""

    def __init__(self) -> None:
        self.where = ""
        self._kept: dict[str, list[Finding]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, line: int, text: str) -> None:
        """One more; texts are one line each."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= SHOWN:
            self._kept.setdefault(kind, []).append(Finding(line, self.where + text))

    def __iter__(self) -> Iterator[Finding]:
        for kind, kept in self._kept.items():
            yield from kept
            if self._counts[kind] > SHOWN:
                yield Finding(0, f"{self._counts[kind] - SHOWN} more like this ({kind})")


def short(text: str, width: int = 80) -> str:
    """A text that may be shown: cut where it is long."""
    return text if len(text) <= width else f"{text[:width]}..."
