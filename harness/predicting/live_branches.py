"""Input branches of a video that is read once: features and raw input of its frames, as far as it has been read.

Each looks to a clip (harness.batching.clips) like what lies in the cache or the data folder: masks, and rows of any
frames, but for those that lie far behind, which are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from harness.data.decoding.jpeg import decode_into
from harness.data.index.index import Index
from harness.data.packed.metadata import QUALITY
from harness.data.packed.writer import encode_jpeg
from harness.data.streams.raw_inputs import RawSlot, pcm_of
from harness.data.streams.sources import open_reader
from harness.features.cache.entry import as_stored
from harness.features.chunking import PictureChunks, Pictures, other_inputs, pad_batch
from harness.features.encoder_probe import FRAMES, choose_precision_of, measure_chunk, measure_pictures
from harness.features.frozen_encoder import FrozenSlot, Inputs
from zoo.api import FrameInput
from zoo.errors import UserError
from zoo.modules import Encoder
from zoo.readers import Source
from zoo.registry.plan import SlotPlan

Advance = Callable[[int], None]
"""Read the video on until all branches know so many frames, or its end."""


class FeatureRows:
    """Features of a video's frames as they are computed, in the order of its frames.

    ``keep``: frames before a clip that stay in memory. ``known``: frames, from the first, of which all is there.
    """

    def __init__(self, slot: FrozenSlot, video: str, present: np.ndarray, keep: int) -> None:
        self.slot, self.video, self.present, self.keep = slot, video, present, keep
        self.before = np.zeros(len(present) + 1, np.int32)  # frames that are present before each
        self.seen = 0  # frames of which it is known whether they are present
        self.computed = 0  # rows
        self._dropped = 0  # of these
        self._rows = np.zeros((0, slot.encoder.dim), slot.settings.store)

    def note(self, frames: int = 1) -> None:
        """Take the mask of the next frames as final."""
        part = slice(self.seen, self.seen + frames)
        self.before[self.seen + 1 : self.seen + frames + 1] = self.before[self.seen] + np.cumsum(self.present[part])
        self.seen += frames

    @property
    def known(self) -> int:
        """Frames whose features are there."""
        return int(np.searchsorted(self.before[1 : self.seen + 1], self.computed, side="right"))

    def compute(self, inputs: Inputs, mask: np.ndarray, keep: np.ndarray) -> None:
        """Encode a chunk; ``keep``: its rows that are features of the next present frames."""
        rows = self.slot(inputs, mask)[keep]
        finite = np.isfinite(rows).all(1)
        if not finite.all():
            row = self.computed + int(np.argmin(finite))
            frame = int(np.searchsorted(self.before, row, side="right"))
            raise UserError("features-not-finite", slot=self.slot.plan.name, video=self.video, frame=frame)
        self._rows = np.concatenate([self._rows, as_stored(rows, self.slot.settings.store)])
        self.computed += len(rows)

    def clip(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, D) as stored; zeros where absent."""
        drop = int(self.before[max(0, start - self.keep)]) - self._dropped
        if drop > 0:
            self._rows, self._dropped = self._rows[drop:].copy(), self._dropped + drop
        out = np.zeros((stop - start, self._rows.shape[1]), self._rows.dtype)
        first, last = (int(self.before[at]) - self._dropped for at in (start, stop))
        out[self.present[start:stop]] = self._rows[first:last]
        return out


class PictureFeatures:
    """A frozen encoder of pictures at work on a video."""

    def __init__(self, slot: FrozenSlot, video: str, n_frames: int, keep: int) -> None:
        self.chunks = PictureChunks(slot, n_frames)
        self.rows = FeatureRows(slot, video, self.chunks.present, keep)
        self._measured = False

    def add(self, image: np.ndarray | None) -> None:
        """Take the next frame's picture."""
        pieces = list(self.chunks.add(image))
        self.rows.note()
        self._compute(pieces)

    def finish(self) -> None:
        """Encode what is left."""
        self._compute(self.chunks.finish())

    def known(self, ended: bool) -> int:
        """Frames whose features are there."""
        return self.chunks.n_frames if ended else self.rows.known

    def _compute(self, pieces: Iterable[Pictures]) -> None:
        slot = self.rows.slot
        for piece in pieces:
            if isinstance(piece, list):
                self._measure(partial(measure_pictures, slot, piece[:FRAMES]))
                inputs, keep = pad_batch(piece, slot.chunk)
                self.rows.compute(inputs, np.ones(len(keep), bool), keep)
                continue
            inputs, inner = piece
            if self.chunks.spec.context:
                self._measure(partial(measure_chunk, slot, inputs, inner))
            else:
                self._measure(partial(measure_pictures, slot, list(inputs["frames"][:FRAMES])))
            self.rows.compute(inputs, inner, inner)

    def _measure(self, measured: Callable[[], Any]) -> None:
        if not self._measured and self.rows.slot.wants_bf16:
            choose_precision_of(self.rows.slot, measured, building=True)
        self._measured = True


class OtherFeatures:
    """A frozen encoder of sound or vectors, which do not wait for the video's pictures."""

    def __init__(self, slot: FrozenSlot, raw: RawSlot, video: str, n_frames: int, keep: int) -> None:
        self.raw, self.video, self.n_frames = raw, video, n_frames
        self.rows = FeatureRows(slot, video, np.asarray(raw.present(video), bool), keep)
        self.rows.note(n_frames)
        self.next = 0
        self._measured = False

    def upto(self, frame: int) -> None:
        """Encode up to a frame."""
        slot = self.rows.slot
        while self.next < frame:
            stop = min(self.next + slot.chunk, self.n_frames)
            seen = self.rows.present[self.next : stop]
            if seen.any():
                inputs = other_inputs(self.raw, self.video, self.next, stop)
                if not self._measured and slot.wants_bf16:
                    choose_precision_of(slot, partial(measure_chunk, slot, inputs, seen), building=True)
                self._measured = True
                self.rows.compute(inputs, seen, seen)
            self.next = stop


class RawPictures:
    """Pictures of a slot whose encoder was trained. ``packs``: as JPEG, as training had them out of the cache."""

    def __init__(
        self, plan: SlotPlan, encoder: Encoder, n_frames: int, keep: int, packs: bool, advance: Advance
    ) -> None:
        assert isinstance(encoder.input, FrameInput)
        self.slot, self.spec, self.keep, self.advance = plan, encoder.input, keep, advance
        self.mask = np.zeros(n_frames, bool)
        self.seen = 0
        self.packs = packs
        self._first = 0
        self._kept: dict[int, np.ndarray] = {}

    def add(self, image: np.ndarray | None) -> None:
        """Take the next frame's picture."""
        if image is not None and self.packs:
            image = np.frombuffer(encode_jpeg(image, QUALITY), np.uint8)
        self.mask[self.seen] = image is not None
        if image is not None:
            self._kept[self.seen] = image
        self.seen += 1

    def finish(self) -> None:
        """Nothing is left."""

    def known(self, ended: bool) -> int:
        """Frames whose picture, and the neighbours that are looked at beside it, are there."""
        return len(self.mask) if ended else max(0, self.seen - self.spec.context)

    def present(self, name: str) -> np.ndarray:
        """(n_frames,) bool."""
        return self.mask

    def fill(self, images: np.ndarray, name: str, start: int, spec: FrameInput) -> np.ndarray:
        """See harness.data.streams.raw_inputs.RawSlot."""
        first = start - spec.context
        last = min(first + len(images), len(self.mask))
        self.advance(last - spec.context)
        seen = np.zeros(len(images), bool)
        for frame in range(max(0, first), last):
            if self.mask[frame]:
                seen[frame - first] = self._put(self._kept[frame], images[frame - first])
        if not seen.all():
            images[~seen] = 0
        for frame in range(self._first, first - self.keep):
            self._kept.pop(frame, None)
        self._first = max(self._first, first - self.keep)
        return seen

    def _put(self, kept: np.ndarray, place: np.ndarray) -> bool:
        if self.packs:
            return decode_into(kept, place)
        place[...] = kept
        return True


class LiveRawSlot(RawSlot):
    """Sound and vectors of a video, in memory alone."""

    def __init__(self, source: Source, index: Index, slot: SlotPlan, encoder: Encoder) -> None:
        super().__init__(index, slot, encoder)
        self.source = source

    def _reader(self, name: str) -> Any:
        return open_reader(self.slot.stream, self.source)

    def _sound_once(self, name: str, rate: int) -> tuple[np.ndarray, float]:
        return pcm_of(self.reader(name), rate)
