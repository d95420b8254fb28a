"""Request for a pretraining, as the user gives it and as the folder of a pretraining keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from harness.config.overrides import parsed
from harness.config.recipe import read_toml
from harness.config.schema import RunConfig, load_config, validate, with_settings
from harness.pretraining.clips import SLOT
from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean

DEFAULTS = Path(__file__).with_name("defaults.toml")
TARGETS = ("expr", "va")
OWN = "corpus."
REQUEST = "pretraining.toml"
FREE = (
    *("loss", "augment", "plugin", "seed", "device", "devices", "nodes"),
    *("train", "logger", "logger_options", "options"),
)
"""Settings of a run that a pretraining has too; the others stay as in DEFAULTS."""
FIXED_TRAIN = ("clip", "stride", "fps", "overlap", "delay", "gaps", "evaluation", "modality_dropout", "shuffle_labels")


@dataclass(frozen=True)
class Request:
    """The corpus, its folder and its options; ``partial``: leave out and count what is incomplete."""

    corpus: str
    data: str
    targets: tuple[str, ...]
    partial: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the request into the folder of a pretraining."""
        (folder / REQUEST).write_text(tomli_w.dumps(asdict(self)), encoding="utf-8")


def read_request(folder: Path) -> tuple[Request, RunConfig]:
    """Return the request and the settings of a pretraining; raise UserError if the folder has none."""
    if not (folder / REQUEST).is_file():
        raise UserError("pretrain-no-request", folder=folder, file=REQUEST)
    said = read_toml(folder / REQUEST)
    try:
        request = Request(**{**said, "targets": tuple(said["targets"])})
    except (TypeError, KeyError) as error:
        raise UserError("toml-invalid", file=folder / REQUEST, error=error) from None
    return request, validate(read_toml(folder / "config.toml"), str(folder / "config.toml"))


def parse_targets(text: str) -> tuple[str, ...]:
    """Return the targets that a text names, in the order of TARGETS."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in TARGETS:
            raise UserError("pretrain-target", got=name, names=", ".join(TARGETS), near=did_you_mean(name, TARGETS))
    if not names:
        raise UserError("pretrain-target", got=text, names=", ".join(TARGETS), near="")
    return tuple(name for name in TARGETS if name in names)


def configured(
    encoder: str, targets: Sequence[str], flags: Mapping[str, Any], sets: Sequence[str]
) -> tuple[RunConfig, dict[str, Any]]:
    """Return the settings of a pretraining, and the options of the corpus among ``sets`` (``corpus.NAME=VALUE``).

    Raises:
        UserError: A setting is invalid, or one that pictures have no use for.
    """
    own = {}
    for text in sets:
        name, equals, value = text.partition("=")
        if name.strip().startswith(OWN) and equals:
            own[name.strip().removeprefix(OWN)] = parsed(value.strip())
    rest = [text for text in sets if not text.strip().startswith(OWN)]
    base = {"encoders": f"{SLOT}={encoder}", "track": ",".join(targets), "finetune": [SLOT]}
    usual = load_config(str(DEFAULTS), {**base, **flags}, [])
    config = load_config(str(DEFAULTS), {**base, **flags}, rest)
    for key in RunConfig.model_fields:
        if key not in FREE and getattr(config, key) != getattr(usual, key):
            raise UserError("pretrain-setting", key=key)
    for key in FIXED_TRAIN:
        if getattr(config.train, key) != getattr(usual.train, key):
            raise UserError("pretrain-setting", key=f"train.{key}")
    if other := next((key for key in config.options if key.startswith(("fusion.", "post."))), None):
        raise UserError("pretrain-setting", key=other)
    if config.options.get("head.layers") != 0 or any(
        k.startswith("head.") for k in config.options if k != "head.layers"
    ):
        raise UserError("pretrain-setting", key="head")
    return config, own


def with_encoder_rate(config: RunConfig, *, pretrained: bool) -> RunConfig:
    """Return the settings with a tenth of the rate for a pretrained encoder, unless its rate is given (CPRL)."""
    if not pretrained or config.train.encoder_lr is not None:
        return config
    return with_settings(config, {"train.encoder_lr": config.train.lr / 10}, "the default rate of the encoder")
