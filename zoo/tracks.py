"""What is predicted and how it is judged: answers, tracks, editions. Part of the contract, re-exported by zoo.api."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zoo.submission_forms import FORMS, Form

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FORMS", "Answer", "Counts", "EditionSpec", "Form", "TrackSpec", "VideoAnswers"]


@dataclass(frozen=True)
class Answer:
    """One quantity to be predicted at every frame.

    ``kind`` value: a number in [low, high]; class: one of ``classes``; binary: 0 or 1 (an action unit).
    A label equal to ``invalid`` is no label.
    """

    name: str
    kind: Literal["value", "class", "binary"]
    invalid: float
    classes: tuple[str, ...] = ()
    low: float = -1.0
    high: float = 1.0

    @property
    def width(self) -> int:
        """Columns after decode: a probability a class, else one."""
        return len(self.classes) if self.kind == "class" else 1


@dataclass(frozen=True)
class TrackSpec:
    """One track of an edition; raise ``version`` when its metric, masks or rows change.

    ``metric`` names a formula of zoo.metrics.scores, whose value lies in ``score_range``. ``folders`` are the
    annotation folders' names, any one of which may occur; ``headers`` the admitted first lines of an annotation file.
    ``joint_labels``: a frame counts as labelled only if all its value answers are (VA drops a frame where either
    value is -5). ``figures`` are the organisers' published counts, None where unconfirmed.
    """

    name: str
    answers: tuple[Answer, ...]
    metric: str
    score_range: tuple[float, float]
    folders: tuple[str, ...]
    headers: tuple[str, ...]
    submission: str  # one of Form
    submission_header: str  # "" where the form has none
    version: int = 1
    unit: Literal["frame", "image", "video"] = "frame"
    joint_labels: bool = False
    data: str = "Aff-Wild2"  # the data set; training wants annotation folders, which only Aff-Wild2's tracks have
    size: str = ""  # of the data set, in the organisers' words
    other_headers: tuple[str, ...] = ()  # first lines that teams have handed in too, where the official is unconfirmed
    item: str = "{}"  # of "items": how an id is written
    file: str = "predictions.txt"  # the usual name of what is handed in
    limit: int | None = None  # submissions a team may make; None where unconfirmed
    lists: tuple[str, ...] = ()  # glob patterns of the organisers' test lists and example files
    forbidden_streams: tuple[str, ...] = ()
    rules: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditionSpec:
    """One ABAW competition: ``abaw10`` at CVPR 2026, with its tracks."""

    name: str
    venue: str
    year: int
    tracks: tuple[TrackSpec, ...]
    paper: str = ""
    summary: str = ""


@dataclass(frozen=True)
class Counts:
    """Training labels of one answer: ``labelled`` frames; ``bins``: frames a class | (negative, positive) | a
    histogram in equal bins over [low, high]."""

    labelled: int
    bins: tuple[int, ...]


@dataclass(frozen=True)
class VideoAnswers:
    """The answers to one video after decode, n frames.

    ``values``: answer -> (n,) numbers, (n, classes) probabilities, or (n,) probabilities of 1; float32 from a network.
    ``targets``: answer -> (n,), NaN where unlabelled; not to be written to, they may be the index's own. ``present``:
    slot -> (n,) bool. ``times``: (n,) seconds. ``extra``: further named answers, (n, ...).
    """

    video: str
    group: str
    values: Mapping[str, np.ndarray]
    targets: Mapping[str, np.ndarray]
    present: Mapping[str, np.ndarray]
    times: np.ndarray
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
