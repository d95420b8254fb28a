"""Checks of a UserError: its code and fields, not its words, which only the golden file compares."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any

import pytest

from zoo.errors import UserError


class Part:
    """A field that contains each of ``texts``, in any words."""

    def __init__(self, *texts: object) -> None:
        self.texts = [str(text) for text in texts]

    def __repr__(self) -> str:
        return " and ".join(map(repr, self.texts))


class Refusal:
    """An expected UserError; use it in ``with`` around what must raise it, or pass `check` one that was raised."""

    def __init__(self, code: str, match: str, fields: dict[str, object]) -> None:
        self.code, self.match, self.fields = code, match, fields

    def __repr__(self) -> str:
        return f"{self.code} {self.fields} {self.match}".strip()

    def check(self, error: BaseException | None) -> None:
        """Assert that the error has the code, every given field, and words that match.

        Raises:
            AssertionError: It is another error, or none.
        """
        assert isinstance(error, UserError), f"wanted {self}, got {error!r}"
        assert error.code == self.code, f"wanted {self}, got {error.code}: {error}"
        for name, wanted in self.fields.items():
            assert name in error.fields, f"{self.code} has no field {name}, but {', '.join(error.fields)}"
            assert _same(error.fields[name], wanted), (
                f"{self.code}: {name} is {error.fields[name]!r}, wanted {wanted!r}"
            )
        assert re.search(self.match, str(error)), f"{self.code}: {error}; wanted {self.match!r}"

    def __enter__(self) -> pytest.ExceptionInfo[UserError]:
        self._raises = pytest.raises(UserError)
        self._caught = self._raises.__enter__()
        return self._caught

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        done = self._raises.__exit__(kind, error, at)
        if done:
            self.check(error)
        return done


def refused(code: str, /, *, match: str = "", **fields: Any) -> Refusal:
    """Expect a UserError of this code with these fields.

    Args:
        code: Its code.
        match: A regular expression for its sentence: only for what no code or field says, such as the plain
            sentence of a plugin.
        fields: Some of its fields. A file may be given by the end of its path, a field of words by a `Part`.
    """
    return Refusal(code, match, fields)


def _same(found: object, wanted: object) -> bool:
    """Compare numbers and paths in their printed form."""
    if isinstance(wanted, Part):
        return all(text in str(found) for text in wanted.texts)
    return str(found) == str(wanted) or str(found).endswith(f"/{wanted}")
