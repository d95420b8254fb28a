"""All registered blocks, with the arguments that their checks need, and values to try options with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from tests.support.paths import TESTS
from zoo.api import KINDS
from zoo.errors import UserError
from zoo.registry import registry

READY = TESTS / "plugins" / "ready"
TINY_VIT = TESTS / "plugins" / "tiny_vit"
"""A vision transformer of transformers, 2 layers of 8 features, with random weights."""

PRIORS = "face=0.6,face.b=0.1,context=0.3"
CHECKPOINT = {"model": "test_efficientnet", "size": 64, "classes": ("a", "b"), "sha256": "0" * 64}
# (kind, name) -> arguments of spec_checks in addition to the spec, one dict per case. Networks are checked small: the
# rules do not depend on the size of the image.
GIVEN: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("encoders", "timm"): [
        {"argument": "test_vit", "values": {"size": 96}},
        {"argument": "test_resnet", "values": {"size": 64}},
    ],
    ("encoders", "hsemotion"): [{"argument": "enet_b0_8_best_vgaf", "size": 32, "values": {"size": 64}}],
    ("encoders", "places365"): [{"stream": "context", "argument": "resnet18", "size": 32, "values": {"size": 64}}],
    ("encoders", "checkpoint"): [{"argument": "net.pth", "model": "test_resnet", "size": 32, "values": CHECKPOINT}],
    ("encoders", "mel_timm"): [
        {
            "argument": "test_resnet",
            "seconds": 0.5,
            "bands": 40,
            "values": {"seconds": 1.0, "every": 4, "time_mask": 20, "band_mask": 20},
        },
    ],
    ("encoders", "ssl"): [{"argument": "tiny", "values": {"layer": "1", "window": 1.0}}],
    ("encoders", "hf"): [  # the other families: tests/plugins/encoders/test_hf.py
        {
            "argument": str(TINY_VIT),
            "values": {
                **dict.fromkeys(("stride", "window", "ahead", "revision"), UserError),
                "size": 32,
                "layer": "1",
                "pool": "mean",
            },
        },
    ],
    ("encoders", "features"): [{"argument": str(READY)}],
    ("augmentations", "crop"): [{"values": {"high": 0.8, "ratio": 1.5}}],
    ("augmentations", "jpeg"): [{"values": {"high": 60}}],
    ("augmentations", "noise"): [{"values": {"low": 0.02}}],
    ("fusions", "late"): [{"values": {"weights": "equal"}}],
    ("fusions", "reliability"): [{"values": {"apart": "none", "priors": PRIORS}}],
}
TFLITE = ("ai_edge_litert", "mediapipe")
EXTRAS = {
    ("encoders", "egemaps"): ("opensmile",),
    ("encoders", "hf"): ("transformers",),
    ("encoders", "facemesh"): TFLITE,
    ("encoders", "blazepose"): TFLITE,
    ("detectors", "blazeface"): TFLITE,
    ("loggers", "mlflow"): ("mlflow", "sqlalchemy"),
}
"""Blocks that need packages which are not installed with the others, or not everywhere."""

FIXED = "face=3,face.b=0.5,context=1,audio=2"
OTHER_OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("fusions", "transformer"): {"values": {"lead": "audio"}, "window": 2, "layers": 2},
    ("fusions", "bottleneck"): {"values": {"lead": "audio"}, "layers": 3, "tokens": 1},
    ("fusions", "gated"): {"values": {"weights": "equal"}, "gate": "softmax"},
    ("fusions", "moe"): {"values": {"weights": "equal"}, "experts": 3, "balance": 0.0},
    ("fusions", "late"): {"values": {"weights": "equal"}, "weights": FIXED},
    ("fusions", "mult"): {"causal": True, "layers": 1},
    ("fusions", "reliability"): {"values": {"apart": "audio", "priors": PRIORS}, "apart": "none"},
}
"""Blocks that are checked once more with these other options."""
# The same for every head that may be causal: of these options, those that it has.
CAUSAL = {"bidirectional": False, "causal": True, "layers": 2, "hidden": 24, "positions": "relative", "window": 3}
# Weights name the usual four slots: a model with other slots is rightly refused.
# Without a slot that is read apart, the options of that reading have no effect.
OUT_OF_PLACE = {("fusions", "late"): ("one_slot", "learns"), ("fusions", "reliability"): ("options",)}
# By default sound is read once a clip, which cannot tell when something was heard: it learns with its other options.
WITH_OTHER_OPTIONS = {("fusions", "reliability"): ("learns",)}


def permute_lists(fusion: Any, dims: Mapping[str, int], order: tuple[str, ...]) -> dict[str, Any]:
    """Reorder the slots of a fusion whose lists lack some slots, or have ``pairs.M.N``, one entry for each pair."""
    new = {str(i): str(order.index(slot)) for i, slot in enumerate(dims)}
    state = {}
    for name, value in fusion.state_dict().items():
        kind, *rest = name.split(".")
        levels = {"pairs": 2, "projections": 1, "selves": 1, "outputs": 1, "scores": 1}.get(kind, 0)
        state[".".join([kind, *(new[part] for part in rest[:levels]), *rest[levels:]])] = value
    return state


PERMUTE: dict[str, Any] = {"mult": permute_lists, "reliability": permute_lists}
"""Fusion -> how its weights are reordered with its slots, if zoo.testing's way does not fit."""


def cases() -> list[tuple[str, Any, dict[str, Any]]]:
    """Return (kind, spec, arguments of spec_checks) of every block that can be built here."""
    found = []
    for kind in KINDS:
        for entry in registry.load().entries(kind):
            if any(find_spec(name) is None for name in EXTRAS.get((kind, entry.name), ())):
                continue
            given = GIVEN.get((kind, entry.name), [{}])
            found += [(kind, entry.spec, _with_permute(kind, entry.name, one)) for one in given]
    return found


def _with_permute(kind: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"permute": PERMUTE[name], **given} if kind == "fusions" and name in PERMUTE else given


def other_cases() -> list[tuple[str, Any, dict[str, Any]]]:
    """Return (kind, spec, arguments of spec_checks) with options that are not the default."""
    heads = {
        ("heads", entry.name): {name: value for name, value in CAUSAL.items() if name in entry.spec.options}
        for entry in registry.load().entries("heads")
        if {"bidirectional", "causal"} & set(entry.spec.options)
    }
    every = {**OTHER_OPTIONS, **heads}
    return [
        (kind, registry.load().get(kind, name), _with_permute(kind, name, given))
        for (kind, name), given in every.items()
    ]
