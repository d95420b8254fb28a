"""The exceptions that are no fault of this program."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in input, files or options; its text is one line for a person.

    The text says what is wrong, where (file, line, frame) and what to do. The command line prints it and ends
    with exit code 2; every other exception is a fault of this program and keeps its traceback.
    """


class Stopped(Exception):
    """The user stopped the work (Ctrl-C, SIGTERM); what was saved can be continued."""
