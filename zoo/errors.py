"""Exceptions caused by the user's input or environment, and the texts of their messages."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from zoo.text import visible

PLUGIN_ERROR = "plugin-error"
"""The code of an error whose text is a plain sentence, as plugin authors write it."""

_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class UserError(Exception):
    """A mistake in input, files or options; its text is one line for the user.

    ``UserError("annotation-empty", file=path)`` has a stable code and fields (file, line, frame, got, ...). The
    message is formatted from them with ``zoo/errors.toml``, the only place for wording. A plugin may pass a plain
    sentence instead, ``UserError("the model wants 3 channels: ...")``; its code is ``plugin-error``.

    The text says what is wrong, where, and how to fix it. The command line prints it and exits with code 2. Every other
    exception is a bug of this program and keeps its traceback. Line ends and other invisible characters, which may come
    from a file, are shown as escapes (``zoo.text.visible``).

    Attributes:
        code: Stable identifier of the error; ``harness explain CODE`` prints more.
        fields: The values in the message: numbers and paths unchanged, all else as text.
        text: The message.
    """

    def __init__(self, code: str, /, **fields: Any) -> None:
        super().__init__(code)
        if fields or _CODE.fullmatch(code):
            self.code, text = code, message(code, fields)
        else:
            self.code, text = PLUGIN_ERROR, code
        self.fields = {name: _plain(value) for name, value in fields.items()}
        self.text = visible(text)

    def __str__(self) -> str:
        return self.text


class FullDiskError(UserError):
    """The disk is full. Work on many files stops at the first file that cannot be written."""


class Stopped(Exception):
    """The user stopped the work (Ctrl-C, SIGTERM). The saved part can be continued."""


@functools.cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(Path(__file__).with_name("errors.toml").read_text(encoding="utf-8"))


def catalogue() -> Mapping[str, str]:
    """Return code -> message with its fields in braces, as ``str.format`` takes it."""
    return _texts()["messages"]


def causes() -> Mapping[str, str]:
    """Return code, or the words that codes begin with -> why errors of these codes happen."""
    return _texts()["causes"]


def cause_of(code: str) -> str:
    """Return why errors of this code happen, or "" if no text is known.

    Causes are listed by code prefix; the longest one that matches is taken.
    """
    fitting = [begin for begin in causes() if f"{code}-".startswith(f"{begin}-")]
    return causes()[max(fitting, key=len)] if fitting else ""


def message(code: str, fields: Mapping[str, Any]) -> str:
    """Return the message of a code.

    If it cannot be formatted (unknown code, missing field), the code and its fields are returned, so that an error is
    never hidden by another one.
    """
    try:
        return catalogue()[code].format(**fields)
    except (KeyError, IndexError, ValueError):
        return ", ".join([code, *(f"{name}: {value}" for name, value in fields.items())])


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, for a one-line message.

    If its text is empty, the name of its type is returned. Some libraries quote half a file: long lines are cut.
    """
    said = next(iter(str(error).splitlines()), "") or type(error).__name__
    return said if len(said) <= 300 else f"{said[:300]}..."


def _plain(value: Any) -> Any:
    """Return a value that can be sent to another process and compared in a test."""
    return value if isinstance(value, str | int | float | PurePath | None) else str(value)
