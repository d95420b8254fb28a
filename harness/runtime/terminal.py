"""Standard output and error that escape control characters, which could act on a terminal. Light.

Names of files and folders, records, plugins, weights and errors of other libraries are all printed at some point. A
single guard on the streams misses none of them. If a text must stay one line or one cell, its writer ensures that.
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
"""Cursor movements of tqdm: back to the beginning of the line before a bar; and up, in a write of its own."""


def tabulate(rows: Iterable[Iterable[Any]], headers: Iterable[str] = (), **options: Any) -> str:
    """Return the table of the library of this name, with one line per row whatever the texts contain."""
    import tabulate as library

    cells = [[visible(str(cell)) if isinstance(cell, str | Path) else cell for cell in row] for row in rows]
    return str(library.tabulate(cells, headers=[visible(name) for name in headers], **options))


class Shown:
    """A text stream that writes hidden characters as escapes and otherwise behaves like the stream it wraps."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text; on a terminal the cursor movements of progress bars are kept."""
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
    """Make standard output and error usable, however the program was started.

    If one is closed (``>&-``), the next file that is opened would take its number and receive what is printed.
    Characters that a terminal or file of another encoding cannot show are escaped.
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
