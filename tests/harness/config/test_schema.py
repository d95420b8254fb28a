"""Configurations: precedence, round trip, mistakes named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config.recipe import RECIPES
from harness.config.schema import Data, RunConfig, load_config, load_usual, validate
from tests.support.refusals import Part, Refusal, refused
from zoo.files import is_plain
from zoo.registry.registry import Problem, Registry
from zoo.registry.tracks import find_track


def test_flags_go_over_the_recipe_and_set_over_both() -> None:
    config = load_config(
        "demo", {"head": "lstm", "fusion": None}, ["train.epochs=7", "encoder.face.b.size=96", "head=mlp"]
    )
    assert (config.head, config.fusion, config.train.epochs) == ("mlp", "late", 7)
    assert config.train.schedule == "one_cycle"
    assert config.options == {"encoder.face.b.size": 96}


def test_the_written_file_repeats_the_configuration(tmp_path: Path) -> None:
    sets = ['encoder.face.weights=a b\\c"d.pth', "head.bidirectional=false", "fusion.weights=equal", "data.list=x.txt"]
    config = load_config("demo", {"finetune": ["face"], "seed": 3}, sets)
    path = tmp_path / "config.toml"
    path.write_text(config.toml())
    assert load_config(str(path), {}, []) == config


def test_a_setting_does_the_same_as_its_flag(tmp_path: Path) -> None:
    """The track's own settings, the default encoders, and what a replaced block's options are."""
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        "head = 'gru'\n[tracks.au]\ntrain.epochs = 3\n[default_encoders]\nface = 'fer'\n"
        "[options]\n'head.hidden' = 9\n'encoder.face.size' = 96\n'loss.ccc.activation' = 'tanh'\n"
    )
    for key, value in (("track", "au"), ("encoders", "face"), ("head", "mlp"), ("edition", "abaw6"), ("loss", ["mse"])):
        by_flag = load_config(str(recipe), {key: value}, [])
        assert load_config(str(recipe), {}, [f"{key}={value}"]) == by_flag, key
        assert load_config(str(recipe), {}, {key: value}) == by_flag, key
        assert by_flag != load_config(str(recipe), {}, [])
    assert load_config("demo", {}, [f"recipe={recipe}"]) == load_config(str(recipe), {}, [])
    data = tmp_path / "data"
    assert load_usual(None, {}, {"data_dir": str(data)}) == load_usual(None, {"data_dir": str(data)}, [])


@pytest.mark.parametrize("value", [None, [None], {"a": object()}, Path("x")])
def test_an_option_that_the_file_cannot_hold_is_refused(value: object) -> None:
    with refused("setting-not-storable", dotted=Part("encoder.face.weights")):
        load_config(None, {}, {"encoder.face.weights": value})


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.lists(TEXTS, max_size=3), st.dictionaries(TEXTS, VALUES, max_size=4))
def test_any_text_survives_the_file(text: str, several: list[str], options: dict[str, object]) -> None:
    config = RunConfig(
        head=text, loss=tuple(several), data_dir=text, data=Data(list=text), seed=3, options=options, finetune=(text,)
    )
    tree = tomllib.loads(config.toml())
    assert RunConfig.model_validate(tree) == config


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=6), st.text(max_size=6))
def test_settings_are_refused_or_come_back_from_the_file(key: str, text: str) -> None:
    tree = {"data_dir": text, "options": {f"head.{key}": [text]}}
    if not is_plain(key + text):
        with refused("setting-unprintable"):
            validate(tree, "a test")
        return
    config = validate(tree, "a test")
    assert validate(tomllib.loads(config.toml().encode().decode()), "its file") == config


def test_home_is_meant_by_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    sets = [
        "data.list=~/l.txt",
        "data.pack=~/p",
        "encoder.face.weights=~/w.pth",
        "epochs_from=~/r",
        "plugin=['~/b.py']",
    ]
    config = load_config("demo", {"data_dir": "~/d"}, sets)
    assert (config.data_dir, config.data.list, config.data.pack) == ("/home/me/d", "/home/me/l.txt", "/home/me/p")
    assert (config.epochs_from, config.plugin) == ("/home/me/r", ("/home/me/b.py",))
    assert config.options["encoder.face.weights"] == "/home/me/w.pth"


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 100_000,
        "x = " + "{x = " * 100_000,
        "a = {" + ".".join(['"a"'] * 100_000) + " = 1}",
        ".".join("a" * 100_000) + " = 1",
        "[" + ".".join("a" * 50) + "]\nx = 1",
    ],
    ids=["lists", "inline", "quoted", "keys", "tables"],
)
def test_a_recipe_nested_without_end_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with refused("toml-too-deep", most=20):
        load_config(str(path), {}, [])


@pytest.mark.parametrize("recipe", sorted(p.stem for p in RECIPES.glob("*.toml")))
def test_every_recipe_is_valid(recipe: str) -> None:
    assert load_config(recipe, {}, []).recipe == recipe


@pytest.mark.parametrize(
    ("sets", "refusal"),
    [
        (["train.epoch=3"], refused("setting-unknown", dotted="train.epoch", hint=Part("train.epochs"))),
        (["train.epochs=many"], refused("setting-invalid", dotted="train.epochs")),
        (["train.epochs=0"], refused("setting-invalid", dotted="train.epochs")),
        (["train.epochs=true"], refused("setting-invalid", dotted="train.epochs", first="True")),
        (["train.lr=false"], refused("setting-invalid", dotted="train.lr")),
        (["train.encoder_lr=true"], refused("setting-invalid", dotted="train.encoder_lr")),
        (["distill.weight=true"], refused("setting-invalid", dotted="distill.weight")),
        (["tta.strides=[true, 2]"], refused("setting-invalid", dotted="tta.strides")),
        (["seed=true"], refused("setting-invalid", dotted="seed")),
        (["trian.epochs=3"], refused("setting-unknown", dotted="trian.epochs", hint=Part("train.epochs"))),
        (["epochs"], refused("set-invalid", got="epochs")),
    ],
)
def test_mistakes_are_named(sets: list[str], refusal: Refusal) -> None:
    with refusal as error:
        load_config(None, {}, sets)
    assert "\n" not in str(error.value)


def test_truth_values_are_kept_where_they_are_settings() -> None:
    config = load_config(None, {}, ["train.compile=true", "tta.flip=true", "head.any=true", "train.epochs=2"])
    assert (config.train.compile, config.tta.flip, config.options, config.train.epochs) == (
        True,
        True,
        {"head.any": True},
        2,
    )


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with refused("recipe-unknown", hint=Part("demo")):
        load_config("dmeo", {}, [])


def test_without_any_edition_the_plugins_that_were_skipped_are_named() -> None:
    registry = Registry()
    registry.problems.append(Problem("plugins.editions (abaw-zoo 0.1.0)", "ImportError: no"))
    with refused("track-unknown", names="none", skipped=Part("plugins.editions (abaw-zoo 0.1.0)")):
        find_track(registry, "va", None)


@pytest.mark.parametrize(
    ("recipe", "sets", "wanted"),
    [
        (None, [], (30, 700)),
        ("default", [], (30, 700)),
        ("default", ["train.epochs=7"], (7, 0)),
        ("default", ["train.epochs=7", "train.min_steps=50"], (7, 50)),
        ("default", ["train.min_steps=50", "train.epochs=7"], (7, 50)),
        ("default", ["train.min_steps=50"], (30, 50)),
        ("demo", [], (25, 0)),
        ("ntua-cvsp-2021", ["train.min_steps=9"], (None, 9)),
    ],
)
def test_whoever_gives_epochs_gets_them(recipe: str | None, sets: list[str], wanted: tuple[int | None, int]) -> None:
    train = load_config(recipe, {}, sets).train
    assert train.epochs == (wanted[0] or train.epochs)
    assert train.min_steps == wanted[1]


def test_the_file_of_a_run_of_before_there_was_a_smallest_number_of_steps_repeats_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = load_config("default", {}, []).toml()
    path.write_text(text.replace("min_steps = 700\n", ""))
    assert load_config(str(path), {}, []).train.min_steps == 0
    path.write_text(text)
    assert load_config(str(path), {}, []).train.min_steps == 700
