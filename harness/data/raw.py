"""Raw input of slots that are trained: pictures and samples of any clip, in any order.

Pictures cut out of raw video are packed once (JPEG in one memory-mapped Arrow file a video and slot), since a video
cannot be entered at any frame; face crops are files already. Sound is decoded once to 16-bit samples.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.atomic import atomic
from harness.data.affwild2 import Index, Video
from harness.data.content import digest
from harness.data.frames import read_frames
from harness.data.sources import open_reader, source_of
from zoo.api import AudioInput, FrameInput, VectorInput
from zoo.errors import UserError
from zoo.modules import Encoder
from zoo.passports import cache_dir
from zoo.plan import SlotPlan

JPEG_QUALITY = 95


def frames_of(reader: Any, video: Video, size: int) -> list[np.ndarray | None]:
    """Every picture of a slot in a video, in order, decoded in one pass."""
    if not reader.uses_video or video.video is None:
        return [reader.image(i, None, size) for i in range(video.n_frames)]
    images: list[np.ndarray | None] = [None] * video.n_frames
    for i, frame in zip(range(video.n_frames), read_frames(video.video), strict=False):
        images[i] = reader.image(i, frame, size)
    return images


class RawSlot:
    """Raw input of one slot for clips of the videos of an index. Which method is used follows the encoder's input."""

    def __init__(self, index: Index, slot: SlotPlan, encoder: Encoder) -> None:
        self.index = index
        self.slot = slot
        self.spec = encoder.input
        self.videos = {video.name: video for video in index.videos}
        self.reader = lru_cache(maxsize=256)(self._reader)
        self.packed = lru_cache(maxsize=1024)(self._packed)
        self.sound = lru_cache(maxsize=1024)(self._sound)
        self.present = lru_cache(maxsize=None)(self._present)
        self.vectors = lru_cache(maxsize=1024)(lambda name: self.reader(name).vectors())

    def _reader(self, name: str) -> Any:
        return open_reader(self.slot.stream, source_of(self.index, self.videos[name]))

    def _present(self, name: str) -> np.ndarray:
        """(n_frames,) bool."""
        reader = self.reader(name)
        present: np.ndarray = reader.present()
        if isinstance(self.spec, FrameInput) and reader.uses_video and present.any():
            present = present & (pc.binary_length(self.packed(name)).to_numpy() > 0)
        return present

    def prepare(self, name: str) -> None:
        """Do the work that is done once a video: decode, pack."""
        self.present(name)
        if isinstance(self.spec, AudioInput):
            self.sound(name)

    def clip(self, name: str, start: int, stop: int) -> dict[str, np.ndarray]:
        """What the encoder takes for the frames [start, stop)."""
        if isinstance(self.spec, FrameInput):
            return self._frames(name, start, stop, self.spec)
        if isinstance(self.spec, AudioInput):
            return self._samples(name, start, stop, self.spec)
        assert isinstance(self.spec, VectorInput)
        return {"vectors": self.vectors(name)[start:stop].astype(np.float32)}

    def _frames(self, name: str, start: int, stop: int, spec: FrameInput) -> dict[str, np.ndarray]:
        first, last = start - spec.context, stop + spec.context
        images = np.zeros((last - first, spec.size, spec.size, 3), np.uint8)
        seen = np.zeros(last - first, bool)
        present = self.present(name)
        for i in range(max(0, first), min(len(present), last)):
            if present[i]:
                images[i - first] = self._image(name, i, spec.size)
                seen[i - first] = True
        return {"frames": images, "present": seen}

    def _image(self, name: str, i: int, size: int) -> np.ndarray:
        reader = self.reader(name)
        if not reader.uses_video:
            image: np.ndarray = reader.image(i, None, size)
            return image
        data = np.frombuffer(self.packed(name)[i].as_buffer(), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)

    def _packed(self, name: str) -> pa.ChunkedArray:
        assert isinstance(self.spec, FrameInput)
        reader = self.reader(name)
        key = digest("pack", 1, reader.fingerprint(), self.spec.size, JPEG_QUALITY)
        path = _cached("packs", key, ".arrow")
        if not path.is_file():
            images = frames_of(reader, self.videos[name], self.spec.size)
            table = pa.table({"jpeg": pa.array([_jpeg(image) for image in images], pa.binary())})

            def write(part: Path) -> None:
                with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                    writer.write_table(table)

            atomic(path, write)
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()["jpeg"]

    def _samples(self, name: str, start: int, stop: int, spec: AudioInput) -> dict[str, np.ndarray]:
        samples, begin = self.sound(name)
        times = self._times(name)[start:stop] - begin
        first = int(np.floor((times[0] - spec.margin) * spec.rate / spec.grid)) * spec.grid
        last = int(np.ceil((times[-1] + spec.margin) * spec.rate))
        first = max(0, min(first, len(samples)))
        part = samples[first : max(first, last)].astype(np.float32) / 32767
        return {"samples": part, "times": (times - first / spec.rate).astype(np.float32)}

    def _times(self, name: str) -> np.ndarray:
        times: np.ndarray = self.reader(name).source.times()
        return times

    def _sound(self, name: str) -> tuple[np.ndarray, float]:
        """int16 samples of the whole video and the time of the first, from the cache."""
        assert isinstance(self.spec, AudioInput)
        reader = self.reader(name)
        path = _cached("sound", digest("sound", 1, reader.fingerprint(), self.spec.rate), ".npy")
        meta = path.with_suffix(".json")
        if not (path.is_file() and meta.is_file()):
            sound = reader.sound(self.spec.rate)
            samples = np.zeros(0, np.int16) if sound is None else np.round(np.clip(sound.samples, -1, 1) * 32767)
            start = json.dumps({"start": sound.start if sound else 0.0})
            atomic(path, lambda part: _save_array(part, samples.astype(np.int16)))
            atomic(meta, lambda part: part.write_text(start))
        return np.load(path, mmap_mode="r"), float(json.loads(meta.read_text())["start"])


def collate(clips: list[dict[str, np.ndarray]], length: int, context: int = 0) -> dict[str, np.ndarray]:
    """Clips' inputs in one batch: frames padded to ``length`` (+ 2 context), samples to the longest."""
    out = {}
    for name in clips[0]:
        width = max(1, *(len(c[name]) for c in clips)) if name == "samples" else length
        width += 2 * context if name in ("frames", "present") else 0
        arrays = [c[name] for c in clips]
        batch = np.zeros((len(clips), width, *arrays[0].shape[1:]), arrays[0].dtype)
        for row, array in zip(batch, arrays, strict=True):
            row[: len(array)] = array
        out[name] = batch
        if name == "samples":
            out["samples_valid"] = np.arange(width) < np.array([[len(a)] for a in arrays])
    return out


def _save_array(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:  # np.save would add .npy to the name
        np.save(file, array)


def _cached(kind: str, key: str, suffix: str) -> Path:
    path = cache_dir() / kind / key[:2] / (key + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _jpeg(image: np.ndarray | None) -> bytes:
    if image is None:
        return b""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise UserError("a frame could not be encoded as JPEG: the disk or memory may be full")
    return bytes(data)
