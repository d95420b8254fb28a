"""Person boxes of every frame, from OpenPose's key points if the data folder has them, else from the tracked face.

``<data>/boxes/<name>.parquet`` has one row per video frame: ``frame`` from 1, the boxes of face and person in pixels
of the raw video, and the detector's score; NaN where absent. The schema's metadata has the detector, the version and
the sha256 of the video.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.data.affwild2.groups import without_side
from harness.data.decoding import video as video_frames
from harness.data.decoding.probe_cache import video_reading
from harness.data.decoding.video import VideoInfo, expected_frames, probe, read_frames
from harness.data.tracking import openpose
from harness.data.tracking.body_proportions import GAP_SECONDS, faces_and_people
from harness.data.tracking.detection import FaceFinder, in_frames
from harness.data.tracking.face_tracks import choose, shared_width
from harness.data.tracking.pose_boxes import Posed, PosedPeople
from harness.data.tracking.tracker import Track
from harness.io.atomic import atomic, clear_parts
from harness.io.digests import warn_unverified
from harness.io.hashing import digest, file_state, kept, of_folder
from harness.io.locks import NAME, file_lock
from harness.io.read_cache import Arrays, ReadCache
from harness.io.sealed_tables import read_sealed, write_sealed
from harness.runtime.launchers import Failure
from harness.runtime.machine import cores
from harness.runtime.process_pool import Tick, run_jobs
from zoo.api import DetectorSpec
from zoo.errors import UserError, first_line
from zoo.files import file_sha256, open_file, spelled
from zoo.weights.cards import cache_dir

VERSION = f"1.{video_frames.VERSION}"
"""Version of decoder, tracks, box rule and crops: boxes and crops made by another version are made again."""

FOLDER = "boxes"
_CONTENT = b"content"  # metadata: sha256 of the video; files of earlier versions lack it
_CROPS = b"crops"  # metadata: there if `harness data crop` wrote the file, after the crops of the same reading
POSED = b"posed"  # metadata: frames with a box by pose, and frames in which one was looked for
_COLUMNS = [f"{part}{axis}" for part in ("face_", "") for axis in ("x0", "y0", "x1", "y1")]


@dataclass(frozen=True)
class Boxes:
    """Boxes x0 y0 x1 y1 of every frame of a video, float32 pixels of the raw video, NaN where absent.

    ``face``: (n, 4). ``person``: (n, 4). ``score``: (n,). ``detector``: the detector that made them, with its options.
    ``reading``: how the video was read (harness.data.decoding.video.VideoInfo); None if this program did not make them.
    ``posed``: counts of the boxes by pose; None if all are by body proportions. ``content``: the sha256 of the video;
    "" if it is unknown.
    """

    face: np.ndarray
    person: np.ndarray
    score: np.ndarray
    detector: str
    reading: str | None = ""
    posed: Posed | None = None
    content: str = ""

    def fitted(self, n_frames: int) -> Boxes:
        """Cut to ``n_frames`` rows, or pad with NaN: annotation and video may differ by a frame."""
        face, person, score = (_rows(values, n_frames) for values in (self.face, self.person, self.score))
        return replace(self, face=face, person=person, score=score)


def write_boxes(path: Path, boxes: Boxes, *, crops: bool = False) -> None:
    """Write a boxes file atomically. ``crops``: face crops were made along with the boxes."""
    values = np.concatenate([boxes.face, boxes.person], axis=1).astype(np.float32)
    columns = {"frame": np.arange(1, len(values) + 1, dtype=np.int32)}
    columns |= {name: np.ascontiguousarray(values[:, k]) for k, name in enumerate(_COLUMNS)}
    table = pa.table(columns | {"score": boxes.score.astype(np.float32)})
    made = {"detector": boxes.detector, "version": VERSION, "reading": boxes.reading or ""}
    if boxes.content:
        made[_CONTENT.decode()] = boxes.content
    if crops:
        made[_CROPS.decode()] = "made"
    if boxes.posed is not None:
        made[POSED.decode()] = f"{boxes.posed.seen}/{boxes.posed.asked}"
    table = table.replace_schema_metadata({name.encode(): value.encode() for name, value in made.items()})
    atomic(path, lambda part: write_sealed(table, part))


def read_boxes(path: Path) -> Boxes:
    """Read a boxes file. Raise UserError if it is damaged; warn if it is of version 0.1, which has no digest."""
    try:
        table, compared = read_sealed(path)
        columns = [table.column(name).cast(pa.float32()).to_numpy() for name in (*_COLUMNS, "score")]
        said = table.schema.metadata or {}
        detector = said.get(b"detector", b"unknown").decode()
        reading = said.get(b"reading", b"").decode() if b"version" in said else None
        content = said.get(_CONTENT, b"").decode()
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:  # Arrow raises all of these
        raise UserError("boxes-invalid", file=path, reason=first_line(error)) from error
    if not compared and detector != "demo":  # version 0.1 drew those of the demo set; no detector can remake them
        warn_unverified(path.parent, "delete the folder and run `harness data boxes` to have them made again")
    face, person = np.stack(columns[:4], axis=1), np.stack(columns[4:8], axis=1)
    return Boxes(face, person, columns[8], detector, reading, content=content)


def content_sha256(video: Path) -> str:
    """Return the sha256 of a video's content, without its name; "" if the file cannot be read.

    It is remembered until the file changes. A link and its file share it, because `harness data crop` links to videos.
    """
    file = Path(os.path.realpath(video))

    def read() -> Arrays:
        return {"sha256": np.array(file_sha256(file))}

    memo = ReadCache(cache_dir() / "contents" / f"{digest(file)[:32]}.memo")
    try:
        return str(kept(memo, file, "content 1", read)["sha256"])
    except OSError:  # reported when its pictures are read
        return ""


def _fits(content: str, video: Path) -> bool:
    """Return True if boxes are of this content of a video, as far as both are known."""
    return not content or content_sha256(video) in (content, "")


def are_made(path: Path, finder: FaceFinder, video: Path, *, crops: bool = False) -> bool:
    """Return True if a boxes file exists for this detector with its options, this version and this video.

    The video's reading must be the same and, if the file names it, its content. ``crops``: the crops must have been
    made along with the boxes, because `harness data boxes` makes new boxes beside old crops. Files of earlier versions
    do not say so, and count.
    """
    try:
        with open_file(path) as file:
            made_by = pq.read_schema(file).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    wanted = {b"detector": finder.label, b"version": VERSION, b"reading": video_reading(video)}
    same = all(made_by.get(name, b"") == value.encode() for name, value in wanted.items())
    if crops and _CONTENT in made_by and _CROPS not in made_by:
        return False
    return same and _fits(made_by.get(_CONTENT, b"").decode(errors="replace"), video)


def person_boxes(data_folder: Path, name: str, video: Path, n_frames: int) -> Boxes | None:
    """Return the boxes of an annotated name, with ``n_frames`` rows; None if they were never made.

    OpenPose's key points (``<data>/openpose/<video>_openpose_body25/json``) are preferred; the faces of the boxes file
    then choose the person. Raise UserError if the boxes were made by a version that read the video differently, or
    before its content changed.
    """
    path = spelled(data_folder / FOLDER / f"{name}.parquet")
    made = read_boxes(path) if path.is_file() else None
    if made and made.reading is not None and made.reading != video_reading(video):
        raise UserError("boxes-outdated", file=path, video=video, root=data_folder)
    if made and not _fits(made.content, video):
        raise UserError("boxes-of-other-video", file=path, video=video, root=data_folder)
    folder = _key_points(data_folder, name, video)
    if folder is None:
        return made.fitted(n_frames) if made else None
    face = made.face if made else None

    def read() -> dict[str, np.ndarray]:
        info = probe(video)
        width, size = shared_width(name, video, info.width), (info.width, info.height)
        return {
            "person": openpose.read_openpose(
                folder, info.n_frames, face, name=name, width=width, size=size, scale=info.scale
            ),
        }

    parts = (
        openpose.VERSION,
        VERSION,
        name,
        file_state(video),
        video_reading(video),
        face.tobytes() if face is not None else None,
    )
    person = of_folder("openpose", folder, ".json", parts, read)["person"]
    missing = np.full((len(person), 5), np.nan, np.float32)
    face = missing[:, :4] if face is None else _rows(face, len(person))
    score = missing[:, 4] if made is None else _rows(made.score, len(person))
    return Boxes(face, person, score, "openpose body_25").fitted(n_frames)


def have_boxes(data_folder: Path, name: str, video: Path) -> bool:
    """Return True if the files for ``person_boxes`` exist, without reading them."""
    return have_face_boxes(data_folder, name) or _key_points(data_folder, name, video) is not None


def have_face_boxes(data_folder: Path, name: str) -> bool:
    """Return True if the boxes of a name's faces were made. OpenPose's key points do not stand in for them."""
    return spelled(data_folder / FOLDER / f"{name}.parquet").is_file()


def _key_points(data_folder: Path, name: str, video: Path) -> Path | None:
    """Return the folder of a name's OpenPose files, or None."""
    stems = dict.fromkeys((name, video.stem, without_side(name)))
    folders = (spelled(data_folder / "openpose" / f"{stem}_openpose_body25") / "json" for stem in stems)
    return next((folder for folder in folders if folder.is_dir()), None)


def make_boxes(
    data_folder: Path,
    videos: Sequence[tuple[str | Sequence[str], Path]],
    detector: DetectorSpec,
    jobs: int | None = None,
    progress: bool = True,
    options: Mapping[str, Any] | None = None,
) -> list[Failure]:
    """Make the missing boxes files of (name or names, video file); return the failures with their reasons.

    Each video is decoded once, even for two names, and once more for each name if boxes are by pose. Finished files
    stay if this is stopped or killed. Files of another detector, other ``options`` of it, another version or another
    content of the video are made again. ``jobs``: number of processes, one per core by default.
    """
    finder = FaceFinder(detector, options)
    named = [((names,) if isinstance(names, str) else tuple(names), path) for names, path in videos]
    folder = data_folder / FOLDER
    todo = [
        (names, path)
        for names, path in named
        if not all(are_made(folder / f"{name}.parquet", finder, path) for name in names)
    ]
    task = partial(_make, folder=folder, finder=finder)
    jobs = (jobs or cores()) if finder.portable else 1
    paths = [path for _, path in todo]
    sizes = [expected_frames(path) for path in paths]
    if not todo and not (folder / NAME).exists():  # a lock file may be left by a process killed after its last file
        return []
    busy = f"{folder}: another process makes boxes in this folder; wait for it, or stop it"
    with file_lock(folder / NAME, busy if todo else None):
        clear_parts(folder, deep=False)
        outcomes = run_jobs(task, todo, paths, sizes, jobs=jobs, label="person boxes", progress=progress)
        return [outcome for _, outcome in outcomes if isinstance(outcome, Failure)]


def _make(item: tuple[Sequence[str], Path], tick: Tick, *, folder: Path, finder: FaceFinder) -> None:
    names, path = item
    content = content_sha256(path)  # before the pictures are read: if the file changes meanwhile, all is made again
    info = probe(path)
    tracks = finder.tracks(info, tick)
    for name in names:
        track = choose(tracks, name, shared_width(name, path, info.width))
        boxes = boxes_of(track, info, finder.label, finder.people)
        write_boxes(folder / f"{name}.parquet", replace(boxes, content=content))


def faces_of(track: Track, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the face boxes (n_frames, 4) and scores (n_frames,) of one person, float32; NaN without a face."""
    face, score = np.full((n_frames, 4), np.nan, np.float32), np.full(n_frames, np.nan, np.float32)
    face[track.frames], score[track.frames] = track.boxes, track.scores
    return face, score


def boxes_of(track: Track, info: VideoInfo, detector: str, people: PosedPeople | None = None) -> Boxes:
    """Return the boxes of one person of a video.

    Args:
        track: The person's faces.
        info: The video.
        detector: The label of the detector that found the faces.
        people: Finds person boxes by pose, for which the video is decoded; None: body proportions.
    """
    face, score = faces_of(track, info.n_frames)
    both = faces_and_people(face, info.width, info.height, max_gap=in_frames(info, GAP_SECONDS))
    if people is None:
        return Boxes(face, both[:, 4:], score, detector, info.reading)
    posed, frames = Posed(), read_frames(info.path)
    person = [people.box(frame, row[:4], row[4:], posed) for frame, row in zip(frames, both, strict=True)]
    return Boxes(face, np.stack(person), score, detector, info.reading, posed)


def how_made(path: Path) -> tuple[str, Posed | None]:
    """Return the detector of a boxes file, and its counts if its person boxes are by pose; ("", None) if unreadable."""
    try:
        with path.open("rb") as file:
            made = pq.read_schema(file).metadata or {}
        counts = [int(part) for part in made.get(POSED, b"").split(b"/") if part]
        return made.get(b"detector", b"").decode(), Posed(*counts) if counts else None
    except (OSError, pa.ArrowException, ValueError):
        return "", None


def all_posed(paths: Iterable[Path]) -> Posed | None:
    """Return the counts of several boxes files together; None if all person boxes are by body proportions."""
    counts = [posed for path in paths if (posed := how_made(path)[1]) is not None]
    return Posed(sum(one.seen for one in counts), sum(one.asked for one in counts)) if counts else None


def _rows(values: np.ndarray, n: int) -> np.ndarray:
    out = np.full((n, *values.shape[1:]), np.nan, np.float32)
    out[: len(values)] = values[:n]
    return out
