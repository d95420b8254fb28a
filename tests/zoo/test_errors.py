"""What a person is told: one line, whatever a file or another library brings along."""

from __future__ import annotations

import pytest

from zoo.errors import UserError, first_line


@pytest.mark.parametrize(
    ("said", "wanted"),
    [("no room\nfor this", "no room"), ("", "ValueError"), ("x" * 300, "x" * 300), ("x" * 5000, "x" * 300 + "...")],
)
def test_what_another_library_says(said: str, wanted: str) -> None:
    assert first_line(ValueError(said)) == wanted


def test_line_ends_of_a_name_are_shown_as_escapes() -> None:
    assert str(UserError("a\nb\x1b[31m.txt: no é")) == "a\\nb\\x1b[31m.txt: no é"
