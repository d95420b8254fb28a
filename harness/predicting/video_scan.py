"""Single-pass reading of a video: faces, tracks and the pictures of the input branches, frame by frame.

The main person is the one with the longest, largest track, which is certain only at the end of the video. The first
pass therefore guesses the person: the face whose track has the most weight so far. At the end the guess is compared
with the final choice. If the guess was wrong, or if two faces of similar size allow no guess, the video is decoded a
second time to cut the pictures of the chosen person.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from harness.data.decoding.display import Size
from harness.data.decoding.frames import frame_size
from harness.data.preprocessing.alignment import face_jpeg
from harness.data.tracking.body_proportions import GAP_SECONDS, faces_and_people
from harness.data.tracking.detection import FaceFinder, in_frames
from harness.data.tracking.person_boxes import faces_of
from harness.data.tracking.pose_boxes import Posed
from harness.data.tracking.tracker import Track
from harness.predicting.media import Media
from zoo.api import Faces
from zoo.readers import FrameView

HELD = 256 << 20  # most bytes of decoded frames kept while a lost face may come back
ALIKE = 0.05  # guessing ends if more than this share of the frames with a face show a second one of similar size
ALIKE_FRAMES = 10  # and at least this many frames do
_UNKNOWN = np.full(8, np.nan, np.float32)  # boxes of a face and its person


@dataclass(frozen=True)
class Wanted:
    """The pictures that an input branch takes.

    Attributes:
        reader: The class of the stream's reader.
        size: Pixels a side.
        needs: Data about the person that the reader needs, such as ``crops`` or ``boxes``.
    """

    reader: Any
    size: int
    needs: tuple[str, ...]

    @property
    def kind(self) -> Size | None:
        """The size at which the reader takes the video's frames; None: the original size."""
        return frame_size(self.reader, self.size)

    @property
    def uses_video(self) -> bool:
        """True if the reader takes the video's frames at all."""
        return bool(self.reader.uses_video)

    def shown(self, pictures: Mapping[Size | None, np.ndarray]) -> np.ndarray | None:
        """Return the video's frame as the reader takes it, of those decoded; None if it takes none."""
        return pictures[self.kind] if self.uses_video else None

    def cut(self, view: FrameView) -> np.ndarray | None:
        """Return the picture cut from a view of a frame; None if there is none."""
        picture: np.ndarray | None = self.reader.picture(view, self.size)
        return picture


Row = list[np.ndarray | None]
"""The pictures of one frame, one for each branch; None if a branch has none."""


@dataclass(frozen=True)
class _Frame:
    """A decoded frame whose pictures have not been cut yet."""

    pictures: dict[Size | None, np.ndarray]
    crop: bytes | None

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(picture.nbytes for picture in self.pictures.values())


class VideoScan:
    """The faces of a video as they are found, and the pictures of one of its people.

    Args:
        media: The video.
        finder: Finds the faces.
        wanted: The pictures that the input branches take.
    """

    def __init__(self, media: Media, finder: FaceFinder, wanted: Sequence[Wanted]) -> None:
        self.media, self.finder, self.wanted = media, finder, wanted
        self.info = info = media.info
        self.tracker, self._faces_of = finder.tracker(info), finder.start()
        self.guess = array("q")  # index of the face chosen in each frame, -1 for none
        self.unsure = False  # no person is guessed any more
        self.found = 0  # frames searched for faces so far
        self.needs_crops = any("crops" in want.needs for want in wanted)
        self.needs_boxes = any("boxes" in want.needs for want in wanted)
        self._boxes = array("f")  # four numbers and a score of the chosen face of each frame, NaN for none
        self.posed = Posed() if self.needs_boxes and finder.people is not None else None  # counts of the rows
        self._points = array("d")  # five landmarks a face, of all faces
        self._first = array("q")  # index of each frame's first face among all faces
        self._faces = 0
        self._alike, self._seen = 0, 0
        kinds = [want.kind for want in wanted if want.uses_video]
        self._kinds: list[Size | None] = list(dict.fromkeys([None, *kinds]))
        self._gap = in_frames(info, GAP_SECONDS)

    @property
    def needs_person(self) -> bool:
        """True if any picture depends on the chosen person."""
        return self.needs_crops or self.needs_boxes

    # --- the first reading ---

    def guessed(self, *, guess: bool = True) -> Iterator[Row]:
        """Yield the pictures of the guessed person, one row a frame.

        If no person can be guessed, set ``unsure`` and yield no further rows, but still find the faces of all frames.

        Args:
            guess: False: only find faces.
        """
        self.unsure = not guess
        waiting: list[_Frame] = []
        known: np.ndarray | None = None  # box of the last face
        if not self.media.has_pictures:
            self._boxes.extend([float("nan")] * (5 * self.info.n_frames))
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
        """Find the faces of the next frame and return the chosen one's box and landmarks; None if there is none."""
        faces = self._faces_of(frame)
        self.tracker.add(faces)
        self._keep(faces)
        self.found += 1
        taken = self.tracker.leading()
        box = [float("nan")] * 5 if taken is None else [*map(float, faces.boxes[taken]), float(faces.scores[taken])]
        self._boxes.extend(box)
        self.guess.append(-1 if taken is None else taken)
        if self.needs_person and not self.unsure:
            self.unsure = self._are_alike(faces)
        return None if taken is None else (faces.boxes[taken], faces.landmarks[taken])

    def _keep(self, faces: Faces) -> None:
        self._first.append(self._faces)
        self._faces += len(faces.boxes)
        self._points.frombytes(np.ascontiguousarray(faces.landmarks, np.float64).tobytes())

    def _are_alike(self, faces: Faces) -> bool:
        """Return whether too many frames so far show two faces of similar size."""
        sizes = np.sort(np.sqrt(np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1)))
        self._seen += len(sizes) > 0
        self._alike += len(sizes) > 1 and bool(sizes[-2] >= sizes[-1] / 2)
        return self._alike >= ALIKE_FRAMES and self._alike > ALIKE * self._seen

    def _between(self, before: np.ndarray | None, box: np.ndarray, frames: int) -> np.ndarray:
        """Return boxes (frames, 8) of face and person from the face ``before`` (excluded) to ``box`` (included)."""
        face = np.full((frames + 1, 4), np.nan, np.float32)
        face[0], face[-1] = _UNKNOWN[:4] if before is None else before, box
        return faces_and_people(face, self.info.width, self.info.height, max_gap=self._gap)[1:]

    def _rows(self, frames: Sequence[_Frame], boxes: np.ndarray) -> Iterator[Row]:
        """Yield the pictures of frames, with boxes (n, 8) of the face and, by body proportions, of the person."""
        size = self.info.width, self.info.height
        for frame, box in zip(frames, boxes, strict=True):
            person = box[4:]
            if self.finder.people is not None and self.posed is not None:
                person = self.finder.people.box(frame.pictures[None], box[:4], person, self.posed)
            yield [
                want.cut(FrameView(want.shown(frame.pictures), frame.crop, person, size, box[:4]))
                for want in self.wanted
            ]

    # --- after the first reading ---

    def tracks(self) -> list[Track]:
        """Return the tracks of all faces."""
        return self.tracker.tracks()

    def guessed_faces(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (n, 4) and scores (n,) of the guessed person's face in the frames [start, stop) read so far."""
        found = self._boxes[5 * start : 5 * min(stop, len(self.guess))]  # a copy: another thread extends the array
        rows = np.array(found, np.float32).reshape(-1, 5)
        return rows[:, :4], rows[:, 4]

    def is_guess(self, track: Track) -> bool:
        """Return whether the person guessed in every frame is this one."""
        truth = np.full(self.info.n_frames, -1, np.int64)
        truth[track.frames] = track.faces
        return np.array_equal(truth, np.frombuffer(self.guess, np.int64))

    def was_guessed(self, track: Track) -> bool:
        """Return whether the rows yielded by ``guessed`` show this person."""
        return not self.unsure and (not self.needs_person or self.is_guess(track))

    def of(self, track: Track) -> Iterator[Row]:
        """Yield the pictures of a known person, one row a frame; decodes the video once more."""
        face, _ = faces_of(track, self.info.n_frames)
        boxes = faces_and_people(face, self.info.width, self.info.height, max_gap=self._gap)
        faces = dict(zip(track.frames.tolist(), track.faces.tolist(), strict=True))
        kinds: list[Size | None] = list(dict.fromkeys(want.kind for want in self.wanted if want.uses_video))
        if self.needs_crops or self.posed is not None or None in kinds:
            kinds = [None, *(kind for kind in kinds if kind is not None)]
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
