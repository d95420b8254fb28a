"""A plugin for memory.py: an encoder that costs next to nothing, so that millions of frames take minutes."""

import torch
from torch import Tensor, nn

from zoo import api
from zoo.modules import FrameEncoder


class MeanColours(FrameEncoder):
    """(N, 3, 16, 16) -> (N, 48): the mean colours of 4 x 4 fields."""

    def __init__(self, stream: str, argument: str) -> None:
        super().__init__(dim=48, input=api.FrameInput(size=16, mean=(0.5,) * 3, std=(0.5,) * 3))

    def encode(self, images: Tensor) -> Tensor:
        """(N, 48)."""
        fields: Tensor = nn.functional.avg_pool2d(images, 4)
        return torch.flatten(fields, 1)


@api.hookimpl
def encoders() -> list[api.EncoderSpec]:
    return [api.EncoderSpec("colours", MeanColours, streams=("face",), summary="Mean colours.", fixed=True)]
