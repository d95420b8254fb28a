"""Plans of the demo set's raw videos: names, splits, frame rates and special cases."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from zoo.errors import UserError

SPLITS = ("train", "val", "test")
WIDTH, HEIGHT = 640, 360

RATES = tuple(Fraction(*r) for r in ((30, 1), (25, 1), (30000, 1001), (24, 1), (15, 1), (30, 1), (15, 2), (60, 1)))
SOUND_RATES = (44100, 32000, 16000, 48000, 22050)

# Positions of the special cases in a split. They are early, so that small sets have them too.
TWO_PERSON, VARIABLE, LATE, OPENPOSE = 1, 2, 3, 0
LATE_SOUND_S = 0.3


@dataclass(frozen=True)
class VideoPlan:
    """The properties of one raw video that are fixed before random numbers are drawn."""

    index: int
    """Position in the whole set, from 0; with the seed it determines every random number of the video."""
    split: str
    video: str
    """Name of the raw video file, without extension."""
    suffixes: tuple[str, ...]
    """One per annotated person: `("",)`, or `("_left", "_right")` for two people."""
    frames: int
    rate: Fraction
    """Frames per second; the nominal rate of a variable-rate video."""
    variable: bool
    container: str
    """`mp4` (H.264, AAC) or `avi` (MPEG-4, MP3)."""
    sound_start: float
    """Second at which the sound stream begins."""
    sound_rate: int
    """Samples per second."""
    line_shift: int
    """Annotation lines minus video frames: Aff-Wild2 is known to be off by one in both directions."""
    openpose: bool
    """True if BODY_25 key points are written for it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Annotated names: the raw name plus each person's suffix."""
        return tuple(self.video + suffix for suffix in self.suffixes)


def plan_videos(videos: tuple[int, int, int], frames: int) -> list[VideoPlan]:
    """Plan `videos` = (train, val, test) raw videos of `frames` frames each.

    Raise UserError if a split would be empty or a video shorter than 12 frames.
    """
    if len(videos) != 3 or min(videos) < 1:
        raise UserError("demo-counts", videos=videos)
    if frames < 12:
        raise UserError("demo-too-short", frames=frames)
    plans: list[VideoPlan] = []
    for split, count in zip(SPLITS, videos, strict=True):
        plans += [_plan(len(plans) + place, split, place, frames) for place in range(count)]
    return plans


def _plan(index: int, split: str, place: int, frames: int) -> VideoPlan:
    train = split == "train"
    two = place == TWO_PERSON and split != "test"
    rate = RATES[index % len(RATES)]
    variable, late = train and place == VARIABLE, train and place == LATE
    avi = index % 10 == 4 and not (variable or late)
    return VideoPlan(
        index=index,
        split=split,
        video=f"video{index + 101}" if index % 2 else f"{index + 11}-{round(rate)}-{WIDTH}x{HEIGHT}",
        suffixes=("_left", "_right") if two else ("",),
        frames=frames,
        rate=rate,
        variable=variable,
        container="avi" if avi else "mp4",
        sound_start=LATE_SOUND_S if late else 0.0,
        sound_rate=SOUND_RATES[index % len(SOUND_RATES)],
        line_shift={"train": 1, "val": -1}.get(split, 0) if place == 0 else 0,
        openpose=two or (split == "val" and place == OPENPOSE),
    )
