"""Specs of blocks: small frozen descriptions that plugins register."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zoo.model_cards import Target

if TYPE_CHECKING:
    import numpy as np


Scalar = str | int | float | bool | None
"""A setting as a logger is given it."""

Kind = Literal["frames", "sound", "text", "vectors"]
"""The kinds of input."""


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
    type: builtins.type | None = None
    formerly: tuple[str, ...] = ()

    @property
    def kind(self) -> builtins.type:
        """The type a value must have."""
        return self.type or type(self.default)


@dataclass(frozen=True)
class StreamSpec:
    """A stream: one kind of input, such as faces or sound.

    Attributes:
        name: Its name in ``--encoders``.
        reader: Called with a zoo.readers.Source (paths, times, boxes of one video); returns a zoo.readers.Reader.
        kind: The reader's output: images, sound, words with their times, or one vector per frame.
        needs: The parts of a data folder that the stream requires, of crops, video, boxes, sound, text.
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
    kind: Kind
    needs: tuple[str, ...]
    default_encoder: str
    summary: str = ""
    version: int = 1


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
        kind: The kind of its input; several if it has a network for each.
        passport: ``passport(stream, argument, **options)`` -> ModelCard. Without one the encoder is trained.
        argument: One line on the meaning of the argument; empty: it takes none.
        names: The allowed arguments, if they are few.
        fixed: True if it learns nothing: its features are computed once and cached though it has no weights.
        reader: ``reader(source, argument, **options)`` -> Reader that opens the slot's input, of any stream,
            instead of the stream's own reader.
        scores: ``scores(stream, argument, **options)`` -> OwnScores or None: its predictions without any training.
        person_boxes: It has a method ``person_box(frame, face, person)``, which `detector.person=NAME` uses: the frame
            is uint8 RGB (H, W, 3), the face a box (4,), the person the box by body proportions; it returns the body's
            box (4,) in the frame, or None.
        cards: ``cards()`` -> the ModelCards of further files that it opens itself. `harness weights` knows them too.
        runs: Its argument may be the folder of a finished run, whose predictions its reader then gives. The harness
            checks that the run has not memorised the videos (harness.runs.stages).

    Examples:
        >>> from zoo.api import EncoderSpec, Option
        >>> options = {"width": Option(16, "number of filters")}
        >>> spec = EncoderSpec("tiny", "my_encoder:Tiny", "One convolution.", options, streams=("face", "body"))
        >>> spec.kind, spec.passport  # it reads images, and without a model card it is trained
        ('frames', None)
    """

    streams: tuple[str, ...] = ()
    kind: Kind | tuple[Kind, ...] = "frames"
    passport: Target | None = None
    argument: str = ""
    names: tuple[str, ...] = ()
    fixed: bool = False
    reader: Target | None = None
    scores: Target | None = None
    person_boxes: bool = False
    cards: Target | None = None
    runs: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of input that it reads."""
        return self.kind if isinstance(self.kind, tuple) else (self.kind,)

    def reads(self, stream: StreamSpec) -> bool:
        """Return True if it can read a stream: by name and kind, or through its own reader."""
        if self.streams and stream.name not in self.streams:
            return False
        return self.reader is not None or stream.kind in self.kinds


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

    It may also have ``settled(VideoAnswers) -> int | None``. If only the first frames of a video are known, this is the
    number of leading frames at which ``apply`` of these gives what ``apply`` of the whole video gives, bit for bit;
    None if that needs the whole video. `harness predict` writes such frames while it reads on. Without the method they
    wait for the end of the video.

    Attributes:
        kinds: The kinds of answers it can process.
        per_slot: It needs the predictions of single slots, as VideoAnswers.extra["slot.SLOT.ANSWER"].
        needs_gain: It is applied only if it raises the main score of videos that it was not fitted on.
        own_classes: It needs the class probabilities that frozen encoders predict by themselves, as
            VideoAnswers.extra["own.SLOT.ANSWER"], (n, classes). They add up to less than 1 if the encoder has classes
            that the track lacks. An option ``slot``, if it has one, names the slot.

    Examples:
        >>> from zoo.api import PostSpec
        >>> PostSpec("shift", "my_post:Shift", "Remove the mean of each video.", kinds=("value",)).per_slot
        False
    """

    kinds: tuple[str, ...] = ("value", "class", "binary")
    per_slot: bool = False
    needs_gain: bool = False
    own_classes: bool = False


@dataclass(frozen=True)
class DetectorSpec(Spec):
    """``build(**options)`` -> object with ``detect(frame uint8 RGB (H, W, 3)) -> Faces``.

    Attributes:
        cards: ``cards()`` -> the ModelCards of the files that it opens, for `harness weights`.

    Examples:
        >>> from zoo.api import DetectorSpec, Option
        >>> spec = DetectorSpec("centre", "my_detector:Centre", "The image's middle.", {"share": Option(0.5, "side")})
        >>> spec.options["share"].default
        0.5
    """

    cards: Target | None = None


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
class AugmentationSpec(Spec):
    """``build(**options)`` -> a callable that changes the input of one clip at random, in training.

    For ``frames`` it is called as a transform of torchvision.transforms.v2 is, which it may be: with a
    tv_tensors.Image, uint8 (T, 3, H, W), the frames of the clip. If ``points`` is set, it is also called with two
    arguments, these images and tv_tensors.KeyPoints (T, P, 2): x and y, 0 in the middle of the first pixel. It returns
    what it was given, of the same shapes. For ``sound`` it is called with samples, float32 (S,), and their rate in Hz,
    and returns samples (S,). Its only source of random numbers is torch's default generator. The caller seeds it by
    seed, epoch and clip: one call is one draw, for all frames of the clip, or for a single frame with ``per_frame`` and
    if it is not coherent.

    Attributes:
        kind: The kind of input that it changes.
        p: Default of the option ``p``, which every augmentation has: the probability that a clip is changed.
        points: It moves the content of pictures in a way that points (landmarks) can follow.
        coherent: Equal frames of a clip stay equal; False for noise that every frame has of its own.
        default: It belongs to the set that is used for every trained encoder of its kind unless another is named.

    Examples:
        >>> from zoo.api import AugmentationSpec
        >>> spec = AugmentationSpec("mirror", "torchvision.transforms.v2:RandomHorizontalFlip", "Mirror.", points=True)
        >>> spec.kind, spec.p, spec.default
        ('frames', 0.5, False)
    """

    kind: Literal["frames", "sound"] = "frames"
    p: float = 0.5
    points: bool = False
    coherent: bool = True
    default: bool = False


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
