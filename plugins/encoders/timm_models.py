"""Any image model of timm as a frame encoder, with the weights that timm publishes for it.

Building a model never accesses the internet. The model card locates the weights, and the zoo checks their digest and
loads them strictly.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import timm
import torch
from huggingface_hub import hf_hub_url
from timm.models import PretrainedCfg
from torch import Tensor, nn

from plugins.encoders._timm_files import with_classifier
from zoo.api import FrameInput, ModelCard
from zoo.errors import UserError
from zoo.modules import FrameEncoder
from zoo.registry.suggestions import did_you_mean

CROP = 112  # pixels of Aff-Wild2's face crops
LARGEST = 256  # pixels; a model with a larger fixed size is built for 224 by default
_HASHED = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|safetensors)$")  # timm writes the start of the sha256 into the name
_SAW = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-22k",
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "openai": "OpenAI's CLIP pairs",
    "webli": "WebLI",
    "mae": "ImageNet-1k",
    "dino": "ImageNet-1k",
}


class TimmEncoder(FrameEncoder):
    """timm encoder: (N, 3, size, size) -> (N, dim), the input of the model's classifier.

    Its weights are random until they are loaded. ``argument``: the model's name. ``size``: see ``picture_size``. Raises
    UserError if the name is unknown.
    """

    def __init__(self, stream: str, argument: str | None, size: int | None = None) -> None:
        config = pretrained_config(argument)
        net = create(config, size)
        dim: Any = (
            getattr(net, "head_hidden_size", None) or net.num_features
        )  # mobilenets have more features after pooling
        mean, std = ((m[0], m[1], m[2]) for m in (config.mean, config.std))
        super().__init__(dim=int(dim), input=FrameInput(picture_size(config, size), mean, std))
        self.net = net
        self.config, self.input_size = config, size

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to (N, dim)."""
        features: Tensor = self.net(images)
        return features

    def exported(self, weight: Tensor, bias: Tensor) -> tuple[str, dict[str, Tensor]]:
        """Return timm's name and the state of the network with a last layer (K, dim), for face=checkpoint:FILE."""
        name, make = str(self.config.architecture), partial(create, self.config, self.input_size)
        return name, with_classifier(name, self.net, lambda classes: make(classes=classes), weight, bias)


def passport(stream: str, argument: str | None, size: int | None = None) -> ModelCard:
    """Return the model card of timm's weights.

    A URL with the hash in its file name is preferred, because it can be verified; otherwise the model hub is used. If
    timm publishes no weights, the card only defines how a user's own file is read.
    """
    config = pretrained_config(argument)
    hashed = _HASHED.search(config.url) if isinstance(config.url, str) else None
    if hashed:
        url, digest = str(config.url), hashed[1]
    elif config.hf_hub_id:
        url, digest = hf_hub_url(config.hf_hub_id, config.hf_hub_filename or "model.safetensors"), None
    else:
        url, digest = None, None
    tag = config.tag or ""
    return ModelCard(
        name=f"{config.architecture}.{tag}" if tag else str(config.architecture),
        sha256=digest,
        license=config.license or "not stated by timm",
        rights_known=bool(config.license),
        source=config.origin_url or "timm",
        url=url,
        saw=tuple(dict.fromkeys(data for part, data in _SAW.items() if part in tag.split("_"))),
        adapt=partial(adapt, argument, size),
    )


def adapt(argument: str | None, size: int | None, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a published state_dict, or one saved by timm, to this encoder's names.

    The model family's own filter is applied, which resamples position embeddings to the input size, and the classifier
    is dropped. Any other mismatch is an error.
    """
    config = pretrained_config(argument)
    net = create(config, size)
    with torch.device("meta"):
        classifier = create(config, size, classes=1).state_dict().keys() - net.state_dict().keys()
    family = sys.modules[timm.models.model_entrypoint(config.architecture).__module__]
    family_filter = getattr(family, "checkpoint_filter_fn", None)
    if family_filter is not None:
        state = family_filter(state, net)
    return {f"net.{key}": value for key, value in state.items() if key not in classifier}


def pretrained_config(argument: str | None) -> PretrainedCfg:
    """Return timm's configuration of a model's weights and input. Raise UserError if timm does not know the name."""
    if argument is None:
        raise UserError("encoder 'timm' needs the name of a model: write face=timm:resnet18")
    name, _, tag = argument.partition(".")
    if not timm.is_model(name):
        near = did_you_mean(name, timm.list_models())
        raise UserError(f"timm {timm.__version__} has no model {name!r}: {near}timm.list_models() shows all")
    try:
        config = timm.get_pretrained_cfg(argument)
    except RuntimeError:  # no such tag, or a model without published weights
        if tag:
            tags = ", ".join(timm.list_pretrained(f"{name}.*")) or "none"
            raise UserError(f"timm {timm.__version__} has no weights {argument!r}; it has {tags}") from None
        config = PretrainedCfg()
    config.architecture = config.architecture or name
    return config


def picture_size(config: PretrainedCfg, size: int | None) -> int:
    """Return the side of the input image in pixels.

    This is ``size`` if given, and otherwise 112 if the model accepts any size. For a model with a fixed size it is that
    size, or 224 if that is over 256; position embeddings are resampled to it.
    """
    if size is not None:
        return size
    own = int(config.input_size[-1])
    if not config.fixed_input_size:
        return CROP
    return own if own <= LARGEST else 224


def create(config: PretrainedCfg, size: int | None, classes: int = 0) -> nn.Module:
    """Create the network with random weights, by default without classifier. Raise UserError if the size is invalid."""
    side = picture_size(config, size)
    fixed = {"img_size": side} if config.fixed_input_size else {}
    make = partial(timm.create_model, config.architecture, pretrained_cfg=config.tag, num_classes=classes, **fixed)
    if size is not None or not fixed:
        _try_size(make, config, side)
    net: nn.Module = make()
    return net


def _try_size(make: Callable[[], nn.Module], config: PretrainedCfg, side: int) -> None:
    """Run a network on one image, on the meta device if possible, and raise UserError if it cannot process the size.

    Some networks reject a size other than their own when built and some when run; others silently drop the edges that
    do not fill a patch.
    """
    fault: Exception | None = None
    for device in ("meta", "cpu"):  # an operator may have no meta implementation; then run it on the CPU
        try:
            with torch.device(device), torch.no_grad():
                net = make().eval()
                patch = getattr(getattr(net, "patch_embed", None), "patch_size", (1,))[0]
                if side % patch:
                    raise ValueError(f"its patches have {patch} pixels")
                net(torch.empty(1, 3, side, side))
            return
        except (AssertionError, ValueError, TypeError, RuntimeError) as error:
            fault = error
    raise UserError(
        f"timm's {config.architecture} cannot process images of {side} x {side} ({fault}): "
        f"set another size; its own is {config.input_size[-1]}"
    ) from fault
