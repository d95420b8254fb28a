"""Models of transformers for pictures, clips, sound or words: ``face=hf:facebook/dinov2-small``.

The argument is a name on the model hub, or a folder that ``save_pretrained`` wrote. Size, normalisation, sampling rate
and tokenizer are those of the model's own files. The families and their traps are in the modules ``_hf_*``.
"""

from __future__ import annotations

from typing import Any

from plugins.encoders._hf_families import configuration, described_in, family_of, own_classes
from plugins.encoders._hf_files import model_folder
from plugins.encoders._hf_weights import card
from zoo.api import ModelCard, OwnScores
from zoo.errors import UserError
from zoo.modules import Encoder

OPTIONS = {
    "image": ("size", "pool"),
    "video": ("size", "pool", "stride"),
    "wave": ("window",),
    "mel": ("window",),
    "text": ("pool", "window", "ahead"),
}
"""Input of a model -> the options that have an effect on it, next to ``layer``."""


def build(
    stream: str,
    argument: str | None,
    layer: str = "auto",
    pool: str = "auto",
    size: int | None = None,
    stride: int | None = None,
    window: float | None = None,
    ahead: float | None = None,
    revision: str | None = None,
) -> Encoder:
    """Build the encoder of a model with random weights.

    Raises:
        UserError: The model's files are missing or do not fit the stream, or an option has no effect on the model.
    """
    folder = model_folder(argument, revision, stream)
    kind, family = family_of(folder, stream)
    given: dict[str, Any] = {"size": size, "stride": stride, "window": window, "ahead": ahead}
    given = {name: value for name, value in given.items() if value is not None}
    spare = [name for name in (*given, *(["pool"] if pool != "auto" else [])) if name not in OPTIONS[family.takes]]
    if kind == "clap" and layer != "auto":
        spare.append("layer")
    if spare:
        raise UserError(f"encoder 'hf': option {spare[0]!r} has no effect on a model of type {kind!r}: leave it out")
    if kind != "clap":
        given["layer"] = layer
    if "pool" in OPTIONS[family.takes]:
        given["pool"] = pool
    with described_in(folder):
        encoder: Encoder = _encoder(kind, family.takes)(folder, family, configuration(folder, kind, family), **given)
    encoder.described_in = str(folder)
    return encoder


def _encoder(kind: str, takes: str) -> Any:
    """Return the class of encoders for a kind of model."""
    if takes in ("image", "video"):
        from plugins.encoders._hf_images import HfClips, HfImages

        return HfClips if takes == "video" else HfImages
    if takes == "text":
        from plugins.encoders._hf_text import HfText

        return HfText
    from plugins.encoders import _hf_sound

    mel = {"whisper": _hf_sound.HfWhisper, "clap": _hf_sound.HfClap}
    return mel.get(kind, _hf_sound.HfSpectrogram) if takes == "mel" else _hf_sound.HfWaves


def passport(
    stream: str,
    argument: str | None,
    layer: str = "auto",
    pool: str = "auto",
    revision: str | None = None,
    **_options: object,
) -> ModelCard:
    """Return the model card of a model's weights."""
    return card(stream, argument, layer, pool, revision)


def own_scores(
    stream: str,
    argument: str | None,
    layer: str = "auto",
    pool: str = "auto",
    revision: str | None = None,
    **_options: object,
) -> OwnScores | None:
    """Return the classes of a model's own classifier, if it has a linear one on the features that are read."""
    folder = model_folder(argument, revision, stream)
    _, family = family_of(folder, stream)
    return OwnScores(own_classes(folder, family, layer, pool))
