"""Standard output and error that show what would act on a terminal, whoever wrote it. Light.

Names of files and folders, records, plugins, weights and the errors of other libraries all end in some ``print``. One
guard where they meet misses none of them; where a text must stay one line or one cell, its writer sees to that too.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO, cast

from zoo.text import visible

_KEPT = "\n\t"
_BAR = re.compile(r"\r|(?:\x1b\[A)+\Z")
"""What tqdm moves the cursor with: back to the line's begin before a bar, and up, in a write of its own."""


def tabulate(rows: Iterable[Iterable[Any]], headers: Iterable[str] = (), **options: Any) -> str:
    """Return the table that the library of this name makes, a line a row whatever its texts are."""
    import tabulate as library

    cells = [[visible(str(cell)) if isinstance(cell, str | Path) else cell for cell in row] for row in rows]
    return str(library.tabulate(cells, headers=[visible(name) for name in headers], **options))


class Shown:
    """A stream of text whose hidden characters are written as escapes; in all else the stream that it is given."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text. Of a terminal the cursor may be moved as bars of progress move it."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        moves = found[0] if self._stream.isatty() and (found := _BAR.match(text)) else ""
        self._stream.write(moves + visible(text[len(moves) :], _KEPT))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write some texts."""
        for line in lines:
            self.write(line)


def open_streams() -> None:
    """Make standard output and error usable, however this was started.

    Where one is closed (``>&-``), the next file that is opened would take its place, and get what is printed. What
    a terminal or file of another encoding cannot show is escaped.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w")  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream if isinstance(stream, Shown) else cast(TextIO, Shown(stream)))
