"""Input branches of a video that is read once: features and raw input of the frames read so far.

To a clip (harness.batching.clips) each branch looks like the cache or the data folder: masks, and rows of any frames,
except frames far behind the current one, which are dropped.
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
"""Read on until all branches have the given number of frames, or to the end of the video."""


class FeatureRows:
    """Features of a video's frames, added in frame order.

    Args:
        slot: The frozen encoder.
        video: Name of the video.
        present: (n_frames,) bool, the mask of the branch.
        keep: Frames before a clip that stay in memory.
    """

    def __init__(self, slot: FrozenSlot, video: str, present: np.ndarray, keep: int) -> None:
        self.slot, self.video, self.present, self.keep = slot, video, present, keep
        self.before = np.zeros(len(present) + 1, np.int32)  # number of present frames before each frame
        self.seen = 0  # frames whose mask is final
        self.computed = 0  # rows computed so far
        self._dropped = 0  # rows that are no longer in memory
        self._rows = np.zeros((0, slot.encoder.dim), slot.settings.store)

    def note(self, frames: int = 1) -> None:
        """Mark the mask of the next frames as final."""
        part = slice(self.seen, self.seen + frames)
        self.before[self.seen + 1 : self.seen + frames + 1] = self.before[self.seen] + np.cumsum(self.present[part])
        self.seen += frames

    @property
    def known(self) -> int:
        """Number of leading frames whose features are complete."""
        return int(np.searchsorted(self.before[1 : self.seen + 1], self.computed, side="right"))

    def compute(self, inputs: Inputs, mask: np.ndarray, keep: np.ndarray) -> None:
        """Encode a chunk; ``keep`` selects the rows that belong to the next present frames.

        Raises:
            UserError: A feature is not finite.
        """
        rows = self.slot(inputs, mask)[keep]
        finite = np.isfinite(rows).all(1)
        if not finite.all():
            row = self.computed + int(np.argmin(finite))
            frame = int(np.searchsorted(self.before, row, side="right"))
            raise UserError("features-not-finite", slot=self.slot.plan.name, video=self.video, frame=frame)
        self._rows = np.concatenate([self._rows, as_stored(rows, self.slot.settings.store)])
        self.computed += len(rows)

    def clip(self, start: int, stop: int) -> np.ndarray:
        """Return features (stop - start, D) in the stored dtype; zeros for absent frames."""
        drop = int(self.before[max(0, start - self.keep)]) - self._dropped
        if drop > 0:
            self._rows, self._dropped = self._rows[drop:].copy(), self._dropped + drop
        out = np.zeros((stop - start, self._rows.shape[1]), self._rows.dtype)
        first, last = (int(self.before[at]) - self._dropped for at in (start, stop))
        out[self.present[start:stop]] = self._rows[first:last]
        return out


class PictureFeatures:
    """Features of a frozen picture encoder, computed as the video is read."""

    def __init__(self, slot: FrozenSlot, video: str, n_frames: int, keep: int) -> None:
        self.chunks = PictureChunks(slot, n_frames)
        self.rows = FeatureRows(slot, video, self.chunks.present, keep)
        self._measured = False

    def add(self, image: np.ndarray | None) -> None:
        """Add the next frame's picture; None if it has none."""
        pieces = list(self.chunks.add(image))
        self.rows.note()
        self._compute(pieces)

    def finish(self) -> None:
        """Encode the remaining pictures."""
        self._compute(self.chunks.finish())

    def known(self, ended: bool) -> int:
        """Return the number of leading frames whose features are complete."""
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
    """Features of a frozen encoder of sound or vectors, which are read independently of the pictures."""

    def __init__(self, slot: FrozenSlot, raw: RawSlot, video: str, n_frames: int, keep: int) -> None:
        self.raw, self.video, self.n_frames = raw, video, n_frames
        self.rows = FeatureRows(slot, video, np.asarray(raw.present(video), bool), keep)
        self.rows.note(n_frames)
        self.next = 0
        self._measured = False

    def upto(self, frame: int) -> None:
        """Encode up to a frame (excluded)."""
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
    """Pictures of a slot whose encoder is trained with the network.

    ``packs``: keep pictures as JPEG, as training reads them from the cache.
    """

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
        """Add the next frame's picture; None if it has none."""
        if image is not None and self.packs:
            image = np.frombuffer(encode_jpeg(image, QUALITY), np.uint8)
        self.mask[self.seen] = image is not None
        if image is not None:
            self._kept[self.seen] = image
        self.seen += 1

    def finish(self) -> None:
        """Do nothing: no picture is pending."""

    def known(self, ended: bool) -> int:
        """Return the number of leading frames whose picture and neighbours (the encoder's context) are available."""
        return len(self.mask) if ended else max(0, self.seen - self.spec.context)

    def present(self, name: str) -> np.ndarray:
        """Return the mask (n_frames,) bool."""
        return self.mask

    def fill(self, images: np.ndarray, name: str, start: int, spec: FrameInput) -> np.ndarray:
        """Fill in pictures; see harness.data.streams.raw_inputs.RawSlot."""
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
    """Sound and vectors of a video, read from the file and kept in memory only."""

    def __init__(self, source: Source, index: Index, slot: SlotPlan, encoder: Encoder) -> None:
        super().__init__(index, slot, encoder)
        self.source = source

    def _reader(self, name: str) -> Any:
        return open_reader(self.slot.stream, self.source)

    def _sound_once(self, name: str, rate: int) -> tuple[np.ndarray, float]:
        return pcm_of(self.reader(name), rate)
