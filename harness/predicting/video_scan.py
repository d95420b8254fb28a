"""One reading of a video: faces, tracks, and the pictures that input branches look at, frame by frame.

Of whom the pictures must be is known for certain only at the end, when the longest, largest track is. While a video is
read for the first time, its person is therefore guessed: the face whose track is the heaviest so far. At the end the
guess is compared with the truth; where it was wrong, or two faces of like size leave no guess, the video is decoded a
second time, for the pictures of the person that it turned out to be.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from harness.data.decoding.display import Size
from harness.data.decoding.frames import frame_size
from harness.data.preprocessing.alignment import face_jpeg
from harness.data.tracking.detection import FaceFinder, in_frames
from harness.data.tracking.person_boxes import GAP_SECONDS, boxes_of, person_from_face
from harness.data.tracking.tracker import Track
from harness.predicting.media import Media
from zoo.api import Faces
from zoo.readers import FrameView

HELD = 256 << 20  # bytes of frames that wait for the face to come back, at most
ALIKE = 0.05  # share of the frames with a face in which a second one of like size ends the guessing
ALIKE_FRAMES = 10  # and of how many frames at least
_UNKNOWN = np.full(4, np.nan, np.float32)


@dataclass(frozen=True)
class Wanted:
    """Pictures that a branch wants: the class of its reader, pixels a side, and what of a person they need.
    ``whole``: the views themselves, without pictures of the video, for branches that cut later."""

    reader: Any
    size: int
    needs: tuple[str, ...]

    @property
    def kind(self) -> Size | None:
        """In which size it wants the video's frames."""
        return frame_size(self.reader, self.size)

    @property
    def uses_video(self) -> bool:
        """Whether it wants them at all."""
        return bool(self.reader.uses_video)

    def cut(self, view: FrameView) -> np.ndarray | None:
        """Its picture."""
        picture: np.ndarray | None = self.reader.picture(view, self.size)
        return picture


Row = list[np.ndarray | None]
"""The pictures of one frame, one a branch."""


@dataclass(frozen=True)
class _Frame:
    """A decoded frame that is not cut yet."""

    pictures: dict[Size | None, np.ndarray]
    crop: bytes | None

    @property
    def nbytes(self) -> int:
        """Its size in memory."""
        return sum(picture.nbytes for picture in self.pictures.values())


class VideoScan:
    """A video, its faces as they are found, and the pictures of one of its people."""

    def __init__(self, media: Media, finder: FaceFinder, wanted: Sequence[Wanted]) -> None:
        self.media, self.finder, self.wanted = media, finder, wanted
        self.info = info = media.info
        self.tracker, self._faces_of = finder.tracker(info), finder.start()
        self.guess = array("q")  # the face that was taken in each frame, -1 for none
        self.unsure = False  # the guessing has ended before the video
        self.found = 0  # frames whose faces are known
        self.needs_crops = any("crops" in want.needs for want in wanted)
        self.needs_boxes = any("boxes" in want.needs for want in wanted)
        self._points = array("d")  # five landmarks a face, of all faces
        self._first = array("q")  # which of them is the first of each frame
        self._faces = 0
        self._alike, self._seen = 0, 0
        kinds = [want.kind for want in wanted if want.uses_video]
        self._kinds: list[Size | None] = list(dict.fromkeys([None, *kinds]))
        self._gap = in_frames(info, GAP_SECONDS)

    @property
    def needs_person(self) -> bool:
        """Whether any picture depends on who is looked at."""
        return self.needs_crops or self.needs_boxes

    # --- the first reading ---

    def guessed(self, *, guess: bool = True) -> Iterator[Row]:
        """The pictures of the person that is guessed, a row a frame; ends early, with ``unsure``, where nobody can be
        guessed, but never before all faces are found. ``guess`` False: faces alone."""
        self.unsure = not guess
        waiting: list[_Frame] = []
        known: np.ndarray | None = None  # the last face's box
        if not self.media.has_pictures:
            self.guess.extend([-1] * self.info.n_frames)
            for _ in range(self.info.n_frames):
                yield [None for _ in self.wanted]
            return
        for pictures in self.media.pictures(self._kinds):
            frame = dict(zip(self._kinds, pictures, strict=True))
            face = self._look(frame[None])
            if self.unsure:
                waiting.clear()
                continue
            box, points = face if face is not None else (None, None)
            crop = face_jpeg(frame[None], points) if points is not None and self.needs_crops else None
            waiting.append(_Frame(frame, crop))
            if not self.needs_boxes or (box is None and (known is None or len(waiting) > self._gap)):
                yield from self._rows(waiting, np.repeat(_UNKNOWN[None], len(waiting), axis=0))
                waiting.clear()
                known = None
            elif box is not None:
                yield from self._rows(waiting, self._between(known, box, len(waiting)))
                waiting.clear()
                known = box
            elif sum(one.nbytes for one in waiting) > HELD:
                self.unsure = True
        if not self.unsure:
            yield from self._rows(waiting, np.repeat(_UNKNOWN[None], len(waiting), axis=0))

    def _look(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Find the faces of the next frame; the box and the landmarks of the one that is taken."""
        faces = self._faces_of(frame)
        self.tracker.add(faces)
        self._keep(faces)
        self.found += 1
        taken = self.tracker.leading()
        self.guess.append(-1 if taken is None else taken)
        if self.needs_person and not self.unsure:
            self.unsure = self._are_alike(faces)
        return None if taken is None else (faces.boxes[taken], faces.landmarks[taken])

    def _keep(self, faces: Faces) -> None:
        self._first.append(self._faces)
        self._faces += len(faces.boxes)
        self._points.frombytes(np.ascontiguousarray(faces.landmarks, np.float64).tobytes())

    def _are_alike(self, faces: Faces) -> bool:
        """Whether too many frames so far show two faces of like size."""
        sizes = np.sort(np.sqrt(np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1)))
        self._seen += len(sizes) > 0
        self._alike += len(sizes) > 1 and bool(sizes[-2] >= sizes[-1] / 2)
        return self._alike >= ALIKE_FRAMES and self._alike > ALIKE * self._seen

    def _between(self, before: np.ndarray | None, box: np.ndarray, frames: int) -> np.ndarray:
        """Person boxes (frames, 4) up to a face, after ``before``."""
        face = np.full((frames + 1, 4), np.nan, np.float32)
        face[0], face[-1] = _UNKNOWN if before is None else before, box
        return person_from_face(face, self.info.width, self.info.height, max_gap=self._gap)[1:]

    def _rows(self, frames: Sequence[_Frame], boxes: np.ndarray) -> Iterator[Row]:
        size = self.info.width, self.info.height
        for frame, box in zip(frames, boxes, strict=True):
            yield [
                want.cut(FrameView(frame.pictures[want.kind] if want.uses_video else None, frame.crop, box, size))
                for want in self.wanted
            ]

    # --- afterwards ---

    def tracks(self) -> list[Track]:
        """The tracks of all faces."""
        return self.tracker.tracks()

    def was_guessed(self, track: Track) -> bool:
        """Whether the rows that were given are of this person."""
        if self.unsure:
            return False
        truth = np.full(self.info.n_frames, -1, np.int64)
        truth[track.frames] = track.faces
        return not self.needs_person or np.array_equal(truth, np.frombuffer(self.guess, np.int64))

    def of(self, track: Track) -> Iterator[Row]:
        """The pictures of a person who is known; the video is decoded once more."""
        boxes = boxes_of(track, self.info, "").person
        faces = dict(zip(track.frames.tolist(), track.faces.tolist(), strict=True))
        kinds: list[Size | None] = list(dict.fromkeys(want.kind for want in self.wanted if want.uses_video))
        kinds = [None, *(kind for kind in kinds if kind is not None)] if self.needs_crops or None in kinds else kinds
        places = count()
        for pictures in self.media.pictures(kinds):
            index = next(places)
            frame = dict(zip(kinds, pictures, strict=True))
            taken = faces.get(index)
            seen = taken is not None and self.needs_crops
            crop = face_jpeg(frame[None], self._landmarks(index, taken)) if seen and taken is not None else None
            yield from self._rows([_Frame(frame, crop)], boxes[index : index + 1])

    def _landmarks(self, frame: int, face: int) -> np.ndarray:
        first = 10 * (self._first[frame] + face)
        return np.array(self._points[first : first + 10]).reshape(5, 2)
