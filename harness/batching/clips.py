"""Clips and windows as batches of features, raw input, labels and masks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from harness.batching.windows import Window, runs, shift_back
from harness.data.index.index import Index, Split, Video
from harness.data.streams.raw_inputs import RawSlot, collate, threads
from harness.data.streams.sources import frame_times
from harness.features.store import Features
from harness.features.views import FixedView, ViewChoice
from zoo.api import AudioInput, FrameInput
from zoo.errors import UserError
from zoo.model.model import Batch


@dataclass(frozen=True)
class Cut:
    """Frames of one video, ``step`` apart except at gaps; ``repetition`` is that of their window."""

    video: str
    frames: np.ndarray
    step: int
    repetition: int = 0

    def runs(self) -> list[tuple[int, int]]:
        """Return the ranges [start, stop) of the video that have the frames, ``step`` apart from their start on."""
        return runs(self.frames, self.step)


class ClipData:
    """The videos of one split, ready to be cut into batches.

    Two options are for training only. ``delay`` moves the labels earlier by that many seconds. ``close_gaps`` leaves
    out frames without a label, so that a clip continues on the far side of a gap; ``order`` lists the remaining frames
    of each video. Clips have every ``stride``-th of these frames, or with ``fps`` about so many per second of video
    (``strides``, by video).
    ``views``: chooses a clip's augmented view of the features of frozen slots, in training too.
    """

    def __init__(
        self,
        index: Index,
        videos: Sequence[Video],
        slots: Sequence[str],
        store: Features,
        raw: Mapping[str, RawSlot],
        *,
        delay: float = 0.0,
        close_gaps: bool = False,
        stride: int = 1,
        fps: float = 0.0,
        views: ViewChoice | FixedView | None = None,
    ) -> None:
        self.index = index
        self.videos = list(videos)
        self.slots = tuple(slots)
        self.store = store
        self.raw = raw
        self.views = views
        self.labels = [video.labels for video in self.videos]
        if delay:
            self.labels = [shift_back(video.labels, self.times(v), delay) for v, video in enumerate(self.videos)]
        self.present = [{slot: self._present(slot, video) for slot in self.slots} for video in self.videos]
        self.seen = [np.logical_or.reduce(list(masks.values())) for masks in self.present]
        self.strides = [stride_of(self.times(v), fps) if fps else stride for v in range(len(self.videos))]
        learnt = self._learnt()
        self.order = [np.flatnonzero(rows) if close_gaps else np.arange(len(rows)) for rows in learnt]
        self.useful = self._useful(learnt)
        self.soft: list[np.ndarray] | None = None

    def delayed(self, delay: float) -> ClipData:
        """Return a copy whose labels are moved earlier by ``delay`` seconds."""
        moved = copy.copy(self)
        moved.labels = [shift_back(labels, self.times(v), delay) for v, labels in enumerate(self.labels)]
        moved.useful = moved._useful(moved._learnt())
        return moved

    def _learnt(self) -> list[np.ndarray]:
        """Return for each video which frames have a usable label."""
        return [np.asarray(self.trainable(v).any(1), bool) for v in range(len(self.videos))]

    def _useful(self, learnt: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return sums of frames with a usable label: a difference says whether a window has any (window_sums)."""
        kept = zip(learnt, self.order, self.strides, strict=True)
        return [sums_before(rows[order], step) for rows, order, step in kept]

    def teach(self, soft: Mapping[str, np.ndarray], delay: float, *, unlabelled: bool) -> None:
        """Give the clips a teacher's predictions, for training.

        Args:
            soft: Video -> (n, K) float32, NaN at frames without a prediction.
            delay: Seconds by which they are moved earlier, as the labels are.
            unlabelled: They count at frames without a label too, and so do clips without any.
        """
        self.soft = [soft[video.name].copy() for video in self.of("train").videos]
        if delay:
            self.soft = [shift_back(rows, self.times(v), delay) for v, rows in enumerate(self.soft)]
        for v, order in enumerate(self.order):
            learnt = self.trainable(v).any(1)
            if not unlabelled:
                self.soft[v][~learnt] = np.nan
            learnt = learnt | self._taught(v)
            self.useful[v] = sums_before(learnt[order], self.strides[v])

    def _taught(self, v: int, frames: Any = slice(None)) -> np.ndarray:
        """Return (n,) bool: frames of a video at which the teacher predicts and some slot is present."""
        assert self.soft is not None
        taught: np.ndarray = np.isfinite(self.soft[v][frames]).all(-1) & self.seen[v][frames]
        return taught

    def of(self, split: Split) -> ClipData:
        """Return self; raise ValueError if a video belongs to another split.

        Everything that is fitted calls this, so that the code names the split that it reads.
        """
        if others := [video.name for video in self.videos if video.split != split]:
            raise ValueError(f"what is fitted on {split} was given {len(others)} videos of other splits: {others[0]}")
        return self

    def _present(self, slot: str, video: Video) -> np.ndarray:
        mask = self.raw[slot].present(video.name) if slot in self.raw else self.store.present(slot, video.name)
        return np.asarray(mask, bool)

    def withhold(self, slots: Sequence[str]) -> None:
        """Treat some slots as absent everywhere, to see what a model predicts without them."""
        for masks in self.present:
            masks.update({slot: np.zeros_like(masks[slot]) for slot in slots})
        self.seen = [np.logical_or.reduce(list(masks.values())) for masks in self.present]

    def begin_epoch(self, epoch: int) -> None:
        """Draw the augmented views of the clips anew, if there are any."""
        if isinstance(self.views, ViewChoice):
            self.views.epoch = epoch

    def _stored(self, slot: str, cut: Cut) -> str:
        """Return the name of a clip's features in the store: those of the slot, or of one of its augmented views."""
        if self.views is None:
            return slot
        return self.views(slot, cut.video, int(cut.frames[0]), len(cut.frames), cut.repetition)

    def times(self, i: int) -> np.ndarray:
        """Return the times (n,) of the frames of video ``i``, in seconds."""
        return frame_times(self.index, self.videos[i])

    def trainable(self, i: int, frames: Any = slice(None)) -> np.ndarray:
        """Return the (n, A) bool mask of usable labels of video ``i``, or of some of its frames.

        A label is usable if it is known and at least one slot is present at its frame.
        """
        mask: np.ndarray = np.isfinite(self.labels[i][frames]) & self.seen[i][frames][:, None]
        return mask

    def batch(self, windows: Sequence[Window], length: int, rows: slice | None = None) -> Batch:
        """Return a batch of clips, each padded at the end to ``length`` frames.

        ``rows``: load features and raw inputs of these clips only (zoo.parallel); labels and masks are always those of
        all clips.
        """
        features, inputs = {}, {}
        rows = rows or slice(None)
        cuts = [Cut(self.videos[w.video].name, self._frames(w), self.strides[w.video], w.repetition) for w in windows]
        for slot in self.slots:
            if slot in self.raw:
                arrays = self._raw(self.raw[slot], cuts, length, rows)
                inputs[slot] = {name: torch.from_numpy(array) for name, array in arrays.items()}
            else:
                clips = [
                    np.concatenate(
                        [self.store.clip(self._stored(slot, cut), cut.video, *run)[:: cut.step] for run in cut.runs()]
                    )
                    for cut in cuts[rows]
                ]
                features[slot] = torch.from_numpy(_padded(clips, length))
        at = [(w.video, cut.frames) for w, cut in zip(windows, cuts, strict=True)]
        present = {
            s: torch.from_numpy(_padded([self.present[v][s][frames] for v, frames in at], length)) for s in self.slots
        }
        valid = torch.from_numpy(np.arange(length) < np.array([[len(frames)] for _, frames in at]))
        target = _padded([self.labels[v][frames] for v, frames in at], length)
        labelled = _padded([self.trainable(v, frames) for v, frames in at], length)
        target = np.where(labelled, target, 0).astype(np.float32)
        where = [(cut.video, int(cut.frames[0]), cut.repetition) for cut in cuts]
        made = Batch(features, inputs, present, valid, torch.from_numpy(target), torch.from_numpy(labelled), where)
        if self.soft is not None:
            taught = _padded([self._taught(v, frames) for v, frames in at], length)
            soft = np.nan_to_num(_padded([self.soft[v][frames] for v, frames in at], length))
            made.soft, made.taught = torch.from_numpy(soft), torch.from_numpy(taught)
        return made

    def _frames(self, window: Window) -> np.ndarray:
        """Return the frame numbers of a clip."""
        frames: np.ndarray = self.order[window.video][window.start : window.stop : self.strides[window.video]]
        return frames

    @staticmethod
    def _raw(raw: RawSlot, cuts: Sequence[Cut], length: int, rows: slice) -> dict[str, np.ndarray]:
        if isinstance(raw.spec, FrameInput):
            return _pictures(raw, raw.spec, cuts[rows], length)
        # Sound is padded to the longest of all clips, so all of them are read: the padding must not depend on ``rows``.
        wanted = cuts if isinstance(raw.spec, AudioInput) else cuts[rows]
        clips = list(threads().map(partial(_cut, raw), wanted))
        arrays = collate(clips, length)
        return {name: array[rows] for name, array in arrays.items()} if wanted is cuts else arrays


def stride_of(times: np.ndarray, fps: float) -> int:
    """Return the stride that leaves about ``fps`` frames per second of a video with frames at ``times`` (n,)."""
    return max(1, round(1 / (fps * float(np.median(np.diff(times)))))) if len(times) > 1 else 1


def sums_before(values: np.ndarray, step: int) -> np.ndarray:
    """Return sums of values (n,), at least n + step of them: entry i is the sum of those at i - step, i - 2 step, ...

    The sum over a window at this step is the difference of two entries (``window_sums``).
    """
    rows = -(-len(values) // step)
    padded = np.zeros((rows + 1, step), np.int64 if values.dtype == bool else values.dtype)
    padded[1:].flat[: len(values)] = values
    sums: np.ndarray = padded.cumsum(0).ravel()
    return sums


def window_sums(before: np.ndarray, start: np.ndarray, stop: np.ndarray, step: int) -> np.ndarray:
    """Return the sums over windows [start, stop) of every ``step``-th value, from what ``sums_before`` returned."""
    found: np.ndarray = before[start + -(-(stop - start) // step) * step] - before[start]
    return found


def refuse_context(spec: object) -> None:
    """Raise UserError if the encoder looks at neighbouring frames, which a clip with gaps does not have."""
    if isinstance(spec, FrameInput) and spec.context:
        raise UserError("gaps-with-context")


def collate_runs(parts: list[dict[str, np.ndarray]], spec: object) -> dict[str, np.ndarray]:
    """Join the raw inputs of runs of one video, in order.

    Sound keeps the margins of each run, so that no frame hears the sound of another run. Each run starts on the
    encoder's grid.
    """
    if len(parts) == 1:
        return parts[0]
    refuse_context(spec)
    if isinstance(spec, AudioInput):
        samples, times, length = [], [], 0
        for part in parts:
            tail = -len(part["samples"]) % spec.grid
            samples.append(np.pad(part["samples"], (0, tail)))
            times.append(part["times"] + np.float32(length / spec.rate))
            length += len(samples[-1])
        return {"samples": np.concatenate(samples), "times": np.concatenate(times)}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _pictures(raw: RawSlot, spec: FrameInput, cuts: Sequence[Cut], length: int) -> dict[str, np.ndarray]:
    """Return clips of pictures as one padded batch; one thread a clip decodes each picture straight into its place."""
    frames = np.empty((len(cuts), length + 2 * spec.context, spec.size, spec.size, 3), np.uint8)
    present = np.zeros(frames.shape[:2], bool)

    def fill(row: int) -> None:
        cut, place = cuts[row], 0
        parts = runs(cut.frames)
        if len(parts) > 1:
            refuse_context(spec)
        for start, stop in parts:
            end = place + stop - start + 2 * spec.context
            present[row, place:end] = raw.fill(frames[row, place:end], cut.video, start, spec)
            place = end
        frames[row, place:] = 0

    list(threads().map(fill, range(len(cuts))))
    return {"frames": frames, "present": present}


def _cut(raw: RawSlot, cut: Cut) -> dict[str, np.ndarray]:
    """Return the raw input of some frames of a video; the sound between the frames of a run is kept."""
    parts = [raw.clip(cut.video, start, stop) for start, stop in cut.runs()]
    for part in parts:
        part.update({name: part[name][:: cut.step] for name in ("times", "vectors") if name in part})
    return collate_runs(parts, raw.spec)


def _padded(arrays: Sequence[np.ndarray], length: int) -> np.ndarray:
    out = np.zeros((len(arrays), length, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out
