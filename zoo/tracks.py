"""Answers (the quantities to predict), tracks and editions. Part of the contract; zoo.api re-exports them."""

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
    """One quantity to predict at every frame.

    Attributes:
        name: Its name: "valence", "expression", "AU1".
        kind: value: a number in [low, high]; class: one of ``classes``; binary: 0 or 1 (an action unit).
        invalid: The number that marks a frame without a label.
        classes: The names of the classes, in the order of their numbers.
        low: The least value.
        high: The greatest value.

    Examples:
        >>> from zoo.api import Answer
        >>> Answer("valence", "value", invalid=-5).width
        1
        >>> Answer("expression", "class", invalid=-1, classes=("Neutral", "Happy", "Sad")).width
        3
    """

    name: str
    kind: Literal["value", "class", "binary"]
    invalid: float
    classes: tuple[str, ...] = ()
    low: float = -1.0
    high: float = 1.0

    @property
    def width(self) -> int:
        """Columns after decoding: one per class, else one."""
        return len(self.classes) if self.kind == "class" else 1


@dataclass(frozen=True)
class TrackSpec:
    """One track of an edition; raise ``version`` if its metric, masks or rows change.

    Attributes:
        name: The track's name: "va", "expr", "au", "mtl".
        answers: The quantities to predict.
        metric: A formula of zoo.metrics.scores.
        score_range: The least and the greatest value of the metric.
        folders: Names of the annotation folder; any one of them may occur.
        headers: The allowed first lines of an annotation file.
        submission: The form of a submission, one of Form.
        submission_header: The first line of a submission; "" if the form has none.
        version: The version of this definition.
        unit: One row of a submission: a frame, an image or a video.
        joint_labels: A frame counts as labelled only if all its values are (VA drops a frame if either value is -5).
        data: The data set. Training needs annotation folders, which only the tracks on Aff-Wild2 have.
        size: The size of the data set, in the organisers' words.
        other_headers: First lines that teams have also submitted, if the official one is unconfirmed.
        item: For the form "items": the format of an id.
        file: The usual name of the submission file.
        limit: Submissions allowed per team; None if unconfirmed.
        lists: Glob patterns of the organisers' test lists and example files.
        forbidden_streams: Streams that the rules forbid.
        rules: The organisers' rules, in short.
        figures: The organisers' published counts, None if unconfirmed.
        sources: Where these facts are from.
        unconfirmed: The facts that no source confirms.

    Examples:
        >>> from zoo.api import Answer, TrackSpec
        >>> pain = Answer("pain", "value", invalid=-5)
        >>> track = TrackSpec("pain", (pain,), "mean_ccc", (-1.0, 1.0), ("Pain",), ("pain",), "keyed", "image,pain")
        >>> track.metric, track.unit
        ('mean_ccc', 'frame')
    """

    name: str
    answers: tuple[Answer, ...]
    metric: str
    score_range: tuple[float, float]
    folders: tuple[str, ...]
    headers: tuple[str, ...]
    submission: str
    submission_header: str
    version: int = 1
    unit: Literal["frame", "image", "video"] = "frame"
    joint_labels: bool = False
    data: str = "Aff-Wild2"
    size: str = ""
    other_headers: tuple[str, ...] = ()
    item: str = "{}"
    file: str = "predictions.txt"
    limit: int | None = None
    lists: tuple[str, ...] = ()
    forbidden_streams: tuple[str, ...] = ()
    rules: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditionSpec:
    """One ABAW competition, such as ``abaw10`` at CVPR 2026, with its tracks.

    Attributes:
        name: The edition's name; the number at its end orders the editions.
        venue: The conference.
        year: The year of the conference.
        tracks: Its tracks.
        paper: The organisers' paper.
        summary: One line for lists.

    Examples:
        >>> from zoo.api import Answer, EditionSpec, TrackSpec
        >>> pain = Answer("pain", "value", invalid=-5)
        >>> track = TrackSpec("pain", (pain,), "mean_ccc", (-1.0, 1.0), ("Pain",), ("pain",), "keyed", "image,pain")
        >>> [track.name for track in EditionSpec("mine1", "My workshop", 2026, (track,)).tracks]
        ['pain']
    """

    name: str
    venue: str
    year: int
    tracks: tuple[TrackSpec, ...]
    paper: str = ""
    summary: str = ""


@dataclass(frozen=True)
class Counts:
    """The training labels of one answer.

    Attributes:
        labelled: Labelled frames.
        bins: Frames per class; for binary answers (negative, positive); for values a histogram in equal bins over
            [low, high].

    Examples:
        >>> from zoo.api import Counts
        >>> counts = Counts(labelled=100, bins=(90, 10))  # a binary answer: 90 frames of 0, 10 of 1
        >>> counts.bins[1] / counts.labelled
        0.1
    """

    labelled: int
    bins: tuple[int, ...]


@dataclass(frozen=True)
class VideoAnswers:
    """The predictions for one video of n frames, after decoding.

    Attributes:
        video: The video's name.
        group: The video's group.
        values: Answer -> (n,) numbers, (n, classes) probabilities, or (n,) probabilities of 1; float32 from a network.
        targets: Answer -> (n,), NaN if unlabelled. Do not write to them: they may be the index's own arrays.
        present: Slot -> (n,) bool.
        times: (n,) seconds.
        extra: Further named predictions, (n, ...).

    Examples:
        >>> import numpy as np
        >>> from zoo.api import VideoAnswers
        >>> values, targets = {"valence": np.zeros(3)}, {"valence": np.array([0.5, np.nan, 0.1])}
        >>> video = VideoAnswers("v1", "v1", values, targets, {"face": np.ones(3, bool)}, times=np.arange(3) / 30)
        >>> int(np.isfinite(video.targets["valence"]).sum())  # labelled frames
        2
    """

    video: str
    group: str
    values: Mapping[str, np.ndarray]
    targets: Mapping[str, np.ndarray]
    present: Mapping[str, np.ndarray]
    times: np.ndarray
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)

    def part(self, start: int, stop: int) -> VideoAnswers:
        """Return the predictions of the frames [start, stop), as views of these arrays."""
        columns = (self.values, self.targets, self.present, self.extra)
        values, targets, present, extra = ({name: rows[start:stop] for name, rows in one.items()} for one in columns)
        return VideoAnswers(self.video, self.group, values, targets, present, self.times[start:stop], extra)
