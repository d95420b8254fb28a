"""Progress of long work: a bar on a terminal, a line a minute if the output goes to a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

EVERY = 60.0
"""Seconds between two lines if no bar can be drawn (a cluster's log, CI)."""


class Bar(tqdm):  # type: ignore[type-arg]
    """A tqdm bar, with tqdm's arguments; if standard error is not a terminal, a line every EVERY seconds instead.

    ``shown`` False: nothing is shown. ``plain``: True if lines are written instead of a bar.
    """

    def __init__(self, *args: Any, shown: bool = True, leave: bool = False, **options: Any) -> None:
        self.plain = shown and not (sys.stderr is not None and sys.stderr.isatty())
        super().__init__(*args, disable=self.plain or not shown, leave=leave, **options)  # type: ignore[call-overload]
        self.label, self.noun = str(options.get("desc") or "done"), str(options.get("unit") or "item")
        self.said_at = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        if not self.plain:
            yield from super().__iter__()
            return
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float | None = 1) -> bool | None:
        """Count ``n`` further items; without a bar, print a line every EVERY seconds."""
        if not self.plain:
            return super().update(n)
        self.n += n or 0
        if time.monotonic() - self.said_at >= EVERY:
            self.say()
        return None

    def say(self) -> None:
        """Print the line now."""
        of = f" of {self.total:,}" if self.total else ""
        print(f"{self.label}: {self.n:,}{of} {self.noun}s", file=sys.stderr, flush=True)
        self.said_at = time.monotonic()
