"""Models of images and of short clips as encoders of frames.

The picture is the harness's own square; of the model's preprocessing the size, mean, standard deviation and scale are
taken, and the arithmetic is done on the device. A model of clips gets, for each frame, pictures ``stride`` frames apart
that are centred on it; the picture of an absent frame is replaced by the nearest one that is present.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from plugins.encoders._hf_families import Family, create, layers_of, own_classes, width_of
from plugins.encoders._hf_files import preprocessor
from plugins.encoders._hf_tokens import Layers, Undecayed, choose_layers, pooled
from zoo.api import FrameInput
from zoo.errors import UserError
from zoo.modules import Encoder, FrameEncoder, OwnClassifier

ONE_SIZE = ("VideoMAEModel", "TimesformerModel", "VivitModel")
"""Networks whose positions transformers does not resample: ViViT's own code for it raises (transformers 5.24)."""
CLIPS = 8  # clips encoded at once; a clip has 8 to 32 pictures


class HfImages(Undecayed, FrameEncoder):
    """Encoder of single pictures: (N, 3, size, size) -> (N, dim).

    ``layer``, ``pool``: see _hf_tokens; ``size``: side in pixels, None: the model's own.
    """

    def __init__(
        self, folder: Path, family: Family, config: Any, layer: str, pool: str, size: int | None = None
    ) -> None:
        classes = own_classes(folder, family, layer, pool)
        super().__init__(*_declared(folder, family, config, pool, size))
        self.net = create(family, config)
        self.layers, self.mix = choose_layers(self, "last" if layer == "auto" else layer, layers_of(config))
        self.pool = _check_pool(family, pool, self.layers)
        self.special = family.tokens + int(getattr(config, "num_register_tokens", 0) or 0)
        self.given = _resizing(self.net, config, self.input.size)  # type: ignore[attr-defined]
        self.classifier = OwnClassifier(self.dim, len(classes)) if classes else None

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to (N, dim)."""
        out = self.net(pixel_values=images, output_hidden_states=self.layers.all, **self.given)
        if self.pool == "pooler":
            features: Tensor = out.pooler_output
            return features.flatten(1)
        x = out.last_hidden_state
        if x.ndim == 4:  # a map of features (N, D, H, W)
            x = x.flatten(2).transpose(1, 2)
        return pooled(self.layers(x, out.hidden_states, self.mix), self.pool, self.special)

    def scores(self, features: Tensor) -> Tensor:
        """Return the logits (..., classes) of the model's own classifier for features (..., dim)."""
        if self.classifier is None:
            raise UserError("scores-no-classifier")
        out: Tensor = self.classifier(features)
        return out


class HfClips(Undecayed, Encoder):
    """Encoder of clips: frames (B, T + 2 context, 3, size, size), present (B, T + 2 context) -> (B, T, dim)."""

    def __init__(
        self,
        folder: Path,
        family: Family,
        config: Any,
        layer: str,
        pool: str,
        size: int | None = None,
        stride: int = 4,
    ) -> None:
        if stride < 1:
            raise UserError(f"encoder 'hf': stride must be at least 1 frame, got {stride}")
        dim, spec = _declared(folder, family, config, pool, size)
        length = int(config.num_frames)
        self.offsets = [stride * (i - length // 2) for i in range(length)]
        super().__init__(dim, FrameInput(spec.size, spec.mean, spec.std, context=-self.offsets[0]))
        self.net = create(family, config)
        self.layers, self.mix = choose_layers(self, "last" if layer == "auto" else layer, layers_of(config))
        self.pool = _check_pool(family, pool, self.layers)
        self.special = family.tokens
        self.given = _resizing(self.net, config, spec.size)

    def forward(self, frames: Tensor, present: Tensor) -> Tensor:
        """Encode the clip around each frame."""
        context: int = self.input.context  # type: ignore[attr-defined]
        count = frames.shape[1] - 2 * context
        wanted = (
            context
            + torch.arange(count, device=frames.device)[:, None]
            + torch.tensor(self.offsets, device=frames.device)
        )  # (T, F)
        source = nearest_present(present, context, wanted)  # (B, T, F)
        out = []
        for b in range(len(frames)):
            for start in range(0, count, CLIPS):
                out.append(self.encode(frames[b][source[b, start : start + CLIPS]]))
        return torch.cat(out).unflatten(0, (len(frames), count))

    def encode(self, clips: Tensor) -> Tensor:
        """Encode clips (N, F, 3, H, W) to (N, dim)."""
        out = self.net(pixel_values=clips, output_hidden_states=self.layers.all, **self.given)
        return pooled(self.layers(out.last_hidden_state, out.hidden_states, self.mix), self.pool, self.special)


def nearest_present(present: Tensor, context: int, wanted: Tensor) -> Tensor:
    """Return, for each frame of each clip, the nearest frame of the same clip that has a picture.

    Of two equally near ones it is the earlier. If no frame of a clip has one, its own frames are returned.

    Args:
        present: (B, L) bool.
        context: Frames before the first clip's centre.
        wanted: (T, F) indices of frames, those of clip t centred on t + ``context``.

    Returns:
        (B, T, F) indices.
    """
    distance = (wanted.unsqueeze(-1) - wanted.unsqueeze(-2)).abs()  # (T, F, F)
    if present.is_meta:
        return wanted.expand(len(present), -1, -1)
    seen = present[:, wanted]  # (B, T, F)
    far = distance.unsqueeze(0) + torch.where(seen, 0, distance.max() + 1).unsqueeze(-2)
    return wanted.unsqueeze(0).expand(len(present), -1, -1).gather(2, far.argmin(-1))


def preprocessing(folder: Path) -> FrameInput:
    """Return size, mean and standard deviation of a model's input, from its preprocessor's settings.

    The preprocessor computes (x * rescale_factor - offset - mean) / std, each step if its settings ask for it. The
    result states the same for x / 255. Raise UserError if there are no settings, or they give no size.
    """
    file, found = preprocessor(folder)
    if not found:
        raise UserError(f"{folder} has no {file.name}, which says how pictures are normalised: get it from the model")
    size = found.get("crop_size") if found.get("do_center_crop") else None
    size = size or found.get("size")
    if isinstance(size, dict):
        size = next((size[key] for key in ("height", "shortest_edge", "longest_edge") if key in size), None)
    if not isinstance(size, int) or size < 1:
        raise UserError(f"{file}: size must be a number of pixels, got {found.get('size')!r}")
    try:
        scale = 255 * float(found.get("rescale_factor", 1 / 255)) if found.get("do_rescale", True) else 255.0
    except (TypeError, ValueError):
        raise UserError(f"{file}: rescale_factor must be a number, got {found['rescale_factor']!r}") from None
    offset = 1.0 if found.get("offset") else 0.0
    normalise = found.get("do_normalize", True)
    try:
        mean, std = (
            tuple(map(float, found[key])) if normalise else (default,) * 3
            for key, default in (("image_mean", 0.0), ("image_std", 1.0))
        )
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{file}: image_mean and image_std must be three numbers each") from None
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0 or scale <= 0:
        raise UserError(f"{file}: image_mean and image_std must be three numbers each, std above 0")
    low = [(offset + m) / scale for m in mean]
    wide = [s / scale for s in std]
    return FrameInput(size, (low[0], low[1], low[2]), (wide[0], wide[1], wide[2]))


def _declared(folder: Path, family: Family, config: Any, pool: str, size: int | None) -> tuple[int, FrameInput]:
    """Return the encoder's dim and input. Raise UserError if the size is not a whole number of patches."""
    own = preprocessing(folder)
    side, patch = size or own.size, getattr(config, "patch_size", 1)
    patch = patch if isinstance(patch, int) else 1
    if size is not None and (size < 1 or size % patch):
        raise UserError(f"encoder 'hf': size must be a multiple of the model's patches of {patch} pixels, got {size}")
    return width_of(config) * (2 if pool == "mean_std" else 1), FrameInput(side, own.mean, own.std)


def _resizing(net: nn.Module, config: Any, size: int) -> dict[str, bool]:
    """Return the argument with which a network takes pictures of another size than its own, {} if it needs none."""
    own = getattr(config, "image_size", size)
    if own in (size, [size, size], (size, size)):
        return {}
    if type(net).__name__ in ONE_SIZE:
        raise UserError(f"encoder 'hf': {type(net).__name__} takes pictures of {own} pixels only, got size {size}")
    resamples = "interpolate_pos_encoding" in inspect.signature(net.forward).parameters
    return {"interpolate_pos_encoding": True} if resamples else {}


def _check_pool(family: Family, pool: str, layers: Layers) -> str:
    """Return the pooling to use. Raise UserError if the family has none of that name."""
    chosen = family.pool if pool == "auto" else pool
    if chosen == "pooler" and pool == "auto" and layers.all:
        chosen = "cls" if family.tokens else "mean"
    fault = ""
    if chosen == "pooler" and family.pool != "pooler":
        fault = "it has no pooler"
    elif chosen == "pooler" and layers.all:
        fault = "its pooler is after the last layer"
    elif chosen == "cls" and not family.tokens:
        fault = "it has no class token"
    elif chosen == "last":
        fault = "the last token is for text"
    if fault:
        raise UserError(f"encoder 'hf': {family.network} cannot be read with pool={chosen}: {fault}")
    return chosen
