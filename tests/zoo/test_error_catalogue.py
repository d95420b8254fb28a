"""Every error is a code with fields, and its sentence stands in one place: codes in use and sentences agree."""

from __future__ import annotations

import ast
import pickle
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.commands.explain import way_out
from tests.support.paths import ROOT, TESTS
from zoo.errors import PLUGIN_ERROR, FullDiskError, UserError, catalogue, cause_of, causes

GOLDEN = TESTS / "zoo" / "golden" / "errors.txt"
KINDS = ("UserError", "FullDiskError", "kind")


def raised() -> Iterator[tuple[str, int, str, set[str] | None]]:
    """(file, line, code, names of the fields) of every error that the packages make with a code. Plugins may write
    plain sentences, as a stranger's do."""
    for path in sorted(path for package in ("zoo", "harness") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS):
                continue
            if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                names = {str(keyword.arg) for keyword in node.keywords}
                yield str(path.relative_to(ROOT)), node.lineno, node.args[0].value, names
            elif node.func.id != "kind":
                yield str(path.relative_to(ROOT)), node.lineno, "", None


def fields_of(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_every_error_of_the_packages_has_a_code_and_the_fields_of_its_sentence() -> None:
    wrong = []
    for file, line, code, names in raised():
        if names is None:
            wrong.append(f"{file}:{line}: no code")
        elif code not in catalogue():
            wrong.append(f"{file}:{line}: {code} is not in zoo/errors.toml")
        elif names != fields_of(catalogue()[code]):
            wrong.append(f"{file}:{line}: {code} gives {sorted(names)}, its sentence wants {catalogue()[code]!r}")
    assert wrong == []


def test_every_sentence_is_used() -> None:
    assert set(catalogue()) - {code for *_, code, _ in raised()} == set()


def made_up(code: str) -> UserError:
    """The error of a code about made-up things: each field is its own name, or 3 where a number is formatted."""
    sentence = catalogue()[code]
    numeric = {name for _, name, spec, _ in string.Formatter().parse(sentence) if name and spec}
    return UserError(code, **{name: 3 if name in numeric else f"<{name}>" for name in fields_of(sentence)})


def test_the_sentences_are_those_of_the_golden_file() -> None:
    """The one place where wording is tested: after a change of zoo/errors.toml look at this file's difference."""
    now = "".join(f"{code}\n    {made_up(code)}\n" for code in sorted(catalogue()))
    if not GOLDEN.is_file() or GOLDEN.read_text(encoding="utf-8") != now:
        GOLDEN.parent.mkdir(exist_ok=True)
        changed = GOLDEN.with_suffix(".new")
        changed.write_text(now, encoding="utf-8")
        pytest.fail(f"wording has changed: look at {changed} and, if it is meant, let it take the place of {GOLDEN}")


def test_sentences_are_one_line_that_prints() -> None:
    for code in catalogue():
        text = str(made_up(code))
        assert text.isprintable(), code
        assert text.endswith("...") or not text.endswith("."), code


def test_a_plain_sentence_is_a_plugins_error() -> None:
    error = UserError("the model wants 3 channels: give it RGB")
    assert (error.code, error.fields) == (PLUGIN_ERROR, {})
    assert str(error) == "the model wants 3 channels: give it RGB"


def test_an_error_says_what_it_knows_even_where_its_sentence_cannot_be_made() -> None:
    assert str(UserError("no-such-code", file=Path("a"), line=3)) == "no-such-code, file: a, line: 3"
    assert str(UserError("annotation-empty")) == "annotation-empty"


@pytest.mark.parametrize("kind", [UserError, FullDiskError])
def test_an_error_survives_the_way_to_another_process(kind: type[UserError]) -> None:
    error = kind("annotation-not-a-number", file=Path("a.txt"), line=3, name="valence", part="x")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.code, again.fields) == (str(error), error.code, error.fields)


def test_what_cannot_be_printed_is_shown_as_escapes() -> None:
    error = UserError("annotation-empty", file="a\n\x1b[31m.txt")
    assert str(error).startswith("a\\n\\x1b[31m.txt: the annotation file is empty")


PASSES_ON = {"message", "reason", "error", "value", "rest", "no_track", "first2", "shown", "names"}
"""Fields with the sentence of another error or place, which ends with a way out of its own."""


def test_every_sentence_says_what_to_do_unless_it_ends_with_another_one() -> None:
    for code, sentence in catalogue().items():
        last = [name for _, name, _, _ in string.Formatter().parse(sentence)][-1]
        assert way_out(sentence) or (sentence.endswith("}") and last in PASSES_ON), f"{code}: {sentence}"


def test_every_cause_is_that_of_a_code_and_every_code_has_one() -> None:
    assert set(causes().values()) == {cause_of(code) for code in catalogue()}
