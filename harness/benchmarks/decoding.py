"""Decoding and encoding: rates of the harness, of the bare decoder and of the bare network."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from harness.data.decoding.display import Size
from harness.data.decoding.frames import frame_size
from harness.data.decoding.frames import pictures as pictures_of
from harness.data.decoding.video import read_pictures
from harness.data.index.index import Index, Video
from harness.data.index.picture_folders import picture_folder
from harness.data.streams.raw_inputs import RawSlot, collate
from harness.data.streams.sources import open_reader, source_of
from harness.features.extraction import extract
from harness.features.frozen_encoder import SOUND_CHUNK, FrozenSlot
from zoo.api import AudioInput, FrameInput
from zoo.errors import UserError
from zoo.registry.plan import SlotPlan
from zoo.weights.cards import cache_dir


def decode(index: Index, slots: Sequence[tuple[SlotPlan, int]]) -> float:
    """Decode every image of every slot, each video once; return frames of video."""
    return float(sum(1 for video in index.videos for _ in decoded(index, video, slots)))


def decoded(index: Index, video: Video, slots: Sequence[tuple[SlotPlan, int]]) -> Iterator[list[np.ndarray | None]]:
    """Yield the slots' images, frame by frame."""
    readers = [(open_reader(slot.stream, source_of(index, video)), size) for slot, size in slots]
    yield from pictures_of(readers, video.video, video.n_frames)


class BareDecoder:
    """The least work that gives the same images.

    JPEGs are in memory; videos are decoded to RGB only in the sizes that are needed.
    """

    def __init__(self, index: Index, slots: Sequence[tuple[SlotPlan, int]]) -> None:
        self.videos: list[tuple[Path, int, list[Size | None]]] = []
        self.jpegs: list[bytes] = []
        self.frames = 0
        for video in index.videos:
            self.frames += video.n_frames
            readers = [(open_reader(slot.stream, source_of(index, video)), size) for slot, size in slots]
            kinds = {frame_size(reader, size) for reader, size in readers if reader.uses_video}
            if kinds and video.video is not None:
                self.videos.append((video.video, video.n_frames, list(kinds)))
            if not all(reader.uses_video for reader, _ in readers) and video.crops is not None:
                there = picture_folder(video.crops)
                self.jpegs += [Path(there.path(i + 1)).read_bytes() for i in np.flatnonzero(video.crop_frames).tolist()]

    def __call__(self) -> float:
        """Decode everything; return frames of video."""
        for data in self.jpegs:
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        for path, n, kinds in self.videos:
            for _, _frame in zip(range(n), read_pictures(path, kinds), strict=False):
                pass
        return float(self.frames)


@dataclass(frozen=True)
class Chunk:
    """One input of an encoder: its tensors, as raw_inputs makes them, and the frames that it predicts, (T,) bool."""

    inputs: dict[str, np.ndarray]
    mask: np.ndarray


def chunks(index: Index, slot: FrozenSlot, most: int) -> list[Chunk]:
    """Return up to ``most`` chunks of a slot's input, in memory, cut in the same way as in extraction."""
    spec, step = slot.encoder.input, slot.settings.chunk
    if isinstance(spec, FrameInput):
        images: list[np.ndarray] = []
        for video in index.videos:
            images += [image for (image,) in decoded(index, video, [(slot.plan, spec.size)]) if image is not None]
            if len(images) >= most * step:
                break
        parts = [np.stack(images[i : i + step]) for i in range(0, len(images), step)][:most]
        full = [np.ones(len(part), bool) for part in parts]
        return [
            Chunk({"frames": p, "present": m}, m[spec.context : len(m) - spec.context])
            for p, m in zip(parts, full, strict=True)
        ]
    raw = RawSlot(index, slot.plan, slot.encoder)
    out = []
    for video in index.videos[:most]:
        stop = min(video.n_frames, SOUND_CHUNK if isinstance(spec, AudioInput) else step)
        mask = raw.present(video.name)[:stop]
        if mask.any():
            inputs = collate([raw.clip(video.name, 0, stop)], stop)
            out.append(Chunk({name: value[0] for name, value in inputs.items()}, mask))
    return out


def share_present(index: Index, slot: FrozenSlot) -> float:
    """Return the share of all frames at which a slot has something to encode."""
    seen = [open_reader(slot.plan.stream, source_of(index, video)).present() for video in index.videos]
    return float(np.concatenate(seen).mean())


def encode(slot: FrozenSlot, ready: Sequence[Chunk]) -> float:
    """Pass chunks through the harness's own call; return frames.

    The call normalises on the device, encodes, and copies the result back.
    """
    for chunk in ready:
        slot(chunk.inputs, chunk.mask)
    return float(sum(len(chunk.mask) for chunk in ready))


class BareNetwork:
    """The network alone on normalised tensors on the device, at the same precision and batch size.

    It is as its author built it, or ``folded``.
    """

    def __init__(self, slot: FrozenSlot, ready: Sequence[Chunk], *, folded: bool = False) -> None:
        self.slot, self.network = slot, slot.encoder if folded else slot.to_device(slot.build_pretrained())
        spec = self.network.input
        self.frames = float(sum(len(chunk.mask) for chunk in ready))
        self.args: list[list[torch.Tensor]] = []
        for chunk in ready:
            tensors = {name: torch.from_numpy(value).to(slot.device) for name, value in chunk.inputs.items()}
            if isinstance(spec, FrameInput):
                mean, std = (torch.tensor(v, device=slot.device).view(3, 1, 1) for v in (spec.mean, spec.std))
                x = (tensors["frames"].movedim(-1, -3).float() / 255 - mean) / std
                x = x.contiguous(memory_format=torch.channels_last)
                one = [x.unsqueeze(0), tensors["present"].unsqueeze(0)] if spec.context else [x.unsqueeze(1)]
            else:
                names = ("samples", "samples_valid", "times") if isinstance(spec, AudioInput) else ("vectors",)
                one = [tensors[name].unsqueeze(0) for name in names]
            self.args.append(one)

    @torch.inference_mode()
    def __call__(self) -> float:
        """Encode everything; return frames."""
        with torch.autocast(self.slot.device.type, torch.bfloat16, enabled=self.slot.bf16):
            for args in self.args:
                out = self.network(*args)
        out.float().cpu()
        return self.frames


def one_after_the_other(bare: Mapping[str, BareNetwork], present: Mapping[str, float]) -> tuple[float, float]:
    """Run bare networks in turn for a frame of video, each at its slot's share of present frames.

    Return 1 and the seconds.
    """
    seconds = 0.0
    for name, network in bare.items():
        began = time.perf_counter()
        frames = network()
        seconds += (time.perf_counter() - began) / frames * present[name]
    return 1.0, seconds


def check_packed(index: Index, slots: Sequence[SlotPlan], wanted: bool) -> None:
    """Raise UserError unless every image comes from the pack (``wanted``), or none does."""
    for video in index.videos:
        for slot in slots:
            reader = open_reader(slot.stream, source_of(index, video))
            if (reader.packed is not None) != wanted:
                found = "from the pack" if reader.packed else "from the data folder"
                raise UserError("bench-unexpected-reading", name=video.name, name2=slot.name, found=found)


def extraction(index: Index, slots: Sequence[FrozenSlot]) -> float:
    """Compute the features of all videos into an empty cache; return frames of video. Call inside ``own_cache``."""
    shutil.rmtree(cache_dir() / "features", ignore_errors=True)
    store, failures = extract(index, slots, progress=False)
    if failures:
        raise RuntimeError(f"{failures[0].item}: {failures[0].reason}")
    assert store.computed
    return float(sum(video.n_frames for video in index.videos))


def stored_bytes_per_frame(index: Index) -> float:
    """Return the bytes that features in the cache take per frame of video."""
    files = [path for path in (cache_dir() / "features").rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files) / sum(video.n_frames for video in index.videos)
