"""Clips of a video that is being read: frames not read yet are read on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from harness.batching.clips import ClipData
from harness.data.affwild2.groups import group_of
from harness.data.index.index import Index, Video
from harness.data.streams.raw_inputs import RawSlot
from harness.features.frozen_encoder import FrozenSlot
from harness.features.views import view_name
from harness.predicting.live_branches import LiveRawSlot, OtherFeatures, PictureFeatures, RawPictures
from harness.predicting.live_looks import LookedFeatures, Looks
from harness.predicting.media import Media
from harness.predicting.video_scan import Row, Wanted
from harness.runtime.prefetch import prefetch
from zoo.api import EditionSpec, FrameInput, TrackSpec
from zoo.errors import UserError
from zoo.model.model import build_encoder
from zoo.model.shape_check import meta_or_real
from zoo.registry.plan import SlotPlan
from zoo.registry.registry import resolve

AHEAD = 48  # frames whose pictures are prefetched for the networks


class Unsure(Exception):
    """Raised if the main person cannot be guessed: the video must be read again."""


class Branches:
    """The input branches of a model, independent of a video: the pictures that they take, and their networks.

    Args:
        plans: The slots.
        frozen: The frozen ones among them.
        looks: The looks of their pictures that are predicted from, besides the plain ones.
    """

    def __init__(self, plans: Sequence[SlotPlan], frozen: Sequence[FrozenSlot], looks: Looks | None = None) -> None:
        self.plans, self.looks = list(plans), looks or {}
        self.frozen = {slot.plan.name: slot for slot in frozen}
        trained = [plan for plan in plans if plan.name not in self.frozen]
        self.trained: dict[str, Any] = {p.name: meta_or_real(partial(build_encoder, p)) for p in trained}

    def spec(self, plan: SlotPlan) -> Any:
        """Return the input spec of a slot's encoder."""
        name = plan.name
        return self.frozen[name].encoder.input if name in self.frozen else self.trained[name].input

    @property
    def pictures(self) -> list[SlotPlan]:
        """The slots whose encoders take pictures."""
        return [plan for plan in self.plans if isinstance(self.spec(plan), FrameInput)]

    def wanted(self) -> list[Wanted]:
        """Return the pictures that the slots of ``pictures`` take, in their order."""
        plans = self.pictures
        return [Wanted(resolve(plan.stream.reader), self.spec(plan).size, plan.stream.needs) for plan in plans]

    def unread(self) -> list[str]:
        """Return the streams that cannot be read frame by frame because they need a folder of crops or boxes."""
        out = []
        for plan in self.plans:
            if isinstance(self.spec(plan), FrameInput):
                by_frame = hasattr(resolve(plan.stream.reader), "picture")
            else:
                by_frame = not {"crops", "boxes"} & set(plan.stream.needs)
            out += [] if by_frame else [plan.stream.name]
        return list(dict.fromkeys(out))


class LiveVideo:
    """One person of one video, read as frames are requested.

    Args:
        media: The video.
        name: Its name in the table.
        branches: The model's input branches.
        rows: Called once; yields the pictures, one row a frame.
        edition: The model's edition.
        track: The model's track.
        keep: Frames before the requested ones that stay in memory.
        tick: Called after every frame.
    """

    def __init__(
        self,
        media: Media,
        name: str,
        branches: Branches,
        rows: Callable[[], Iterator[Row]],
        *,
        edition: EditionSpec,
        track: TrackSpec,
        keep: int,
        tick: Callable[[], object],
    ) -> None:
        info = media.info
        n = info.n_frames
        unlabelled = np.full((n, len(track.answers)), np.nan, np.float32)
        everywhere, nowhere = np.ones(n, bool), np.zeros(n, bool)
        video = Video(name, group_of(name), "test", n, info.path, None, nowhere, unlabelled, everywhere)
        self.source = media.source(name)
        self.index = Index(info.path.parent, edition, track, "", (video,), None, ())
        self.n_frames, self.tick, self.read, self.ended = n, tick, 0, False
        self._turn = threading.RLock()  # several threads cut clips
        self._features: dict[str, PictureFeatures | OtherFeatures] = {}
        self.raw: dict[str, Any] = {}
        self._pictures: list[PictureFeatures | LookedFeatures | RawPictures] = []
        for plan in branches.plans:
            self._open(plan, branches, name, keep)
        # Prefetch: faces are found and pictures cut while the networks work on earlier frames.
        self._rows = iter(prefetch([rows], threads=1, depth=AHEAD))

    def _open(self, plan: SlotPlan, branches: Branches, name: str, keep: int) -> None:
        spec, frozen = branches.spec(plan), branches.frozen.get(plan.name)
        if isinstance(spec, FrameInput):
            if frozen is not None:
                features = PictureFeatures(frozen, name, self.n_frames, keep)
                self._features[plan.name] = features
                others = []
                for look, change in branches.looks.get(plan.name, {}).items():
                    own = PictureFeatures(frozen, name, self.n_frames, keep)
                    self._features[view_name(plan.name, look)] = own
                    others.append((change, own))
                self._pictures.append(LookedFeatures(features, others, name) if others else features)
            else:
                packs = bool(getattr(resolve(plan.stream.reader), "uses_video", True))
                encoder = branches.trained[plan.name]
                raw = RawPictures(plan, encoder, self.n_frames, keep, packs, self.advance)
                self.raw[plan.name] = raw
                self._pictures.append(raw)
            return
        encoder = frozen.encoder if frozen is not None else branches.trained[plan.name]
        slot: RawSlot = LiveRawSlot(self.source, self.index, plan, encoder)
        if frozen is not None:
            self._features[plan.name] = OtherFeatures(frozen, slot, name, self.n_frames, keep)
        else:
            self.raw[plan.name] = slot

    # --- the interface for clips ---

    def clips(self, slots: Sequence[str], stride: int = 1, fps: float = 0.0) -> ClipData:
        """Return the video as a split of one video, of every ``stride``-th frame or with ``fps`` (ClipData)."""
        return _Clips(self.source.times(), self.index, self.index.videos, slots, self, self.raw, stride=stride, fps=fps)

    def present(self, slot: str, video: str) -> np.ndarray:
        """Return the mask (n_frames,) bool, which is filled in as the video is read."""
        return self._features[slot].rows.present

    def clip(self, slot: str, video: str, start: int, stop: int) -> np.ndarray:
        """Return features (stop - start, D) in the stored dtype; zeros for absent frames."""
        features = self._features[slot]
        with self._turn:
            # A clip holds the masks of all slots, so all of them must be known up to here.
            self.advance(stop)
            if isinstance(features, OtherFeatures):
                features.upto(stop)
            return features.rows.clip(start, stop)

    def advance(self, frames: int) -> None:
        """Read on until every picture branch has the given number of frames."""
        with self._turn:
            while not self.ended and any(branch.known(False) < frames for branch in self._pictures):
                row = next(self._rows, None)
                if row is None:
                    self._end()
                    return
                for branch, image in zip(self._pictures, row, strict=True):
                    branch.add(image)
                self.read += 1
                self.tick()

    def finish(self) -> None:
        """Read to the end, even if no branch takes pictures, because the table needs the faces."""
        with self._turn:
            while not self.ended:
                if next(self._rows, None) is None:
                    self._end()
                else:
                    self.tick()
                    self.read += 1

    def _end(self) -> None:
        if self.read < self.n_frames:
            raise Unsure
        for branch in self._pictures:
            branch.finish()
        self.ended = True

    def __enter__(self) -> LiveVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._rows.close()  # type: ignore[attr-defined]


class _Clips(ClipData):
    """Clips of a video whose frame times are known."""

    def __init__(self, times: np.ndarray, *args: Any, **sampling: Any) -> None:
        self._times = times
        super().__init__(*args, **sampling)

    def times(self, i: int) -> np.ndarray:
        """Return the times (n,) of the frames in seconds."""
        return self._times


def only_readable(branches: Branches) -> None:
    """Raise UserError if a stream cannot be read frame by frame."""
    if unread := branches.unread():
        raise UserError("predict-stream-needs-folder", names=", ".join(unread))
