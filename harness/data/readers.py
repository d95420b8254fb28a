"""Readers of the built-in streams: what each cuts out of a video. See zoo.reading for what the harness asks of them."""

from __future__ import annotations

import cv2
import numpy as np

from harness.data.audio import read_sound
from harness.data.content import crops_digest, digest, file_digest
from harness.data.frames import read_jpeg
from zoo.reading import Sound, Source


class FaceReader:
    """Face crops ``00001.jpg``...; present where the file is."""

    uses_video = False

    def __init__(self, source: Source) -> None:
        self.source = source
        self._present = np.zeros(source.n_frames, dtype=bool)
        if source.crops is not None:
            for path in source.crops.iterdir():
                if path.suffix == ".jpg" and path.stem.isdigit() and 0 < int(path.stem) <= source.n_frames:
                    self._present[int(path.stem) - 1] = True

    def present(self) -> np.ndarray:
        """Where a crop was found."""
        return self._present

    def fingerprint(self) -> str:
        """The crops' content."""
        content = crops_digest(self.source.crops) if self.source.crops else "none"
        return digest("face", 1, content, self.source.n_frames)

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """The crop of a frame, resized."""
        if not self._present[index] or self.source.crops is None:
            return None
        return resize(read_jpeg(self.source.crops / f"{index + 1:05d}.jpg"), size, size)


class _BoxReader:
    """What body and context share: the raw video and the person's box, present where both are."""

    uses_video = True
    name = ""

    def __init__(self, source: Source) -> None:
        self.source = source
        n = source.n_frames
        self.box = np.full((n, 4), np.nan)
        if source.video is not None and source.boxes is not None:
            boxes = source.boxes()[:n]
            self.box[: len(boxes)] = boxes

    def present(self) -> np.ndarray:
        """Where the person's box is known; frames that do not decode drop out when read."""
        known: np.ndarray = np.isfinite(self.box).all(1)
        return known

    def fingerprint(self) -> str:
        """The video's content and the boxes."""
        content = file_digest(self.source.video) if self.source.video else "none"
        return digest(self.name, 1, content, self.source.n_frames, self.box.astype(np.float32).tobytes().hex())

    def _corners(self, index: int, frame: np.ndarray) -> tuple[int, int, int, int] | None:
        """Whole pixels inside the frame, or None."""
        height, width = frame.shape[:2]
        if not np.isfinite(self.box[index]).all():
            return None
        x0, y0 = np.floor(self.box[index, :2]).astype(int)
        x1, y1 = np.ceil(self.box[index, 2:]).astype(int)
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


class BodyReader(_BoxReader):
    """The person's box cut out, its shape kept, padded with black to a square."""

    name = "body"

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """The person at a frame."""
        corners = self._corners(index, frame) if frame is not None else None
        if corners is None or frame is None:
            return None
        x0, y0, x1, y1 = corners
        scale = size / max(x1 - x0, y1 - y0)
        width, height = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        out = np.zeros((size, size, 3), dtype=np.uint8)
        left, top = (size - width) // 2, (size - height) // 2
        out[top : top + height, left : left + width] = resize(frame[y0:y1, x0:x1], width, height)
        return out


class ContextReader(_BoxReader):
    """The whole frame with the person's box blacked out, squeezed to a square (NTUA-CVSP's context stream)."""

    name = "context"

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """The scene at a frame."""
        corners = self._corners(index, frame) if frame is not None else None
        if corners is None or frame is None:
            return None
        x0, y0, x1, y1 = corners
        small = resize(frame, size, size)
        height, width = frame.shape[:2]
        # Blacked out after the resize, one pixel more on each side: no pixel of the person is blended into the scene.
        left, right = int(np.floor(x0 * size / width)) - 1, int(np.ceil(x1 * size / width)) + 1
        top, bottom = int(np.floor(y0 * size / height)) - 1, int(np.ceil(y1 * size / height)) + 1
        small[max(0, top) : bottom, max(0, left) : right] = 0
        return small


class AudioReader:
    """The sound track; present at the frames it covers (half a frame's grace on each side)."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._sound: dict[int, Sound | None] = {}

    def sound(self, rate: int) -> Sound | None:
        """The whole sound track."""
        if rate not in self._sound:
            self._sound[rate] = read_sound(self.source.video, rate) if self.source.video else None
        return self._sound[rate]

    def present(self) -> np.ndarray:
        """Frames between the sound's first and last sample."""
        sound = self.sound(16_000)
        if sound is None or not len(sound.samples):
            return np.zeros(self.source.n_frames, dtype=bool)
        times = self.source.times()
        grace = 0.5 * float(np.median(np.diff(times))) if len(times) > 1 else 0.02
        covered: np.ndarray = (times >= sound.start - grace) & (
            times <= sound.start + len(sound.samples) / sound.rate + grace
        )
        return covered

    def fingerprint(self) -> str:
        """The video file's content: sound and time stamps both come from it."""
        content = file_digest(self.source.video) if self.source.video else "none"
        return digest("audio", 1, content, self.source.n_frames)


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 (H, W, 3) -> (height, width, 3): area average when shrinking, bilinear when growing."""
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrink = width < image.shape[1] or height < image.shape[0]
    out: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return out
