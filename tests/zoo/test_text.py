"""Text that anybody may have made: it is shown, and does nothing."""

from __future__ import annotations

import json
import tomllib
import unicodedata

import pytest
import tomli_w
from hypothesis import given

import leaderboards.text
from tests.support.hostile import HOSTILE, acting, texts
from zoo.text import inert, seen_json, seen_toml, undo_inert, visible

CHARACTERS = [chr(n) for n in (*range(0x32400), *range(0xE0000, 0xE0200))]
"""All that Unicode has given a meaning, and some that it has not."""
LEGIT = [
    "Zoë Çelik, straße",
    "e\u0301",  # an accent of its own, as macOS writes names
    "שלום",
    "مرحبا",
    "می\u200cخواهم",  # Persian wants the non-joiner
    "क्\u200dष",
    "日本　語",
    "葛\U000e0100城",  # a variant of an ideograph
    "👨\u200d👩\u200d👧 ☺\ufe0f 1\ufe0f\u20e3 👍🏽",
    "a\u00a0b",
    "C:\\data\\x.mp4",
]


@pytest.mark.parametrize("text", LEGIT)
def test_what_people_write_stays(text: str) -> None:
    assert visible(text) == inert(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_what_acts_is_shown_as_an_escape(text: str) -> None:
    shown = visible(text)
    assert not acting(shown)
    assert "\\" in shown


def test_no_character_that_acts_is_seen_alone() -> None:
    hidden = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}
    for c in CHARACTERS:
        assert (visible(c) == c) <= (unicodedata.category(c) not in hidden), hex(ord(c))


@given(texts())
def test_nothing_acts_and_twice_is_as_good_as_once(text: str) -> None:
    shown = visible(text)
    assert not acting(shown)
    assert visible(shown) == shown
    shown.encode()


@given(texts())
def test_a_cell_is_no_formula_and_says_what_it_was_made_of(text: str) -> None:
    cell = inert(text)
    assert not acting(cell)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    if "\\" not in text:  # an escape that is there before is taken for one of ours
        assert undo_inert(cell) == text


@given(texts(), texts())
def test_two_texts_stay_two(a: str, b: str) -> None:
    if "\\" not in a + b and a != b:
        assert inert(a) != inert(b)


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@sum", " =1", "\t=1", "＝1", "'=1", "-2"])
def test_formulas_are_texts(text: str) -> None:
    assert inert(text)[0] in "'\\"
    assert undo_inert(inert(text)) == text


@given(texts())
def test_the_tables_of_runs_have_the_same_rule(text: str) -> None:
    assert leaderboards.text.visible(text) == visible(text)
    assert leaderboards.text.inert(text) == inert(text)


def test_the_same_of_every_character() -> None:
    for c in CHARACTERS:
        assert leaderboards.text.visible(c) == visible(c), hex(ord(c))
        if unicodedata.category(c) in ("Cf", "Mn"):  # may belong to what stands beside it
            for text in (f"ا{c}ا", f"☺{c}", f"1{c}\u20e3"):
                assert leaderboards.text.visible(text) == visible(text), hex(ord(c))


@given(texts())
def test_json_and_toml_say_the_same_as_before(text: str) -> None:
    plain = text.encode("utf-8", "replace").decode()
    as_json = seen_json(json.dumps({plain: plain}, ensure_ascii=False, indent=1))
    assert json.loads(as_json) == {plain: plain}
    assert not acting(as_json.replace("\n", ""))
    as_toml = seen_toml(tomli_w.dumps({"key": plain}))
    assert tomllib.loads(as_toml) == {"key": plain}
    assert not acting(as_toml.replace("\n", ""))
