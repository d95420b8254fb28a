"""Families of models of transformers that are read as encoders: one row for each ``model_type`` of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from plugins.encoders._hf_files import CONFIG, check_installed, read_json
from zoo.errors import UserError, first_line
from zoo.registry.suggestions import did_you_mean

Sort = Literal["image", "video", "wave", "mel", "text"]
READ_BY: dict[str, tuple[str, ...]] = {
    "image": ("face", "portrait", "body", "context", "frame"),
    "video": ("face", "portrait", "body", "context", "frame"),
    "wave": ("audio",),
    "mel": ("audio",),
    "text": ("text",),
}
"""Input of a model -> the streams that give it."""


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        takes: Its input.
        network: The class of transformers, without heads.
        part: Attribute of the configuration that holds the network's own, in models of several networks.
        pool: The usual way to make one vector of its tokens.
        tokens: Tokens in front of the patches or frames, without the registers of the configuration.
        prefixes: The beginnings of the network's names in a file of the whole model.
    """

    takes: Sort
    network: str
    part: str = ""
    pool: str = "cls"
    tokens: int = 1
    prefixes: tuple[str, ...] = ()


FAMILIES: dict[str, Family] = {
    "vit": Family("image", "ViTModel"),
    "deit": Family("image", "DeiTModel", tokens=2),
    "vit_mae": Family("image", "ViTModel", prefixes=("vit.",)),  # its own class masks and shuffles the patches
    "dinov2": Family("image", "Dinov2Model"),
    "dinov2_with_registers": Family("image", "Dinov2WithRegistersModel"),
    "dinov3_vit": Family("image", "DINOv3ViTModel"),
    "beit": Family("image", "BeitModel", pool="mean"),
    "clip": Family("image", "CLIPVisionModel", "vision_config", "pooler"),
    "clip_vision_model": Family("image", "CLIPVisionModel", pool="pooler"),
    "siglip": Family("image", "SiglipVisionModel", "vision_config", "pooler", 0),
    "siglip_vision_model": Family("image", "SiglipVisionModel", pool="pooler", tokens=0),
    "convnextv2": Family("image", "ConvNextV2Model", pool="pooler", tokens=0),
    "videomae": Family("video", "VideoMAEModel", pool="mean", tokens=0),
    "timesformer": Family("video", "TimesformerModel"),
    "vivit": Family("video", "VivitModel"),
    "wav2vec2": Family("wave", "Wav2Vec2Model"),
    "hubert": Family("wave", "HubertModel"),
    "wavlm": Family("wave", "WavLMModel"),
    "data2vec-audio": Family("wave", "Data2VecAudioModel"),
    "whisper": Family("mel", "WhisperEncoder", prefixes=("model.encoder.", "encoder.")),
    "audio-spectrogram-transformer": Family("mel", "ASTModel", tokens=2),
    "clap": Family("mel", "ClapAudioModel", "audio_config", "pooler"),
    "roberta": Family("text", "RobertaModel", pool="mean"),
    "xlm-roberta": Family("text", "XLMRobertaModel", pool="mean"),
    "bert": Family("text", "BertModel", pool="mean"),
    "distilbert": Family("text", "DistilBertModel", pool="mean"),
    "modernbert": Family("text", "ModernBertModel", pool="mean"),
    "deberta-v2": Family("text", "DebertaV2Model", pool="mean"),
    "qwen3": Family("text", "Qwen3Model", pool="last"),
}
"""``model_type`` -> family."""

_NO_POOLING_LAYER = (
    "ViTModel",
    "DeiTModel",
    "BeitModel",
    "VivitModel",
    "RobertaModel",
    "XLMRobertaModel",
    "BertModel",
)
LINEAR = ("ViTForImageClassification", "DeiTForImageClassification", "ConvNextV2ForImageClassification")
"""Whole models whose last layer is ``classifier``, a linear one on the usual features."""
_CALM = {
    "apply_spec_augment": False,  # its masks come from NumPy's generator, which is not seeded alike everywhere
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "add_adapter": False,  # it makes fewer states after the last layer; they would be read at the wrong times
}


def family_of(folder: Path, stream: str) -> tuple[str, Family]:
    """Return a model's type and family. Raise UserError if it is unknown, or is for another stream."""
    kind = read_json(folder, CONFIG).get("model_type")
    if not isinstance(kind, str):
        raise UserError(f"{folder} has no {CONFIG} with a model_type: name a folder that `save_pretrained` wrote")
    if kind not in FAMILIES:
        fitting = [name for name, family in FAMILIES.items() if stream in READ_BY[family.takes]]
        raise UserError(
            f"{folder}: models of type {kind!r} cannot be used: {did_you_mean(kind, FAMILIES)}for {stream} there are "
            f"{', '.join(fitting)}"
        )
    family = FAMILIES[kind]
    if stream not in READ_BY[family.takes]:
        raise UserError(
            f"{folder}: a model of type {kind!r} is for {', '.join(READ_BY[family.takes])}, not for {stream}: "
            f"name another model, or write {READ_BY[family.takes][0]}=hf:..."
        )
    return kind, family


def load_library() -> Any:
    """Import transformers, without its progress bars and remarks. Raise UserError if it is not installed."""
    check_installed()
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def configuration(folder: Path, kind: str, family: Family) -> Any:
    """Return the configuration of a family's network. Raise UserError if transformers rejects it."""
    library = load_library()
    try:
        whole = library.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if kind == "vit_mae":
            whole = library.ViTConfig(**{k: v for k, v in whole.to_dict().items() if k not in ("model_type", "dtype")})
    except Exception as error:  # a configuration may hold anything
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{folder / CONFIG}: transformers rejects it: {said}") from error
    config = getattr(whole, family.part) if family.part else whole
    if hasattr(config, "quantization_config"):  # quantised weights are refused as such, without further libraries
        del config.quantization_config
    for name, value in _CALM.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return config


def network_class(family: Family) -> tuple[Any, dict[str, Any]]:
    """Return the class of a family's network, and the arguments that leave out a pooler, which files often lack."""
    library = load_library()
    if family.network == "WhisperEncoder":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperEncoder, {}
    spare = family.network in _NO_POOLING_LAYER
    return getattr(library, family.network), {"add_pooling_layer": False} if spare else {}


@contextmanager
def described_in(folder: Path) -> Iterator[None]:
    """Raise UserError for whatever a network raises that the files of a folder describe; they may say anything."""
    import torch

    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, NotImplementedError | RuntimeError) and torch.get_default_device().type == "meta":
            raise  # it is built again with real tensors (zoo.model.probing)
        raise UserError("encoder-files-fail", folder=folder, reason=first_line(error)) from error


def create(family: Family, config: Any) -> Any:
    """Create the network with random weights."""
    cls, given = network_class(family)
    return cls(config, **given)


def own_classes(folder: Path, family: Family, layer: str, pool: str) -> tuple[str, ...]:
    """Return the classes of a model's own last layer, in order; () if it has none for the features that are read.

    The layer must be a linear one on the same features: those of the class token of ViT, of the pooler of ConvNeXt.
    """
    tree = read_json(folder, CONFIG)
    made_for = tree.get("architectures")
    if not isinstance(made_for, list) or not any(name in LINEAR for name in made_for) or layer not in ("auto", "last"):
        return ()
    labels = tree.get("id2label")
    if pool not in ("auto", family.pool) or not isinstance(labels, dict):
        return ()
    names = tuple(str(labels.get(str(i), "")) for i in range(len(labels)))
    return () if any(not name or name.startswith("LABEL_") for name in names) else names


def layers_of(config: Any) -> int:
    """Return the number of layers of a network; 0 if its layers are not of one kind."""
    if getattr(config, "hidden_sizes", None):
        return 0
    return int(config.num_hidden_layers)


def width_of(config: Any) -> int:
    """Return the features of a network's last layer."""
    sizes = getattr(config, "hidden_sizes", None)  # of networks with stages
    found: int = sizes[-1] if sizes else getattr(config, "d_model", None) or config.hidden_size
    return int(found)
