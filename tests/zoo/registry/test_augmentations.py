"""`--augment`: its grammar, the default set, and options of augmentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.refusals import refused
from zoo.registry.augmentations import Augmentable, augmentation_texts, plan_augmentations
from zoo.registry.registry import load

REGISTRY = load([])
FACE, BODY = Augmentable("face", "frames", True), Augmentable("body.b", "frames", False)
AUDIO = Augmentable("audio", "sound", True)


def planned(*texts: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    rest = dict(options or {})

    def take(prefix: str) -> dict[str, Any]:
        return {k.rpartition(".")[2]: rest.pop(k) for k in list(rest) if k.rpartition(".")[0] == prefix}

    return plan_augmentations(REGISTRY, (FACE, BODY, AUDIO), texts, take)


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [
        ((), ()),
        (("none",), ()),
        (("default",), ("face=affine,colour,erase,flip",)),
        (("face=default, grey", "audio=gain"), ("face=affine,colour,erase,flip,grey", "audio=gain")),
        (("flip,gain",), ("face=flip", "audio=gain")),
        (("face=none",), ()),
        (("face=flip", "face=crop"), ("face=flip,crop",)),
        (("body.b=none",), ()),
        (("default", "face=none"), ()),
        (("face=none", "flip,gain"), ("audio=gain",)),
        (("face=flip", "face=none", "audio=gain"), ("audio=gain",)),
    ],
)
def test_grammar(texts: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert augmentation_texts(planned(*texts)) == chosen
    assert augmentation_texts(planned(*chosen)) == chosen  # what config.toml holds means the same


def test_options() -> None:
    given = {"augment.face.crop.low": "0.5", "augment.face.crop.p": 1, "augment.face.flip.per_frame": "true"}
    crop, flip = planned("face=crop,flip", options=given)["face"]
    assert (crop.options, crop.p, crop.per_frame) == ({"low": 0.5, "high": 1.0, "ratio": 1.15}, 1.0, False)
    assert (flip.options, flip.p, flip.per_frame) == ({}, 0.5, True)


@pytest.mark.parametrize(
    ("text", "code", "fields"),
    [
        ("face=flp", "block-unknown", {"name": "flp"}),
        ("face=", "augment-text-invalid", {"text": "face="}),
        ("=flip", "augment-text-invalid", {"text": "=flip"}),
        ("flip,none", "augment-text-invalid", {"text": "flip,none"}),
        ("hand=flip", "augment-unknown-slot", {"slot": "hand"}),
        ("body.b=flip", "augment-frozen", {"slot": "body.b"}),
        ("audio=flip", "augment-kind", {"name": "flip", "slot": "audio", "kind": "frames", "kind2": "sound"}),
        ("face=flip,flip", "augment-twice", {"name": "flip", "slot": "face"}),
    ],
)
def test_a_wrong_text_is_refused(text: str, code: str, fields: dict[str, Any]) -> None:
    with refused(code, **fields):
        planned(text)


def test_a_name_that_fits_no_trained_branch_is_refused() -> None:
    with refused("augment-nothing", name="gain", kind="sound"):
        plan_augmentations(REGISTRY, (FACE, BODY), ("gain",), lambda _: {})


@pytest.mark.parametrize(
    ("options", "code", "fields"),
    [
        ({"augment.face.flip.p": 1.5}, "option-out-of-range", {"name": "p", "value": 1.5}),
        ({"augment.face.flip.angle": 1}, "option-unknown", {"name": "angle"}),
        ({"augment.face.flip.per_frame": 3}, "option-type", {"value": 3}),
        ({"augment.audio.gain.per_frame": True}, "augment-per-frame", {"name": "gain", "slot": "audio"}),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], code: str, fields: dict[str, Any]) -> None:
    with refused(code, **fields):
        planned("face=flip", "audio=gain", options=options)
