"""Clips and windows: which frames go together, and their batches of features, raw input, labels and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, overload

import numpy as np
import torch

from harness.data.index.index import Index, Video
from harness.data.streams.raw_inputs import RawSlot, collate, threads
from harness.data.streams.sources import frame_times
from harness.features.store import FeatureStore
from zoo.api import AudioInput, Counts, FrameInput, TrackSpec
from zoo.errors import UserError
from zoo.model.model import Batch

Item = TypeVar("Item")


@dataclass(frozen=True)
class Window:
    """Frames [start, stop) of the video at a place in a list; frames as counted by ``ClipData.order``."""

    video: int
    start: int
    stop: int


class ClipData:
    """The videos of one split, ready to be cut into batches.

    For training only: ``delay`` moves the labels that many seconds earlier; ``close_gaps`` leaves out frames without
    a label, so that clips run over them (``order``: the frames of each video that are left).
    """

    def __init__(
        self, index: Index, videos: Sequence[Video], slots: Sequence[str], store: FeatureStore,
        raw: dict[str, RawSlot], *, delay: float = 0.0, close_gaps: bool = False,
    ) -> None:  # fmt: skip
        self.index = index
        self.videos = list(videos)
        self.slots = tuple(slots)
        self.store = store
        self.raw = raw
        self.labels = [video.labels for video in self.videos]
        if delay:
            self.labels = [earlier(video.labels, self.times(v), delay) for v, video in enumerate(self.videos)]
        self.present = [{slot: self._present(slot, video) for slot in self.slots} for video in self.videos]
        self.seen = [np.logical_or.reduce(list(masks.values())) for masks in self.present]
        learnt = [np.asarray(self.trainable(v).any(1), bool) for v in range(len(self.videos))]
        self.order = [np.flatnonzero(rows) if close_gaps else np.arange(len(rows)) for rows in learnt]
        # How many frames before each have something to learn from: whether a window has any is one subtraction.
        self.useful = [np.concatenate([[0], np.cumsum(r[o])]) for r, o in zip(learnt, self.order, strict=True)]

    def _present(self, slot: str, video: Video) -> np.ndarray:
        mask = self.raw[slot].present(video.name) if slot in self.raw else self.store.present(slot, video.name)
        return np.asarray(mask, bool)

    def withhold(self, slots: Sequence[str]) -> None:
        """Treat some slots as absent everywhere: what a model answers without them."""
        for masks in self.present:
            masks.update({slot: np.zeros_like(masks[slot]) for slot in slots})
        self.seen = [np.logical_or.reduce(list(masks.values())) for masks in self.present]

    def times(self, i: int) -> np.ndarray:
        """(n,) seconds of the frames of video i."""
        return frame_times(self.index, self.videos[i])

    def trainable(self, i: int, frames: Any = slice(None)) -> np.ndarray:
        """(n, A) bool: labelled frames of video i, or some of its frames, at which some slot is present."""
        mask: np.ndarray = np.isfinite(self.labels[i][frames]) & self.seen[i][frames][:, None]
        return mask

    def batch(self, windows: Sequence[Window], length: int, rows: slice | None = None) -> Batch:
        """Clips padded at the end to ``length`` frames. ``rows``: features and inputs of these alone (zoo.parallel)."""
        features, inputs = {}, {}
        rows = rows or slice(None)
        cuts = [(self.videos[w.video].name, self.order[w.video][w.start : w.stop]) for w in windows]
        for slot in self.slots:
            if slot in self.raw:
                arrays = self._raw(self.raw[slot], cuts, length, rows)
                inputs[slot] = {name: torch.from_numpy(array) for name, array in arrays.items()}
            else:
                clips = [np.concatenate([self.store.clip(slot, name, a, b) for a, b in runs(frames)])
                         for name, frames in cuts[rows]]  # fmt: skip
                features[slot] = torch.from_numpy(_padded(clips, length))
        at = [(w.video, frames) for w, (_, frames) in zip(windows, cuts, strict=True)]
        present = {s: torch.from_numpy(_padded([self.present[v][s][frames] for v, frames in at], length))
                   for s in self.slots}  # fmt: skip
        valid = torch.from_numpy(np.arange(length) < np.array([[len(frames)] for _, frames in at]))
        target = _padded([self.labels[v][frames] for v, frames in at], length)
        labelled = _padded([self.trainable(v, frames) for v, frames in at], length)
        target = np.where(labelled, target, 0).astype(np.float32)
        where = [(name, int(frames[0])) for name, frames in cuts]
        return Batch(features, inputs, present, valid, torch.from_numpy(target), torch.from_numpy(labelled), where)

    @staticmethod
    def _raw(raw: RawSlot, cuts: Sequence[tuple[str, np.ndarray]], length: int, rows: slice) -> dict[str, np.ndarray]:
        if isinstance(raw.spec, FrameInput):
            return _pictures(raw, raw.spec, cuts[rows], length)
        # Sound is as long as the longest of all clips, whichever of them are wanted.
        wanted = cuts if isinstance(raw.spec, AudioInput) else cuts[rows]
        clips = list(threads().map(partial(_cut, raw), wanted))
        arrays = collate(clips, length)
        return {name: array[rows] for name, array in arrays.items()} if wanted is cuts else arrays


def earlier(labels: np.ndarray, times: np.ndarray, delay: float) -> np.ndarray:
    """labels (n, A) as they stand ``delay`` seconds after each frame (the nearest frame's); NaN where the video has
    ended by then. Annotators answer late: what they say at t + delay is about what was to be seen at t."""
    out = np.full(labels.shape, np.nan, labels.dtype)
    index, inside = nearest(times, times + delay)
    out[inside] = labels[index[inside]]
    return out


def nearest(times: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each wanted time the frame nearest to it, and whether it lies inside the video (half a frame's grace)."""
    right = np.searchsorted(times, wanted).clip(1, max(1, len(times) - 1))
    left = right - 1
    right = right.clip(max=len(times) - 1)
    index = np.where(wanted - times[left] <= times[right] - wanted, left, right)
    grace = 0.5 * float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return index, (wanted >= times[0] - grace) & (wanted <= times[-1] + grace)


def runs(frames: np.ndarray) -> list[tuple[int, int]]:
    """Rising frame numbers as runs [start, stop) without a gap."""
    if int(frames[-1]) - int(frames[0]) == len(frames) - 1:  # most often
        return [(int(frames[0]), int(frames[-1]) + 1)]
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(frames, breaks)]


def refuse_context(spec: object) -> None:
    """UserError for an encoder that looks at neighbours, of frames that are none."""
    if isinstance(spec, FrameInput) and spec.context:
        raise UserError(
            "train.gaps=close cannot be had with an encoder that looks at neighbouring frames: leave it at keep"
        )


def joined(parts: list[dict[str, np.ndarray]], spec: object) -> dict[str, np.ndarray]:
    """Raw inputs of runs of one video, one after the other. Sound keeps each run's margins, so that no frame hears
    what another run says; the runs start on the encoder's grid."""
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


def _pictures(
    raw: RawSlot, spec: FrameInput, cuts: Sequence[tuple[str, np.ndarray]], length: int
) -> dict[str, np.ndarray]:
    """Clips of pictures in one batch, padded, each picture decoded straight into its place by a thread a clip."""
    frames = np.empty((len(cuts), length + 2 * spec.context, spec.size, spec.size, 3), np.uint8)
    present = np.zeros(frames.shape[:2], bool)

    def fill(row: int) -> None:
        (name, wanted), place = cuts[row], 0
        parts = runs(wanted)
        if len(parts) > 1:
            refuse_context(spec)
        for start, stop in parts:
            end = place + stop - start + 2 * spec.context
            present[row, place:end] = raw.fill(frames[row, place:end], name, start, spec)
            place = end
        frames[row, place:] = 0

    list(threads().map(fill, range(len(cuts))))
    return {"frames": frames, "present": present}


def _cut(raw: RawSlot, cut: tuple[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Raw input of some frames of a video."""
    name, frames = cut
    return joined([raw.clip(name, start, stop) for start, stop in runs(frames)], raw.spec)


def _padded(arrays: Sequence[np.ndarray], length: int) -> np.ndarray:
    out = np.zeros((len(arrays), length, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out


class Windows(Sequence[Window]):
    """Windows as a table (N, 3) of video, start, stop: an epoch of millions of frames takes a few MB."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, i: int) -> Window: ...

    @overload
    def __getitem__(self, i: slice) -> Windows: ...

    def __getitem__(self, i: int | slice) -> Window | Windows:
        if isinstance(i, slice):
            return Windows(self.table[i])
        return Window(*self.table[i].tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Windows) and np.array_equal(self.table, other.table)

    __hash__ = None  # type: ignore[assignment]


def training_windows(data: ClipData, length: int, rng: np.random.Generator) -> Windows:
    """Windows that visit every labelled frame once: tiles of ``length`` at a random phase per video, shuffled.

    Windows without a label to learn from are left out.
    """
    table = _tiles(data, length, rng)
    return Windows(table[rng.permutation(len(table))])


def count_windows(data: ClipData, length: int, rng: np.random.Generator) -> int:
    """How many ``training_windows`` there are with this generator."""
    return len(_tiles(data, length, rng))


def _tiles(data: ClipData, length: int, rng: np.random.Generator) -> np.ndarray:
    parts = [np.zeros((0, 3), np.int32)]
    for v, order in enumerate(data.order):
        starts = np.arange(int(rng.integers(length)) - length, len(order), length)
        first, last = starts.clip(min=0), (starts + length).clip(0, len(order))
        table = np.stack([np.full_like(starts, v), first, last], 1).astype(np.int32)
        parts.append(table[data.useful[v][last] > data.useful[v][first]])
    return np.concatenate(parts)


def evaluation_windows(n_frames: int, length: int) -> list[tuple[int, int]]:
    """[start, stop) of windows with hop length / 2, the last flush with the end; depends on the video alone."""
    if n_frames <= length:
        return [(0, n_frames)]
    starts = [*range(0, n_frames - length, max(1, length // 2)), n_frames - length]
    return [(start, start + length) for start in starts]


def triangle(length: int) -> np.ndarray:
    """(length,) float64 weights of a window's frames, highest in the middle, never 0."""
    ramp: np.ndarray = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float64)
    return ramp / ramp.max()


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Consecutive groups of ``size``, of windows most of all."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def training_counts(track: TrackSpec, data: ClipData) -> tuple[Counts, ...]:
    """Training labels of every answer, for class weights and the like."""
    counts = []
    for a, answer in enumerate(track.answers):
        values = np.concatenate(
            [data.labels[v][data.trainable(v)[:, a], a] for v in range(len(data.videos))] or [np.zeros(0)]
        )
        if answer.kind == "value":
            bins = np.histogram(values, 20, (answer.low, answer.high))[0]
        else:
            bins = np.bincount(values.astype(int), minlength=len(answer.classes) if answer.kind == "class" else 2)
        counts.append(Counts(len(values), tuple(int(b) for b in bins)))
    return tuple(counts)
