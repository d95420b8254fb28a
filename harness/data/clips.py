"""Clips and windows: which frames go together, and their batches of features, raw input, labels and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from harness.data.affwild2 import Index, Video
from harness.data.raw import RawSlot, collate
from harness.data.sources import frame_times
from harness.store import FeatureStore
from zoo.api import Counts, FrameInput, TrackSpec
from zoo.assemble import Batch


@dataclass(frozen=True)
class Window:
    """Frames [start, stop) of the video at a place in a list."""

    video: int
    start: int
    stop: int


class ClipData:
    """The videos of one split, ready to be cut into batches."""

    def __init__(
        self, index: Index, videos: Sequence[Video], slots: Sequence[str], store: FeatureStore, raw: dict[str, RawSlot]
    ) -> None:
        self.index = index
        self.videos = list(videos)
        self.slots = tuple(slots)
        self.store = store
        self.raw = raw
        self.labels = [video.labels for video in self.videos]
        self.present = [{slot: self._present(slot, video) for slot in self.slots} for video in self.videos]
        self.seen = [np.logical_or.reduce(list(masks.values())) for masks in self.present]
        # How many frames before each have something to learn from: whether a window has any is one subtraction.
        self.useful = [np.concatenate([[0], np.cumsum(self.trainable(v).any(1))]) for v in range(len(self.videos))]

    def _present(self, slot: str, video: Video) -> np.ndarray:
        mask = self.raw[slot].present(video.name) if slot in self.raw else self.store.present(slot, video.name)
        return np.asarray(mask, bool)

    def times(self, i: int) -> np.ndarray:
        """(n,) seconds of the frames of video i."""
        return frame_times(self.index, self.videos[i])

    def trainable(self, i: int) -> np.ndarray:
        """(n, A) bool: labelled frames of video i at which some slot is present."""
        mask: np.ndarray = np.isfinite(self.labels[i]) & self.seen[i][:, None]
        return mask

    def batch(self, windows: Sequence[Window], length: int) -> Batch:
        """Clips padded at the end to ``length`` frames."""
        features, inputs = {}, {}
        for slot in self.slots:
            if slot in self.raw:
                raw = self.raw[slot]
                clips = [raw.clip(self.videos[w.video].name, w.start, w.stop) for w in windows]
                context = raw.spec.context if isinstance(raw.spec, FrameInput) else 0
                arrays = collate(clips, length, context)
                inputs[slot] = {name: torch.from_numpy(array) for name, array in arrays.items()}
            else:
                rows = [self.store.clip(slot, self.videos[w.video].name, w.start, w.stop) for w in windows]
                features[slot] = torch.from_numpy(_padded(rows, length))
        present = {s: torch.from_numpy(_padded([self.present[w.video][s][w.start : w.stop] for w in windows], length))
                   for s in self.slots}  # fmt: skip
        valid = torch.from_numpy(np.arange(length) < np.array([[w.stop - w.start] for w in windows]))
        target = _padded([self.labels[w.video][w.start : w.stop] for w in windows], length)
        labelled = _padded([self.trainable(w.video)[w.start : w.stop] for w in windows], length)
        target = np.where(labelled, target, 0).astype(np.float32)
        where = [(self.videos[w.video].name, w.start) for w in windows]
        return Batch(features, inputs, present, valid, torch.from_numpy(target), torch.from_numpy(labelled), where)


def _padded(arrays: Sequence[np.ndarray], length: int) -> np.ndarray:
    out = np.zeros((len(arrays), length, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out


def training_windows(data: ClipData, length: int, rng: np.random.Generator) -> list[Window]:
    """Windows that visit every labelled frame once: tiles of ``length`` at a random phase per video, shuffled.

    Windows without a label to learn from are left out.
    """
    windows = []
    for v, video in enumerate(data.videos):
        phase = int(rng.integers(length))
        useful = data.useful[v]
        for start in range(phase - length, video.n_frames, length):
            window = Window(v, max(0, start), max(0, min(video.n_frames, start + length)))
            if useful[window.stop] > useful[window.start]:
                windows.append(window)
    order = rng.permutation(len(windows))
    return [windows[i] for i in order]


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


def batches(windows: Sequence[Window], size: int) -> Iterator[list[Window]]:
    """Consecutive groups of ``size``."""
    for start in range(0, len(windows), size):
        yield list(windows[start : start + size])


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
