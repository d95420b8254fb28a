"""Plain English: patterns of odd sentences that must not come back, each with the reason."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import read
from tests.support.paths import ROOT

FOLDERS = ("zoo", "plugins", "harness", "leaderboards")
"""Clean in docstrings, comments and TOML values."""
SPOKEN = ("harness/cli",)
"""Clean in the strings of the code too: what the program prints."""

ANYWHERE = {
    r"\b(is|are|was|were|be) told\b": "say warn, report, raise or print",
    r"\bwanted\b(?!:)": 'say "must be X, got Y", or requested',
    r"\bmend(s|ed|ing)?\b": "say fix, correct or repair",
    r"(?<!there )(?<!There )\bis no\b(?! longer)": 'say "is not a"; "there is no" is fine',
    r"\bUserError:? (?:(?!\. ).)*\bwhere\b": "conditions are introduced by if, places by where",
}
"""Patterns in docstrings, comments and messages."""
OPENING = {
    r"(What|Which|Where|Who|Whether|How|When)\b": "begin with a verb (functions) or a noun phrase (classes, modules)",
}
"""Patterns at the beginning of a docstring."""


_NAMES = re.compile(r"``[^`]*``|\{[^{}]*\}")
"""What stands between backticks is code."""


def texts(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Line, text and "is a docstring" of every docstring and comment of a Python file, of every value of a TOML file.

    Names in code are not looked at: a parameter may be called ``wanted``. Strings of three words or more are, below
    SPOKEN.
    """
    source = read(path)
    if path.suffix == ".toml":
        for number, line in enumerate(source.splitlines(), start=1):
            yield number, re.sub(r"\{[^{}]*\}", "FIELD", line.partition(" = ")[2] or line), False
        return
    for node in ast.walk(ast.parse(source)):
        for statement in getattr(node, "body", []) if isinstance(getattr(node, "body", None), list) else []:
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.lineno, " ".join(_NAMES.sub("NAME", value.value).split()), True
        if is_spoken(path) and isinstance(node, ast.Constant) and len(str(node.value).split()) > 2:
            yield node.lineno, " ".join(str(node.value).split()), False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#: "), False


def is_spoken(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / name) for name in SPOKEN)


def files() -> list[Path]:
    found = []
    for name in FOLDERS:
        found += [path for path in sorted((ROOT / name).rglob("*")) if path.suffix in (".py", ".toml")]
    assert len(found) > 400
    return found


def faults(path: Path) -> list[str]:
    found = []
    for line, text, docstring in texts(path):
        patterns = [(pattern, why, re.search(pattern, text)) for pattern, why in ANYWHERE.items()]
        patterns += [(pattern, why, re.match(pattern, text)) for pattern, why in OPENING.items() if docstring]
        found += [f"{path}:{line}: {hit[0]!r}: {why}" for _, why, hit in patterns if hit]
    return found


def test_no_odd_sentence_comes_back() -> None:
    assert [fault for path in files() for fault in faults(path)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"""What the slots are."""', 1),
        ('def f():\n    """Whether it is there."""', 1),
        ('"""Return a name. UserError where it is taken."""', 1),
        ('"""Raise UserError if it is taken. Where it lies is known."""', 0),
        ("x = 1  # the user is told, and may mend it", 2),
        ("wanted = 1  # there is no other", 0),
        ("# this is no comment", 1),
    ],
)
def test_the_patterns_find_what_they_are_for(text: str, found: int, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(text + "\n")
    assert len(faults(path)) == found


def test_fields_of_messages_are_not_words(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('a = "must be {wanted}, got {got}"\nb = "wanted one"\n')
    assert len(faults(path)) == 1
