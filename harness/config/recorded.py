"""The settings that the record of a run has, and those that it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.config.distill import Distill
from harness.config.schema import Features, RunConfig
from harness.config.training_options import NEWER
from harness.config.tta import Tta
from zoo.registry.augmentations import NONE

CIRCUMSTANCES = {
    "data_dir",
    "device",
    "devices",
    "nodes",
    "plugin",
    "epochs_from",
    "logger",
    "logger_options",
}
"""Settings that are no part of the record's result."""


BOTH = ("train", "val")
"""The default of ``folds_of``."""


def recorded(config: RunConfig) -> dict[str, Any]:
    """Return the settings for the record; newer ones only if they differ from their default.

    So the records of runs that do not use them stay as they were.
    """
    settings = config.model_dump(mode="json", exclude=CIRCUMSTANCES)
    if config.folds_of == BOTH:
        del settings["folds_of"]
    if config.augment is None:
        del settings["augment"]
    if not config.adapt:
        del settings["adapt"]
    if not config.trees:
        del settings["trees"]
    if not config.features.views:
        del settings["features"]["views"]
    if not config.tta.used:
        del settings["tta"]
    del settings["distill"]["run"]  # a path; the record names the teacher
    if config.distill.run is None:
        del settings["distill"]
    train = settings["train"]
    return {**settings, "train": {k: v for k, v in train.items() if k not in NEWER or v != NEWER[k]}}


def with_left_out(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those that `recorded` leaves out filled in, to be compared with others.

    Settings that a record lacks for another reason stay out. No augmentation is None, also if it was called ``none``.
    """
    augment = settings.get("augment")
    newer: dict[str, dict[str, Any]] = {"train": NEWER, "features": {"views": Features().views}}
    sections = {name: {**values, **settings[name]} for name, values in newer.items() if name in settings}
    folds = {"folds_of": list(BOTH)} if "folds" in settings else {}
    if "train" in settings:
        sections["tta"] = settings.get("tta") or Tta().model_dump(mode="json")
        taught = settings.get("distill") or Distill().model_dump(mode="json")
        sections["distill"] = {key: value for key, value in taught.items() if key != "run"}
    trees = {"trees": settings.get("trees", False)} if "head" in settings else {}
    return {"adapt": [], **folds, **settings, **trees, **sections, "augment": None if augment == [NONE] else augment}
