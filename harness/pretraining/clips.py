"""A corpus as clips of one frame, so that the training loop of videos serves for pictures too.

The training part is one long "video" whose frames are pictures. The validation part is cut into BLOCKS of them: several
processes share these out, and the interval of a score leaves one out at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.windows import Window, Windows
from harness.data.corpora.decoding import read_picture
from harness.data.index.index import Index, Split, Video
from harness.data.streams.raw_inputs import threads
from harness.features.store import FeatureStore
from harness.runtime.machine import cores
from zoo.api import EditionSpec, FrameInput, TrackSpec
from zoo.corpora import CorpusTable
from zoo.model.model import Batch

BLOCKS = 100
SLOT = "face"
"""The only input branch of a pretraining."""


class PictureInput:
    """Raw input of pictures, as clips read it: ``spec`` is the input that the encoder declares."""

    def __init__(self, table: CorpusTable, spec: FrameInput, rows: dict[str, np.ndarray]) -> None:
        self.table, self.spec, self.rows = table, spec, rows

    def present(self, video: str) -> np.ndarray:
        """Return (n,) bool, all True: every picture was decoded once before (harness.data.corpora.checking)."""
        return np.ones(len(self.rows[video]), bool)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return pictures (N,) of the table as uint8 RGB (N, size, size, 3); the cores decode an equal share each."""
        out = np.empty((len(rows), self.spec.size, self.spec.size, 3), np.uint8)

        def share(first: int, step: int) -> None:
            for place in range(first, len(rows), step):
                read_picture(self.table, int(rows[place]), out[place])

        list(threads().map(partial(share, step=cores()), range(cores())))
        return out


class PictureClips(ClipData):
    """One part of a corpus, ready to be cut into batches of clips of one picture."""

    raw: dict[str, PictureInput]  # type: ignore[assignment]

    def times(self, i: int) -> np.ndarray:
        """Return (n,) made-up times of the pictures, one a second: pictures have none."""
        return np.arange(self.videos[i].n_frames, dtype=np.float64)

    def batch(self, windows: Sequence[Window], length: int, rows: slice | None = None) -> Batch:
        """Return a batch of pictures: ``ClipData.batch`` for clips of one frame, without its work for each clip."""
        if SLOT not in self.raw:  # of a video whose pictures are encoded already
            return super().batch(windows, length, rows)
        table = windows.table if isinstance(windows, Windows) else np.array([_row(window) for window in windows])
        video, frame = table[:, 0], table[:, 1]
        repetition = table[:, 3] if table.shape[1] > 3 else np.zeros(len(table), int)
        names = [self.videos[v].name for v in video.tolist()]
        own = rows or slice(None)
        pictures = np.array(
            [self.raw[SLOT].rows[name][f] for name, f in zip(names[own], frame[own].tolist(), strict=True)]
        )
        images = self.raw[SLOT].read(pictures)[:, None]
        target = np.stack([self.labels[v][f] for v, f in zip(video.tolist(), frame.tolist(), strict=True)])[:, None]
        labelled = np.isfinite(target)
        valid = torch.ones(len(table), 1, dtype=torch.bool)
        inputs = {"frames": torch.from_numpy(images), "present": torch.ones(len(images), 1, dtype=torch.bool)}
        where = list(zip(names, frame.tolist(), repetition.tolist(), strict=True))
        return Batch(
            {},
            {SLOT: inputs},
            {SLOT: valid},
            valid,
            torch.from_numpy(np.where(labelled, target, 0).astype(np.float32)),
            torch.from_numpy(labelled),
            where,
        )


def _row(window: Window) -> tuple[int, int, int, int]:
    return window.video, window.start, window.stop, window.repetition


def parts_of(
    table: CorpusTable, labels: np.ndarray, edition: EditionSpec, track: TrackSpec, spec: FrameInput, seed: int
) -> dict[str, PictureClips]:
    """Return the training and the validation part as clips.

    Args:
        table: The N pictures.
        labels: (N, A) in the order of the track's answers; pictures without any are left out.
        edition: Holds the track.
        track: What is learned.
        spec: The input of the encoder.
        seed: Of the blocks, if the corpus knows no groups.
    """
    known = np.isfinite(labels).any(1)
    rows: dict[str, np.ndarray] = {"train": np.flatnonzero(table.train & known)}
    rows |= _blocks(np.flatnonzero(~table.train & known), table.groups, seed)
    split: dict[str, Split] = {name: "train" if name == "train" else "val" for name in rows}
    videos = tuple(_video(name, split[name], labels[those]) for name, those in rows.items())
    index = Index(table.root, edition, track, "", videos, None, ())
    raw = {SLOT: PictureInput(table, spec, rows)}
    return {
        part: PictureClips(index, [v for v in videos if v.split == part], [SLOT], FeatureStore(), raw)  # type: ignore[arg-type]
        for part in ("train", "val")
    }


def _blocks(rows: np.ndarray, groups: np.ndarray | None, seed: int) -> dict[str, np.ndarray]:
    """Cut pictures into BLOCKS of equal size at random; pictures of a group stay together."""
    rng = np.random.default_rng([seed, 0xB10C])
    if groups is None:
        order = rng.permutation(rows)
        parts = np.array_split(order, min(BLOCKS, len(order)))
    else:
        names, number = np.unique(groups[rows], return_inverse=True)
        place = rng.permutation(len(names)) % BLOCKS
        parts = [rows[place[number] == block] for block in range(BLOCKS)]
    return {f"val.{block:03d}": np.sort(part) for block, part in enumerate(parts) if len(part)}


def _video(name: str, split: Split, labels: np.ndarray) -> Video:
    n = len(labels)
    return Video(name, name, split, n, None, None, np.zeros(n, bool), labels.astype(np.float32), np.ones(n, bool))
