"""Recipes: what they say, what a flag replaces, and that each one resolves."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from harness.config.recipe import about, find_recipe, read_recipe, recipe_names
from harness.config.schema import load_config
from harness.runs.job import plan_of
from tests.support.recipes import recipe_tracks, stand_in_hub
from tests.support.refusals import Part, refused
from zoo.registry.tracks import find_track, load_plugins

RECIPE = """
encoders = "face,context"
fusion = "concat"
head = "lstm"
[about]
summary = "A test."
differs = ["nothing"]
published = [{track = "va", score = 0.5, metric = "mean CCC", split = "val", source = "nowhere"}]
[train]
epochs = 2
[options]
"head.hidden" = 7
"encoder.face.size" = 32
"encoder.context.size" = 48
[tracks.va.options]
"loss.ccc.activation" = "clamp"
[tracks.expr.options]
"loss.ce.weights" = "none"
[tracks.expr.train]
batch = 3
"""


OWN = ("default", "demo", "fine-tune", "strong-2026")
"""Recipes that are not a published system's."""


def test_a_recipe_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "notepad.toml"
    path.write_bytes(b"\xef\xbb\xbf" + RECIPE.replace("\n", "\r\n").encode())
    assert read_recipe(str(path), {})["head"] == "lstm"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for path, what in (
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "a named pipe"),
        (tmp_path / "link", "a link to nothing"),
    ):
        with refused("recipe-not-a-file", name=str(path), what=what):
            find_recipe(str(path))


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)
    return str(path)


def test_settings_of_the_track(recipe: str) -> None:
    va, expr = load_config(recipe, {}, []), load_config(recipe, {"track": "expr"}, [])
    assert va.options["loss.ccc.activation"] == "clamp"
    assert "loss.ce.weights" not in va.options
    assert (expr.options["loss.ce.weights"], expr.train.batch, expr.train.epochs) == ("none", 3, 2)
    assert va.train.batch == 16


def test_what_a_flag_replaces_takes_its_options_with_it(recipe: str) -> None:
    assert "head.hidden" in load_config(recipe, {}, []).options
    assert "head.hidden" in load_config(recipe, {"head": "lstm"}, []).options
    assert "head.hidden" not in load_config(recipe, {"head": "mlp"}, []).options
    other = load_config(recipe, {"encoders": "face=timm:resnet18,context"}, []).options
    assert "encoder.face.size" not in other
    assert other["encoder.context.size"] == 48
    assert load_config(recipe, {"head": "mlp"}, ["head.hidden=9"]).options["head.hidden"] == 9
    assert "loss.ccc.activation" not in load_config(recipe, {"loss": ["ccc_mse"]}, []).options


def test_what_it_says_of_itself(recipe: str) -> None:
    found = about(recipe)
    assert (found.summary, found.differs) == ("A test.", ("nothing",))
    assert found.published[0]["score"] == 0.5
    Path(recipe).write_text("[about]\nsumary = 'x'\n")
    with refused("recipe-about-invalid", error=Part("sumary")):
        about(recipe)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with refused("recipe-unknown", hint=Part("demo")):
        read_recipe("demmo", {})


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_resolves_on_its_tracks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_hub(name, tmp_path, monkeypatch)
    registry = load_plugins([])
    config = load_config(name, {}, [])
    assert config.recipe == name
    tracks = {*recipe_tracks(name)} | {str(row["track"]) for row in about(name).published}
    for track_name in tracks:
        config = load_config(name, {"track": track_name}, [])
        _, track = find_track(registry, track_name, config.edition)
        plan_of(config, registry, track)


@pytest.mark.parametrize("name", [n for n in recipe_names() if n not in OWN])
def test_every_published_system_says_what_differs_and_what_to_compare_with(name: str) -> None:
    found = about(name)
    assert found.summary
    assert found.paper
    assert found.differs
    assert found.published or any("not readable" in choice for choice in found.choices)
    for row in found.published:
        assert {"track", "split", "score", "metric", "source"} <= row.keys()


@pytest.mark.parametrize("name", recipe_names())
def test_a_system_of_an_edition_is_run_on_that_edition(name: str) -> None:
    """All editions are built in: whoever took part in one is set up for it, and no recipe says otherwise."""
    assert "not built in" not in find_recipe(name).read_text(encoding="utf-8")
    took_part = re.search(r"at ABAW(\d+)", about(name).summary)
    if took_part:
        assert load_config(name, {}, []).edition == f"abaw{took_part[1]}"


def test_the_command_shows_them(program) -> None:
    listed = program("recipes")
    assert listed.code == 0
    assert all(name in listed.out for name in recipe_names())
    shown = program("recipes", "demo")
    assert 'schedule = "one_cycle"' in shown.out
    wrong = program("recipes", "dmo")
    wrong.refused("recipe-unknown", hint=Part("demo"))
