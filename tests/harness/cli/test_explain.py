"""`harness explain`: every code has a cause, an example and a way out where there is one; the page is up to date."""

from __future__ import annotations

import pytest

from harness.cli.commands.explain import code_of, example, page
from tests.support.paths import ROOT
from tests.support.refusals import Part
from zoo.errors import UserError, catalogue, cause_of


def test_every_code_has_a_cause() -> None:
    assert [code for code in catalogue() if not cause_of(code)] == []


def test_the_page_of_errors_is_up_to_date() -> None:
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == page(), "harness explain > docs/errors.md"


def test_a_code_is_explained(program) -> None:
    answer = program("explain", "annotation-empty")
    assert answer.code == 0
    assert [line.partition(":")[0] for line in answer.out.splitlines()] == ["code", "cause", "example", "way out"]
    assert "get it again or take it out of the folder" in answer.out


def test_the_sentence_itself_is_understood(program) -> None:
    said = str(UserError("annotation-not-a-number", file="a/b.txt", line=7, name="valence", part="x"))
    assert program("explain", f"error: {said}").out.startswith("code:     annotation-not-a-number\n")


def test_sentences_lead_to_their_codes() -> None:
    """Some are alike but for their fields: one in fifteen at most. Fewer still pass on what something else said."""
    every_message = {code: text for code, text in catalogue().items() if text != "{message}"}
    assert len(every_message) >= 0.97 * len(catalogue())
    wrong = {code: found for code, text in every_message.items() if (found := code_of(example(text))) != code}
    assert len(wrong) <= len(every_message) / 15, wrong


def test_an_unknown_code_is_named_with_the_nearest(program) -> None:
    answer = program("explain", "anotation-empty")
    answer.refused("code-unknown", hint=Part("annotation-empty"))


@pytest.mark.parametrize("text", ["", "something else entirely, that no sentence begins with"])
def test_what_is_no_error_has_no_code(text: str) -> None:
    assert code_of(text) is None
