"""The contract between the zoo and its plugins. Importing it loads neither torch nor numpy.

A plugin is any module (an installed package with an entry point in the group ``abaw_zoo``, or one file given with
``--plugin``) that implements some of the hooks at the end of this file. A hook returns *specs*: small frozen
descriptions. A spec names the code that builds its network by a target, ``"module:attribute"`` (or the callable
itself). The target is imported only when the network is built. A whole plugin, ``my_encoder.py``, is this:

    import torch
    from zoo import api
    from zoo.modules import FrameEncoder

    class Tiny(FrameEncoder):
        def __init__(self, stream, argument, width=16):
            super().__init__(dim=width, input=api.FrameInput(size=32, mean=(0.5,) * 3, std=(0.5,) * 3))
            self.net = torch.nn.Sequential(torch.nn.Conv2d(3, width, 8, 8), torch.nn.ReLU())

        def encode(self, images):                      # (N, 3, 32, 32) -> (N, width)
            return self.net(images).mean((2, 3))

    @api.hookimpl
    def encoders():
        return [api.EncoderSpec("tiny", Tiny, streams=("face", "body", "context"), summary="One convolution.",
                                options={"width": api.Option(16, "number of filters")})]

``harness run --plugin my_encoder.py --encoders face=tiny`` trains it; ``zoo.testing`` checks it against the rules.

Shapes: B clips, T frames, D features, A answers, K raw outputs. There are three bool masks, which are never merged:
*present* (the slot has data at this frame), *labelled* (the target of this answer is known here) and *valid* (a real
frame, not padding).
"""

from __future__ import annotations

import pluggy

from zoo.corpora import CorpusSpec, CorpusTable
from zoo.inputs import AudioInput, FrameInput, TextInput, VectorInput
from zoo.model_cards import ModelCard, OwnScores, Passport, Target, Wheel
from zoo.specs import (
    AugmentationSpec,
    DetectorSpec,
    EncoderSpec,
    Faces,
    FusionSpec,
    HeadSpec,
    LoggerSpec,
    LossSpec,
    Option,
    PostSpec,
    Scalar,
    Spec,
    StreamSpec,
)
from zoo.tracks import Answer, Counts, EditionSpec, TrackSpec, VideoAnswers

__all__ = [
    "Answer",
    "AudioInput",
    "AugmentationSpec",
    "CorpusSpec",
    "CorpusTable",
    "Counts",
    "DetectorSpec",
    "EditionSpec",
    "EncoderSpec",
    "Faces",
    "FrameInput",
    "FusionSpec",
    "HeadSpec",
    "Hooks",
    "LoggerSpec",
    "LossSpec",
    "ModelCard",
    "Option",
    "OwnScores",
    "Passport",
    "PostSpec",
    "Scalar",
    "Spec",
    "StreamSpec",
    "Target",
    "TextInput",
    "TrackSpec",
    "VectorInput",
    "VideoAnswers",
    "Wheel",
    "hookimpl",
]

PROJECT = "abaw_zoo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- hooks: implement any of them; each returns a list of specs -------------------------------------------------------


class Hooks:
    """The hooks. Decorate a function of the same name with ``@api.hookimpl`` to register the specs it returns.

    Examples:
        >>> from zoo import api
        >>> @api.hookimpl
        ... def heads():
        ...     return [api.HeadSpec("live", "my_head:Live", causal=True)]
        >>> [spec.name for spec in heads()]
        ['live']
    """

    @hookspec
    def streams(self) -> list[StreamSpec]:  # type: ignore[empty-body]
        """Return the streams: the kinds of input."""

    @hookspec
    def encoders(self) -> list[EncoderSpec]:  # type: ignore[empty-body]
        """Return the encoders: a slot's input -> features per frame."""

    @hookspec
    def fusions(self) -> list[FusionSpec]:  # type: ignore[empty-body]
        """Return the fusions: features of all slots -> raw predictions."""

    @hookspec
    def heads(self) -> list[HeadSpec]:  # type: ignore[empty-body]
        """Return the heads: the temporal models."""

    @hookspec
    def losses(self) -> list[LossSpec]:  # type: ignore[empty-body]
        """Return the losses, each with the decoding of its kind of answer."""

    @hookspec
    def postprocessors(self) -> list[PostSpec]:  # type: ignore[empty-body]
        """Return the post-processors, which change predictions after decoding."""

    @hookspec
    def detectors(self) -> list[DetectorSpec]:  # type: ignore[empty-body]
        """Return the face detectors for raw frames."""

    @hookspec
    def augmentations(self) -> list[AugmentationSpec]:  # type: ignore[empty-body]
        """Return the augmentations: random changes of the input of trained encoders."""

    @hookspec
    def loggers(self) -> list[LoggerSpec]:  # type: ignore[empty-body]
        """Return the loggers."""

    @hookspec
    def editions(self) -> list[EditionSpec]:  # type: ignore[empty-body]
        """Return the competition editions with their tracks."""

    @hookspec
    def corpora(self) -> list[CorpusSpec]:  # type: ignore[empty-body]
        """Return the corpora of labelled pictures, for `harness pretrain`."""


KINDS = (
    "streams",
    "encoders",
    "augmentations",
    "fusions",
    "heads",
    "losses",
    "postprocessors",
    "detectors",
    "loggers",
    "editions",
    "corpora",
)
