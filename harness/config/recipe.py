"""Recipes: TOML files of settings, in harness/config/recipes or the user's own; a run's config.toml is one too.

Besides the keys of RunConfig a recipe may have ``[about]`` (what it reproduces, what differs, the published score to
compare with), ``[tracks.NAME]`` (settings for that track only) and ``[default_encoders]`` (stream -> the encoder of an
input branch that is named without one; other streams have the default of their registration). A flag that replaces a
block also drops the block's options: ``--head tcn`` drops the recipe's ``head.*``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.files import SETTINGS, TOML_DEPTH, TooDeepError, parse_toml, read_bytes
from zoo.registry.slots import parse_slots
from zoo.registry.suggestions import did_you_mean

RECIPES = Path(__file__).parent / "recipes"
RESOLVED = {"device", "edition", "folds", "fold", "merge", "seed"}
"""Keys of a run's config.toml that no recipe has all of."""


@dataclass(frozen=True)
class About:
    """Description of what a recipe reproduces.

    ``differs``: differences from the paper, and the reasons. ``choices``: the choices made if paper and released code
    disagree. ``published``: scores printed elsewhere, with track, split, metric and source. ``ready``: the model
    without training that `harness predict` uses if no model is named.
    """

    summary: str = ""
    paper: str = ""
    code: str = ""
    differs: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    published: tuple[Mapping[str, Any], ...] = field(default=())
    ready: str = ""


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the project."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def recipe_of(data: str | Path | None) -> str:
    """Return the default recipe of a data folder: ``demo`` for the synthetic demo set, ``default`` otherwise."""
    return "demo" if data is None or (Path(data).expanduser() / "demo.json").is_file() else "default"


def find_recipe(name: str) -> Path:
    """Return the file of a recipe given by name or path."""
    own = Path(name).expanduser()
    for path in (own, RECIPES / f"{name}.toml"):
        if path.is_file():
            return path
    if os.path.lexists(own):
        raise UserError("recipe-not-a-file", name=name, what=_kind_of(own))
    known = recipe_names()
    raise UserError("recipe-unknown", name=name, hint=did_you_mean(name, known), names=", ".join(known))


def _kind_of(path: Path) -> str:
    """Return what something that is not a regular file is, in words for the user."""
    if path.is_dir():
        return "a folder"
    if path.is_fifo():
        return "a named pipe"
    return "a device or socket" if path.exists() else "a link to nothing"


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as a tree; raise UserError if it is not valid TOML, too large, or nested too deeply.

    A byte order mark, as some editors of Windows write it, is skipped.
    """
    try:
        return parse_toml(read_bytes(path, SETTINGS).decode("utf-8-sig").replace("\r\n", "\n"))
    except OSError as error:
        raise UserError("text-unreadable", file=path, strerror=error.strerror) from None
    except TooDeepError:
        raise UserError("toml-too-deep", file=path, most=TOML_DEPTH) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError("toml-invalid", file=path, error=error) from None


def about(name: str) -> About:
    """Return the description that a recipe gives of itself."""
    path = find_recipe(name)
    said = _section(path, read_toml(path), "about")
    said = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    try:
        return About(**said)
    except TypeError as error:
        raise UserError("recipe-about-invalid", file=path, error=error) from None


def read_recipe(name: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe's settings for the track in ``flags`` or else its own, without those that ``flags`` replace."""
    path = find_recipe(name)
    tree = read_toml(path)
    track = str(flags.get("track", tree.get("track", "va")))
    own = _section(path, _section(path, tree, "tracks"), track)
    tree = {key: value for key, value in tree.items() if key not in ("about", "tracks")}
    for key, value in own.items():
        tree[key] = {**_section(path, tree, key), **value} if isinstance(value, dict) else value
    # Plugins are code: a recipe alone must not run them, the user must name them.
    if (files := tree.pop("plugin", None)) and not flags.get("plugin"):
        names = ", ".join(map(str, files)) if isinstance(files, list) else files
        raise UserError("recipe-plugin-not-named", file=path, names=names)
    if path.parent == RECIPES:
        tree["recipe"] = name
    elif tree.keys() >= RESOLVED:  # a run without augmentation has no such key in its settings
        tree.setdefault("augment", ["none"])
    if defaults := _section(path, tree, "default_encoders"):
        tree["default_encoders"] = defaults
    options = {k: v for k, v in _section(path, tree, "options").items() if not _replaced(k, tree, flags)}
    return {**tree, "options": options} if "options" in tree else tree


def default_encoders(recipe: str) -> dict[str, str]:
    """Return the encoders that a recipe gives to input branches without one, by stream."""
    path = find_recipe(recipe)
    return {str(k): str(v) for k, v in _section(path, read_toml(path), "default_encoders").items()}


def with_encoders(encoders: str, defaults: Mapping[str, Any]) -> str:
    """Input branches, those without an encoder with the default one of their stream; as they are where it has none."""
    slots = parse_slots(encoders) if defaults else ()
    named = [replace(s, encoder=s.encoder or str(defaults[s.stream])) if s.stream in defaults else s for s in slots]
    return ",".join(map(str, named)) if named else encoders


def _section(path: Path, tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a section of a recipe, or {} if the recipe does not have it."""
    found = tree.get(name, {})
    if not isinstance(found, dict):
        raise UserError("recipe-not-a-section", file=path, name=name, part=str(found)[:40])
    return found


def _replaced(option: str, tree: Mapping[str, Any], flags: Mapping[str, Any]) -> bool:
    """Return True if a flag has replaced the recipe's block to which an option belongs."""
    kind, _, rest = option.partition(".")
    if kind in ("fusion", "head"):
        return flags.get(kind, tree.get(kind)) != tree.get(kind)
    name = rest.rpartition(".")[0]
    if kind == "augment":
        return "augment" in flags
    if kind == "encoder" and "encoders" in flags:
        return _slots(str(flags["encoders"])).get(name) != _slots(str(tree.get("encoders", ""))).get(name)
    key = {"loss": "loss", "post": "post"}.get(kind)
    chosen = flags.get(key) if key else None
    return isinstance(chosen, list | tuple) and name not in chosen


def _slots(encoders: str) -> dict[str, str]:
    """Return slot -> the text after its ``=``."""
    return {part.partition("=")[0].strip(): part.partition("=")[2].strip() for part in encoders.split(",")}
