"""Make a data folder like Aff-Wild2's from raw videos: aligned face crops, person boxes, annotations, the videos.

The margin around a face is defined in harness/data/preprocessing/alignment.py.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from harness.data.affwild2.folder_layout import Layout, survey
from harness.data.affwild2.raw_video_names import people_in
from harness.data.decoding.video import expected_frames, probe
from harness.data.preprocessing.alignment import face_jpeg
from harness.data.preprocessing.crop_copies import (
    VIDEOS,
    Mark,
    People,
    clear_videos,
    copy_texts,
    place,
    read_mark,
    texts_to_copy,
    write_mark,
)
from harness.data.preprocessing.crop_report import CropReport
from harness.data.tracking.detection import FaceFinder
from harness.data.tracking.face_tracks import choose, shared_width
from harness.data.tracking.person_boxes import (
    FOLDER,
    all_posed,
    are_made,
    boxes_of,
    content_sha256,
    read_boxes,
    write_boxes,
)
from harness.data.tracking.tracker import Track
from harness.io.atomic import clear_parts
from harness.io.locks import NAME, file_lock
from harness.runtime.launchers import Failure
from harness.runtime.machine import cores
from harness.runtime.process_pool import Tick, run_jobs
from zoo.api import DetectorSpec, Faces
from zoo.errors import UserError
from zoo.limits import check_name

CROPS = "cropped_aligned"
_SPOOL = 64 << 20  # bytes of one video's encoded faces that are kept in memory; more go to a temporary file


def crop_folder(
    raw: Path,
    out: Path,
    *,
    detector: DetectorSpec,
    jobs: int | None = None,
    progress: bool = True,
    link: bool = True,
    options: Mapping[str, Any] | None = None,
) -> CropReport:
    """Turn the raw videos found anywhere in ``raw`` into the data folder ``out``.

    ``out`` gets ``cropped_aligned/<name>/00001.jpg`` (112x112; no file if no face is found), ``boxes/``, ``videos/``
    (links to the originals, or copies if ``link`` is False or links are impossible), ``annotations/`` and
    ``transcripts/``. A video yields its main subject, or the ``_left`` / ``_right`` names that are in annotations or
    lists. Calling it again resumes the work: what was made of a video that has changed since is made again, and copies
    of texts that are gone are removed. Raise UserError if ``out`` holds something else, if one folder is inside the
    other, if two annotation sets would be merged, or if a video's name is too long for its boxes.
    """
    if raw.is_file():
        raise UserError("crop-not-a-folder", raw=raw)
    raw, out = raw.resolve(), out.resolve()
    layout = _raw_videos(raw, out)
    people = people_in(layout)
    for names, video in people:
        for name in names:
            check_name(video, f"{name}.parquet")
    texts = texts_to_copy(layout, people)
    _claim(raw, out)
    with file_lock(out / NAME, f"--out {out}: another process makes crops in this folder; wait for it, or stop it"):
        finder = FaceFinder(detector, options)
        _prepare(out, people, texts)
        notes = [*layout.left_out_notes(), *layout.unread_notes()]
        report = _crop_all(people, out, finder, jobs, progress, link)
        return replace(report, left_out=notes)


def _crop_all(work: People, out: Path, finder: FaceFinder, jobs: int | None, progress: bool, link: bool) -> CropReport:
    todo = [(names, path) for names, path in work if not _is_finished(names, path, out, finder)]
    finished = [item for item in work if item not in todo]
    for _, path in finished:
        place(path, out / VIDEOS / path.name, link=link)
    found = {name: _counts(out, name) for names, _ in finished for name in names}
    task = partial(_crop, out=out, finder=finder, link=link)
    jobs = (jobs or cores()) if finder.portable else 1
    failures = []
    paths = [path for _, path in todo]
    sizes = [expected_frames(path) for path in paths]
    outcomes = run_jobs(task, todo, paths, sizes, jobs=jobs, label="face crops", progress=progress)
    for number, outcome in outcomes:
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            found |= {name: _counts(out, name) for name in todo[number][0]}
    shutil.rmtree(out / ".partial", ignore_errors=True)
    found = dict(sorted(found.items()))
    failures.sort(key=lambda failure: Path(failure.item))
    posed = all_posed(out / FOLDER / f"{name}.parquet" for name in found)
    return CropReport(out, found, len(finished), failures, posed=posed)


# --- the folders ------------------------------------------------------------------------------------------------------


def _raw_videos(raw: Path, out: Path) -> Layout:
    if raw == out or raw in out.parents or out in raw.parents:
        raise UserError("crop-folders-nested", out=out, raw=raw)
    layout = survey(raw)
    if not layout.videos:
        left = "".join(f"; {note}" for note in [*layout.left_out_notes(), *layout.unread_notes()])
        raise UserError("crop-no-videos", raw=raw, left=left)
    for stem, files in layout.videos.items():
        if len(files) > 1:
            raise UserError("crop-same-stem", first=files[0], first2=files[1], stem=stem)
    return layout


def _claim(raw: Path, out: Path) -> None:
    """Create ``out``, or raise UserError if it exists and was not begun by an earlier run on ``raw``."""
    mark = read_mark(out)
    if mark is not None:
        if mark.raw != str(raw):
            raise UserError("crop-out-of-other-data", out=out, earlier=mark.raw)
        return
    if out.exists() and (not out.is_dir() or any(not path.name.startswith(".") for path in out.iterdir())):
        raise UserError("crop-out-exists", out=out)
    out.mkdir(parents=True, exist_ok=True)
    write_mark(out, Mark(str(raw)))


def _prepare(out: Path, people: People, texts: Mapping[str, Path]) -> None:
    """Remove what an earlier run left half-written or made of what is gone, and copy the texts."""
    for folder in (out, out / FOLDER, out / VIDEOS):
        clear_parts(folder, deep=False)
    clear_parts(out / "annotations")
    copy_texts(texts, out)
    clear_videos([path for _, path in people], out)


def _is_finished(names: Sequence[str], video: Path, out: Path, finder: FaceFinder) -> bool:
    """Return True if a video's boxes and crops are made.

    The boxes file is written last, so it implies that the crops were made. A crop folder that was deleted since is
    made again.
    """
    return all(
        are_made(path := out / FOLDER / f"{name}.parquet", finder, video, crops=True)
        and ((out / CROPS / name).is_dir() or np.isnan(read_boxes(path).score).all())
        for name in names
    )


def _counts(out: Path, name: str) -> tuple[int, int]:
    score = read_boxes(out / FOLDER / f"{name}.parquet").score
    return len(score), int(np.isfinite(score).sum())


# --- one video --------------------------------------------------------------------------------------------------------


def _crop(item: tuple[Sequence[str], Path], tick: Tick, *, out: Path, finder: FaceFinder, link: bool) -> None:
    """Make everything that one video yields, in one pass. Every face is cut out and kept until its person is known."""
    names, path = item
    content = content_sha256(path)  # before the pictures are read: if the file changes meanwhile, all is made again
    info = probe(path)
    with _Faces() as kept:
        tracks = finder.tracks(info, tick, kept.add)
        place(path, out / VIDEOS / path.name, link=link)
        for name in names:
            track = choose(tracks, name, shared_width(name, path, info.width))
            _write_crops(out, name, kept.images(track))
            boxes = boxes_of(track, info, finder.label, finder.people)
            write_boxes(out / FOLDER / f"{name}.parquet", replace(boxes, content=content), crops=True)


class _Faces:
    """The aligned faces of a video as JPEGs, in memory or, if there are many, in a temporary file."""

    def __init__(self) -> None:
        self.spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOL)  # noqa: SIM115 (closed in __exit__)
        self.places: dict[tuple[int, int], tuple[int, int]] = {}

    def __enter__(self) -> _Faces:
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.close()

    def add(self, index: int, frame: np.ndarray, faces: Faces) -> None:
        """Keep the faces of a frame."""
        for k, landmarks in enumerate(faces.landmarks):
            data = face_jpeg(frame, landmarks)
            self.places[index, k] = self.spool.tell(), len(data)
            self.spool.write(data)

    def images(self, track: Track) -> Iterator[tuple[int, bytes]]:
        """Yield (frame from 1, JPEG) for the faces of a track."""
        for frame, face in zip(track.frames.tolist(), track.faces.tolist(), strict=True):
            start, length = self.places[frame, face]
            self.spool.seek(start)
            yield frame + 1, self.spool.read(length)


def _write_crops(out: Path, name: str, images: Iterator[tuple[int, bytes]]) -> None:
    """Write a crop folder atomically. No folder is made if there is no face."""
    part, target = out / ".partial" / name, out / CROPS / name
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for frame, data in images:
        (part / f"{frame:05d}.jpg").write_bytes(data)
    if target.exists():
        shutil.rmtree(target)
    if any(part.iterdir()):
        target.parent.mkdir(exist_ok=True)
        os.replace(part, target)
