"""Test-time augmentation for a run that was trained without it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.config.overrides import parsed
from harness.config.schema import RunConfig, with_settings
from harness.config.tta import Tta
from harness.runs.job import plan_of
from zoo.registry.augmentations import DEFAULT
from zoo.registry.tracks import find_track, load_plugins

PLAIN_POST = "post-processing was fitted to predictions without --tta"
ORIGIN_POST = f"{PLAIN_POST}, those of the run that chose the epochs: this one has no scored videos of its own"
"""Warnings of averaged predictions; the second one is of runs that were trained on train and val."""


def with_passes(config: RunConfig, sets: Sequence[str]) -> RunConfig:
    """Return a run's settings with test-time augmentation, in place of its own if it has some.

    Views are made with the augmentations of the run's training. If it had none, those of the default set are used for
    pictures of frozen encoders.
    """
    given = {name: parsed(value) for name, _, value in (text.partition("=") for text in sets)}
    config = with_settings(config.model_copy(update={"tta": Tta()}), given, "--tta")
    if not config.tta.views or config.augment is not None:
        return config
    registry = load_plugins(config.plugin)
    plan = plan_of(config, registry, find_track(registry, config.track, config.edition)[1])
    frozen = [slot.name for slot in plan.slots if slot.frozen and slot.stream.kind == "frames"]
    return config.model_copy(update={"augment": tuple(f"{name}={DEFAULT}" for name in frozen) or None})


def label(tta: Tta) -> str:
    """Return the passes as a part of a folder's name, such as ``tta-flip-views4-strides1+2``."""
    parts = [*(["flip"] if tta.flip else []), *([f"views{tta.views}"] if tta.views else [])]
    parts += [f"strides{'+'.join(map(str, tta.strides))}"] if tta.strides else []
    return "-".join(["tta", *parts])
