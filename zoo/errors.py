"""The exceptions that are no fault of this program."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in input, files or options; its text is one line for a person.

    The text says what is wrong, where (file, line, frame) and what to do. The command line prints it and ends
    with exit code 2; every other exception is a fault of this program and keeps its traceback. Line ends and whatever
    else cannot be printed, such as a file may bring along, are shown as escapes.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


class FullDiskError(UserError):
    """There is no room: what works on many files stops at the first one that cannot be written."""


class Stopped(Exception):
    """The user stopped the work (Ctrl-C, SIGTERM); what was saved can be continued."""


def first_line(error: BaseException) -> str:
    """What an error of another library says, for a message of one line; its kind where it says nothing. Some quote
    half the file: what is too long to read is cut."""
    said = next(iter(str(error).splitlines()), "") or type(error).__name__
    return said if len(said) <= 300 else f"{said[:300]}..."


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
