"""Encode every frame of a video once with the trained encoders, although evaluation windows overlap by half."""

from __future__ import annotations

import copy

import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.windows import Window
from harness.data.index.index import Video
from harness.evaluation.looks import Look, Pass
from harness.features.store import Features
from harness.runtime.precision import autocast
from zoo.api import FrameInput
from zoo.model.model import Batch, Model, encode, module_key


class EncodedVideo:
    """Features of one video by all slots: cached ones, and those of trained encoders, computed as far as needed.

    The trained encoders see clips of ``length`` frames that lie edge to edge. An encoder's features do not depend on
    where a video is cut (zoo.testing holds it), so they are those of any other clips, up to rounding. Sound encoders
    without pretrained weights are small, and go on to encode every window.

    Args:
        model: The network, in eval mode.
        data: The videos.
        v: The video's position among them.
        length: Frames of a clip.
        device: The device of the model.
        precision: ``32`` or ``bf16-mixed``.
        one: The pass: the look of the pictures, and the first frame.
    """

    def __init__(
        self,
        model: Model,
        data: ClipData,
        v: int,
        length: int,
        device: torch.device,
        precision: str,
        one: Pass | None = None,
    ) -> None:
        self.look, self.phase = (one.look, one.phase) if one is not None else (Look(), 0)
        self.model, self.v, self.device, self.precision = model, v, device, precision
        self.store: Features = data.store
        self.step = data.strides[v]
        self.length = length * self.step  # of the video's frames
        self.n_frames = data.videos[v].n_frames
        self.raw = copy.copy(data)
        self.raw.slots = tuple(slot for slot in data.slots if slot in data.raw and _is_costly(model, slot))
        self.clips = copy.copy(data)
        self.clips.raw = {slot: raw for slot, raw in data.raw.items() if slot not in self.raw.slots}
        self.clips.store = self
        self.rows: dict[str, np.ndarray] = {}
        self.done = self.phase if self.raw.slots else self.n_frames

    def upto(self, frame: int, clips: int) -> None:
        """Encode up to a frame (excluded), at most ``clips`` clips at once; every frame is encoded once."""
        while self.done < min(frame, self.n_frames):
            starts = range(self.done, min(frame, self.n_frames), self.length)[:clips]
            windows = [Window(self.v, start, min(start + self.length, self.n_frames)) for start in starts]
            self._encode(windows)
            self.done = windows[-1].stop

    def present(self, slot: str, video: str) -> np.ndarray:
        """Return the (n_frames,) bool mask of frames at which the slot has data."""
        return self.clips.present[self.v][slot]

    def clip(self, slot: str, video: str, start: int, stop: int) -> np.ndarray:
        """Return (stop - start, D), with zeros where the slot is absent."""
        return self.rows[slot][start:stop] if slot in self.rows else self.store.clip(slot, video, start, stop)

    def batch(self, windows: list[Window], width: int) -> Batch:
        """Return windows as a batch for the model; all frames up to the end of the last one must be encoded."""
        return self.look.change(self.clips.batch(windows, width).to(self.device), self.clips, self._video)

    @property
    def _video(self) -> Video:
        return self.clips.videos[self.v]

    def _encode(self, windows: list[Window]) -> None:
        width = self.length // self.step
        batch = self.look.change(self.raw.batch(windows, width).to(self.device), self.raw, self._video)
        for slot in self.raw.slots:
            mask = batch.present[slot] & batch.valid
            with autocast(self.device, self.precision):
                features = encode(self.model.encoders[module_key(slot)], batch.inputs[slot], mask)  # type: ignore[arg-type]
            found = features.float().cpu().numpy()
            rows = self.rows.setdefault(slot, np.zeros((self.n_frames, found.shape[-1]), np.float32))
            for window, encoded in zip(windows, found, strict=True):
                place = rows[window.start : window.stop : self.step]
                place[:] = encoded[: len(place)]


def _is_costly(model: Model, slot: str) -> bool:
    """Return True for trained encoders of pictures, and for pretrained ones of any kind."""
    return slot in model.pretrained or isinstance(model.encoders[module_key(slot)].input, FrameInput)
