"""Sources for stream readers: paths, times and boxes of an indexed video, each looked up on first use."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.decoding.probe_cache import video_size, video_times
from harness.data.decoding.video import expected_frames
from harness.data.index.index import NO_MEDIA, Index, Video
from harness.data.streams.transcripts import FOLDER, find_transcript
from harness.data.tracking.person_boxes import Boxes, have_boxes, have_face_boxes, person_boxes
from harness.runtime.machine import cores
from zoo.api import StreamSpec
from zoo.errors import UserError
from zoo.readers import Source
from zoo.registry.registry import resolve

ASSUMED_RATE = 30.0  # frames per second if there are crops but no video to take times from
NEEDS = {
    "crops": "face crops (cropped_aligned/)",
    "video": "raw videos (.mp4, .avi)",
    "text": f"texts with times ({FOLDER}/VIDEO.srt, .vtt, .json, .csv)",
}
BOX_SECONDS = 0.0157  # measured time of one core to find the person boxes in one 360p frame


@lru_cache(maxsize=4096)
def _video_times(path: Path) -> np.ndarray:
    return video_times(path)


@lru_cache(maxsize=4096)
def _video_size(path: Path) -> tuple[int, int]:
    return video_size(path)


def frame_times(index: Index, video: Video) -> np.ndarray:
    """Return (n_frames,) seconds of each frame from the first.

    Frames past the end of the video (annotations may be one longer) continue at its median step. Without a raw video,
    30 frames per second are assumed. Raise UserError if annotation and video differ by more than the tolerance.
    """
    if video.video is None:
        return np.arange(video.n_frames) / ASSUMED_RATE
    times = _video_times(video.video)
    index.check_length(video, len(times))
    times = times[: video.n_frames]
    missing = video.n_frames - len(times)
    if missing <= 0:
        return times
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / ASSUMED_RATE
    return np.concatenate([times, times[-1] + step * np.arange(1, missing + 1)])


def source_of(index: Index, video: Video) -> Source:
    """Return the Source of one video."""

    def found() -> Boxes:
        made = person_boxes(index.root, video.name, video.video, video.n_frames) if video.video else None
        if made is None:
            raise UserError("boxes-missing-for-video", value=video.video or video.name, root=index.root)
        return made

    def faces() -> np.ndarray:
        face = found().face
        if video.video and not have_face_boxes(index.root, video.name):  # OpenPose's key points give persons only
            raise UserError("boxes-missing-for-video", value=video.video, root=index.root)
        return face

    def size() -> tuple[int, int]:
        if video.video is None:
            raise UserError("video-not-there", name=video.name)
        return _video_size(video.video)

    return Source(
        name=video.name,
        root=index.root,
        n_frames=video.n_frames,
        times=lambda: frame_times(index, video),
        video=video.video,
        crops=video.crops,
        boxes=lambda: found().person,
        pack=index.pack,
        size=size,
        faces=faces,
    )


def check_needs(index: Index, streams: list[StreamSpec]) -> None:
    """Raise UserError if the data folder cannot serve a stream at all. Warn if words have no video to be timed by."""
    have = {
        "crops": any(video.crops is not None for video in index.videos),
        "video": any(video.video is not None for video in index.videos),
    }
    if any("text" in stream.needs for stream in streams):
        spoken = [v for v in index.videos if find_transcript(index.root, v.name, v.video) is not None]
        have["text"] = bool(spoken)
        _warn_of_assumed_times(spoken)
    for stream in streams:
        for need in stream.needs:
            if need in have and not have[need]:
                what = NEEDS[need]
                possible = sorted(k for k, v in have.items() if v)
                raise UserError(
                    "stream-needs",
                    root=index.root,
                    name=stream.name,
                    what=what,
                    value=", ".join(possible) or NO_MEDIA,
                )
    boxed = [stream.name for stream in streams if "boxes" in stream.needs]
    if boxed:
        _check_boxes(index, boxed)


def _warn_of_assumed_times(videos: list[Video]) -> None:
    """Warn, once a run, of words that are aligned with frames whose times are not known."""
    bare = [video.name for video in videos if video.video is None]
    if bare:
        warnings.warn(
            f"{len(bare)} of {len(videos)} videos with words have no raw video ({bare[0]}): their words are aligned at "
            f"an assumed {ASSUMED_RATE:g} frames per second; add the raw videos to the data folder",
            stacklevel=3,
        )


def _check_boxes(index: Index, streams: list[str]) -> None:
    """Raise UserError if videos lack person boxes. It gives the time that making them will take."""
    bare = [v for v in index.videos if v.video is not None and not have_boxes(index.root, v.name, v.video)]
    if bare:
        files = {video.video for video in bare if video.video is not None}
        frames = sum(expected_frames(file) for file in files)
        minutes = max(1, round(frames * BOX_SECONDS / cores() / 60))
        took = f"{minutes / 60:.1f} hours" if minutes >= 100 else f"{minutes} min"
        raise UserError(
            "boxes-missing-in-data",
            root=index.root,
            count=len(bare),
            count2=len(index.videos),
            name=bare[0].name,
            names=" and ".join(repr(s) for s in dict.fromkeys(streams)),
            frames=frames,
            took=took,
            cores=cores(),
        )


def open_reader(stream: StreamSpec, source: Source) -> Any:
    """Open the stream's reader on a video."""
    return resolve(stream.reader)(source)
