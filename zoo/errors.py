"""The exceptions that are no fault of this program, and where their texts come from."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from zoo.text import visible

PLUGIN_ERROR = "plugin-error"
"""The code of a plain sentence, as a plugin's author writes one."""

_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class UserError(Exception):
    """A mistake in input, files or options; its text is one line for a person.

    ``UserError("annotation-empty", file=path)``: a code that stays the same, and fields (file, line, frame, got,
    wanted, ...); the sentence is made from them by ``zoo/errors.toml``, the one place where wording lives. A plugin may
    give a plain sentence instead, ``UserError("the model wants 3 channels: ...")``; its code is ``plugin-error``.

    The text says what is wrong, where and what to do. The command line prints it and ends with exit code 2; every
    other exception is a fault of this program and keeps its traceback. Line ends and whatever else cannot be seen,
    such as a file may bring along, are shown as escapes (``zoo.text.visible``).

    Attributes:
        code: What went wrong, in words that stay; ``harness explain CODE`` says more.
        fields: What the sentence is about: numbers and paths as they are, all else as text.
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
    """There is no room: what works on many files stops at the first one that cannot be written."""


class Stopped(Exception):
    """The user stopped the work (Ctrl-C, SIGTERM); what was saved can be continued."""


@functools.cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(Path(__file__).with_name("errors.toml").read_text(encoding="utf-8"))


def catalogue() -> Mapping[str, str]:
    """Code -> sentence with the names of its fields in braces, as ``str.format`` takes it."""
    return _texts()["messages"]


def cause_of(code: str) -> str:
    """Why errors of this kind happen: of the texts by which the code begins, the longest; "" where there is none."""
    causes = _texts()["causes"]
    fitting = [begin for begin in causes if code == begin or code.startswith(f"{begin}-")]
    return causes[max(fitting, key=len)] if fitting else ""


def message(code: str, fields: Mapping[str, Any]) -> str:
    """The sentence of a code. Where it cannot be made (an unknown code, a field that is missing) the code and its
    fields, so that an error is never hidden by another one."""
    try:
        return catalogue()[code].format(**fields)
    except (KeyError, IndexError, ValueError):
        return ", ".join([code, *(f"{name}: {value}" for name, value in fields.items())])


def first_line(error: BaseException) -> str:
    """What an error of another library says, for a message of one line; its kind where it says nothing. Some quote
    half the file: what is too long to read is cut."""
    said = next(iter(str(error).splitlines()), "") or type(error).__name__
    return said if len(said) <= 300 else f"{said[:300]}..."


def _plain(value: Any) -> Any:
    """What can be sent to another process, and compared in a test."""
    return value if isinstance(value, str | int | float | PurePath | None) else str(value)
