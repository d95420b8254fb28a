"""Read text files given by users, with errors that name the file."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import UserError
from zoo.files import read_bytes


def read_text(path: Path) -> str:
    """Return a text file without byte order mark, carriage returns and trailing white space.

    Raises UserError if the file cannot be read or is not UTF-8.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise UserError("text-unreadable", file=path, strerror=error.strerror) from error
    except UnicodeDecodeError as error:
        raise UserError("text-not-utf8", file=path, start=error.start) from error
    return text.replace("\r\n", "\n").rstrip()
