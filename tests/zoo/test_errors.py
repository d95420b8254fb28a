"""What a person is told: one line, whatever a file or another library brings along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.refusals import Part, refused
from zoo.errors import UserError, first_line


@pytest.mark.parametrize(
    ("said", "wanted"),
    [("no room\nfor this", "no room"), ("", "ValueError"), ("x" * 300, "x" * 300), ("x" * 5000, "x" * 300 + "...")],
)
def test_what_another_library_says(said: str, wanted: str) -> None:
    assert first_line(ValueError(said)) == wanted


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("annotation-unreadable", {}),
        ("annotation-not-a-number", {"line": 4}),
        ("annotation-not-a-number", {"file": "b.txt"}),
        ("annotation-not-a-number", {"name": Part("arousal")}),
        ("annotation-not-a-number", {"wanted": "x"}),
        ("annotation-not-a-number", {"match": "other words"}),
    ],
)
def test_tests_tell_one_error_from_another(code: str, fields: dict[str, Any]) -> None:
    error = UserError("annotation-not-a-number", file=Path("/data/a.txt"), line=3, name="valence", part="x")
    refused("annotation-not-a-number", file="a.txt", line=3, name=Part("val"), match="'x'").check(error)
    with pytest.raises(AssertionError):
        refused(code, **fields).check(error)


def test_line_ends_of_a_name_are_shown_as_escapes() -> None:
    assert str(UserError("a\nb\x1b[31m.txt: no é")) == "a\\nb\\x1b[31m.txt: no é"
