"""Scene encoder: ResNets trained on Places365 (Zhou et al. 2017), which the seed system uses for the context.

The published files are checkpoints of 2017 in PyTorch's format of that time, with names beginning with ``module.``.
They are read like all pickles here (zoo/weights/torch_files.py) and loaded strictly, without the classifier of 365
scenes, into timm's resnet of the same name, which has the same layer names as torchvision's.
"""

from __future__ import annotations

import timm
from torch import Tensor, nn

from zoo.api import FrameInput, ModelCard
from zoo.errors import UserError
from zoo.modules import FrameEncoder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Places365(FrameEncoder):
    """Places365 encoder: (N, 3, size, size) -> (N, dim), the pooled features, 2048 (resnet50) or 512 (resnet18).

    ``argument``: resnet50 or resnet18. ``size``: side of the input image in pixels (the weights were trained at 224).
    """

    def __init__(self, stream: str, argument: str | None, size: int = 224) -> None:
        if size < 1:
            raise UserError(f"option 'size' of encoder 'places365' must be at least 1 pixel, got {size}")
        net: nn.Module = timm.create_model(argument, pretrained=False, num_classes=0)
        super().__init__(dim=int(net.num_features), input=FrameInput(size, MEAN, STD))  # type: ignore[arg-type]
        self.net = net

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to (N, dim)."""
        features: Tensor = self.net(images)
        return features


def passport(stream: str, argument: str | None, size: int = 224) -> ModelCard:
    """Return the model card of the weights, the same for each size; their digests are not published."""
    return ModelCard(
        name=f"{argument}-places365",
        sha256=None,
        license="CC BY",
        source="places2.csail.mit.edu, github.com/CSAILVision/places365",
        url=f"http://places2.csail.mit.edu/models_places365/{argument}_places365.pth.tar",
        saw=("Places365-Standard",),
        adapt="plugins.encoders.places365:adapt",
        input="224 x 224 RGB, ImageNet mean and std",
        citation="Zhou, Lapedriza, Khosla, Oliva & Torralba 2017, doi:10.1109/TPAMI.2017.2723009",
    )


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the file's tensors to this encoder's names, without the classifier."""
    return {f"net.{name}": tensor for name, tensor in state.items() if not name.startswith("fc.")}
