"""Raw input for encoders that are trained: pictures and sound samples of any clip, in any order.

If the data folder is packed (`harness data pack`), the pack is read. Otherwise pictures cut out of raw video are packed
in the cache, once per video and slot, because decoding cannot start at an arbitrary frame. Face crops are separate
files already. Sound is decoded once to 16-bit samples.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from harness.data.decoding.audio import to_int16
from harness.data.decoding.frames import pictures
from harness.data.index.index import Index
from harness.data.packed.metadata import QUALITY, VERSION, Label
from harness.data.packed.reader import DamagedPackError, Pictures, open_pictures
from harness.data.packed.writer import PICTURES, Writer, encode_jpeg
from harness.data.streams.sound_window import sound_window
from harness.data.streams.sources import open_reader, source_of
from harness.data.streams.spoken_words import texts_at
from harness.io.atomic import atomic
from harness.io.digests import opened, sealed
from harness.io.hashing import digest
from harness.io.locks import file_lock, lock_of
from harness.runtime.machine import cores
from zoo.api import AudioInput, FrameInput, TextInput, VectorInput
from zoo.errors import UserError
from zoo.files import file_sha256, reason_of
from zoo.modules import Encoder
from zoo.registry.plan import SlotPlan
from zoo.weights.cards import cache_dir


class RawSlot:
    """Raw input of one slot for clips of an index's videos. The type of the encoder's input decides what is read."""

    def __init__(self, index: Index, slot: SlotPlan, encoder: Encoder) -> None:
        self.index = index
        self.slot = slot
        self.spec = encoder.input
        self.videos = {video.name: video for video in index.videos}
        self._once = RLock()  # clips are read by several threads; only one may write into the cache
        self.reader = lru_cache(maxsize=1024)(self._reader)
        self.packed = lru_cache(maxsize=1024)(self._packed)
        self.sound = lru_cache(maxsize=1024)(self._sound)
        self.present = lru_cache(maxsize=None)(self._present)
        self.vectors = lru_cache(maxsize=1024)(lambda name: self.reader(name).vectors())
        self.tokens = lru_cache(maxsize=1024)(self._tokens)

    def _reader(self, name: str) -> Any:
        return open_reader(self.slot.stream, source_of(self.index, self.videos[name]))

    def _present(self, name: str) -> np.ndarray:
        """Return (n_frames,) bool: frames that have input."""
        reader = self.reader(name)
        present: np.ndarray = reader.present()
        if isinstance(self.spec, FrameInput) and reader.uses_video and present.any():
            present = present & self.packed(name).present(len(present))
        return present

    def prepare(self, name: str) -> None:
        """Do the work that is needed once per video: decode and pack it."""
        self.present(name)
        if isinstance(self.spec, AudioInput):
            self.sound(name)

    def clip(self, name: str, start: int, stop: int) -> dict[str, np.ndarray]:
        """Return the encoder's input for the frames [start, stop)."""
        if isinstance(self.spec, FrameInput):
            return self._frames(name, start, stop, self.spec)
        if isinstance(self.spec, AudioInput):
            return self._samples(name, start, stop, self.spec)
        if isinstance(self.spec, TextInput):
            tokens, of_frame = self.tokens(name)
            return {"tokens": tokens[of_frame[start:stop]]}
        assert isinstance(self.spec, VectorInput)
        return {"vectors": self.vectors(name)[start:stop].astype(np.float32)}

    def _tokens(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens (N, L) of a video's N different texts, and the text of each frame (n_frames,)."""
        assert isinstance(self.spec, TextInput)
        texts, of_frame = texts_at(self.reader(name).words(), self._times(name), self.spec.window, self.spec.ahead)
        return self.spec.tokenise(texts), of_frame

    def _frames(self, name: str, start: int, stop: int, spec: FrameInput) -> dict[str, np.ndarray]:
        frames = np.empty((stop - start + 2 * spec.context, spec.size, spec.size, 3), np.uint8)
        return {"frames": frames, "present": self.fill(frames, name, start, spec)}

    def fill(self, images: np.ndarray, name: str, start: int, spec: FrameInput) -> np.ndarray:
        """Write the pictures from frame ``start`` - context on into ``images`` (T, H, W, 3).

        Frames without a picture are black. Return (T,) bool: frames that have a picture.
        """
        while True:
            try:
                return self._fill(images, name, start, spec)
            except DamagedPackError:  # the damaged file is set aside; the next attempt reads its source
                for kept in (self.reader, self.packed, self.present):
                    kept.cache_clear()

    def _fill(self, images: np.ndarray, name: str, start: int, spec: FrameInput) -> np.ndarray:
        first = start - spec.context
        last = first + len(images)
        seen = np.zeros(len(images), bool)
        present = self.present(name)
        inside = np.arange(max(0, first), min(len(present), last))
        wanted = inside[present[inside]]
        seen[wanted - first] = True
        reader = self.reader(name)
        packed = self.packed(name) if reader.uses_video else reader if getattr(reader, "packed", None) else None
        if packed is None:
            for i in wanted.tolist():
                images[i - first] = reader.image(i, None, spec.size)
        else:
            packed.fill(wanted, [images[k] for k in (wanted - first).tolist()])
        if not seen.all():
            images[~seen] = 0
        return seen

    def _packed(self, name: str) -> Pictures:
        """Return the slot's pictures of a raw video that the data folder's pack lacks, from the cache."""
        assert isinstance(self.spec, FrameInput)
        with self._once:
            return self._packed_once(name, self.spec)

    def _packed_once(self, name: str, spec: FrameInput) -> Pictures:
        reader = self.reader(name)
        key = digest("pack", VERSION, reader.fingerprint(), spec.size, QUALITY)
        pack, folder = cache_dir() / "packs", key[:2]
        found = open_pictures(pack, folder, key, key)
        if found is None:
            with file_lock(lock_of(pack / key)):
                found = open_pictures(pack, folder, key, key)
                found = found or Pictures(pack, self._pack(name, spec, reader, pack, folder, key))
        return found

    def _pack(self, name: str, spec: FrameInput, reader: Any, pack: Path, folder: str, key: str) -> Label:
        try:
            with Writer(pack, folder, key, PICTURES) as writer:
                video = self.videos[name]
                for (image,) in pictures([(reader, spec.size)], video.video, video.n_frames):
                    writer.add(None if image is None else encode_jpeg(image, QUALITY))
                return writer.finish(key, {})
        except OSError as error:
            raise UserError("pack-cache-failed", pack=pack, name=name, error=reason_of(error)) from error

    def _samples(self, name: str, start: int, stop: int, spec: AudioInput) -> dict[str, np.ndarray]:
        samples, begin = self.sound(name)
        times = self._times(name)[start:stop] - begin
        first, last = sound_window(times, spec)
        first = min(first, len(samples))
        part = samples[first:last].astype(np.float32) / 32767
        return {"samples": part, "times": (times - first / spec.rate).astype(np.float32)}

    def _times(self, name: str) -> np.ndarray:
        times: np.ndarray = self.reader(name).source.times()
        return times

    def _sound(self, name: str) -> tuple[np.ndarray, float]:
        """Return the int16 samples of the whole video and the time of the first (s), from the pack or the cache."""
        assert isinstance(self.spec, AudioInput)
        with self._once:
            return self._sound_once(name, self.spec.rate)

    def _sound_once(self, name: str, rate: int) -> tuple[np.ndarray, float]:
        reader = self.reader(name)
        if (packed := getattr(reader, "packed", None)) is not None and packed.rate == rate:
            return packed.samples, packed.start
        path = _cached("sound", digest("sound", 1, reader.fingerprint(), rate), ".npy")
        begin = _start_of(path)
        if begin is None:
            with file_lock(lock_of(path)):
                begin = _start_of(path)  # another process may have written it meanwhile
                if begin is None:
                    samples, begin = pcm_of(reader, rate)
                    _keep_sound(path, samples, begin)
        return np.load(path, mmap_mode="r"), begin


def collate(clips: list[dict[str, np.ndarray]], length: int, context: int = 0) -> dict[str, np.ndarray]:
    """Collate inputs of clips: frames padded to ``length`` (+ 2 context), samples to the longest; tokens with -1."""
    out = {}
    for name in clips[0]:
        width = max(1, *(len(c[name]) for c in clips)) if name == "samples" else length
        width += 2 * context if name in ("frames", "present") else 0
        arrays = [c[name] for c in clips]
        batch = np.empty((len(clips), width, *arrays[0].shape[1:]), arrays[0].dtype)
        for row, array in zip(batch, arrays, strict=True):
            row[: len(array)], row[len(array) :] = array, -1 if name == "tokens" else 0
        out[name] = batch
        if name == "samples":
            out["samples_valid"] = np.arange(width) < np.array([[len(a)] for a in arrays])
    return out


def _keep_sound(path: Path, samples: np.ndarray, begin: float) -> None:
    """Write decoded samples, then their description. Samples without a description are not used."""
    atomic(path, lambda part: _save_array(part, samples))
    said = sealed({"start": begin, "samples": file_sha256(path)})
    atomic(path.with_suffix(".json"), lambda part: part.write_text(json.dumps(said)))


def _start_of(path: Path) -> float | None:
    """Return the time (s) of the first cached sample, or None if the sound must be decoded again.

    That is the case if the samples are absent or damaged, or were written by version 0.1, which stored no digests.
    """
    try:
        said = opened(json.loads(path.with_suffix(".json").read_bytes()))
        return float(said["start"]) if said.get("samples") == file_sha256(path) else None
    except (OSError, ValueError):
        return None


def _save_array(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:  # np.save would add .npy to the name
        np.save(file, array)


def _cached(kind: str, key: str, suffix: str) -> Path:
    path = cache_dir() / kind / key[:2] / (key + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def pcm_of(reader: Any, rate: int) -> tuple[np.ndarray, float]:
    """Return the int16 samples (S,) of any sound reader and the time (s) of the first."""
    if callable(pcm := getattr(reader, "pcm", None)):
        found: tuple[np.ndarray, float] = pcm(rate)
        return found
    sound = reader.sound(rate)
    return (np.zeros(0, np.int16), 0.0) if sound is None else (to_int16(sound.samples), sound.start)


@cache
def threads() -> ThreadPoolExecutor:
    """Return the thread pool that reads the clips of a batch, one thread per core.

    Threads are enough, because decoding pictures releases the interpreter's lock.
    """
    return ThreadPoolExecutor(cores(), thread_name_prefix="clips")
