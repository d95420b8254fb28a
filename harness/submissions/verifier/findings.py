"""Findings of the verifier, each with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SHOWN = 20
"""Number of findings of a kind that are listed; the rest is counted."""


@dataclass(frozen=True)
class Finding:
    """A fault; ``line`` counts from 1, and 0 means the file or folder as a whole."""

    line: int
    text: str


class Findings:
    """Findings by kind: all are counted, and the first few of each kind are kept.

    ``where`` is put before every text.
    """

    def __init__(self) -> None:
        self.where = ""
        self._kept: dict[str, list[Finding]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, line: int, text: str) -> None:
        """Add a finding; its text is one line."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= SHOWN:
            self._kept.setdefault(kind, []).append(Finding(line, self.where + text))

    def __iter__(self) -> Iterator[Finding]:
        for kind, kept in self._kept.items():
            yield from kept
            if self._counts[kind] > SHOWN:
                yield Finding(0, f"{self._counts[kind] - SHOWN} more like this ({kind})")


def short(text: str, width: int = 80) -> str:
    """Return a text to be shown, cut if it is long."""
    return text if len(text) <= width else f"{text[:width]}..."
