"""Text files that people give: read whole, and faults named by file."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import UserError
from zoo.files import read_bytes


def read_text(path: Path) -> str:
    """A text file without byte order mark, carriage returns and empty end; UserError where it is no UTF-8 text."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise UserError("text-unreadable", file=path, strerror=error.strerror) from error
    except UnicodeDecodeError as error:
        raise UserError("text-not-utf8", file=path, start=error.start) from error
    return text.replace("\r\n", "\n").rstrip()
