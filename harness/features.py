"""Features of frozen encoders: computed once, kept in a cache addressed by all that they depend on, always read back.

One folder an entry: ``features.npy`` (present frames, D) float16, ``present.npy`` (n_frames,) bool. The key covers the
source's content, the reader's and the encoder's version, options, the weights' digest, precision and chunk layout.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from harness.config import Features
from harness.data.affwild2 import Index, Video
from harness.data.content import digest
from harness.data.frames import read_frames
from harness.data.raw import RawSlot, collate
from harness.data.sources import open_reader, source_of
from harness.store import FeatureStore, ahead
from zoo.api import AudioInput, FrameInput
from zoo.assemble import build_encoder, encode
from zoo.errors import UserError
from zoo.modules import Encoder
from zoo.passports import cache_dir, describe, file_sha256, find
from zoo.plan import SlotPlan
from zoo.weights import load_pretrained

LAYOUT = 1  # raise when chunks are cut otherwise
SOUND_CHUNK = 256  # frames of sound features computed at once


@dataclass
class FrozenSlot:
    """A frozen encoder with its weights if it has any, built when the first video needs it."""

    plan: SlotPlan
    settings: Features
    device: torch.device
    file: Path | None  # of the weights, verified
    _encoder: Encoder | None = None

    @property
    def encoder(self) -> Encoder:
        """The network with its weights, in eval mode."""
        if self._encoder is None:
            encoder = build_encoder(self.plan)
            if self.plan.passport is not None:
                load_pretrained(encoder, self.plan.passport)
            encoder.eval().requires_grad_(False).to(self.device)
            if isinstance(encoder.input, FrameInput):
                encoder = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._encoder = encoder
        return self._encoder

    @property
    def bf16(self) -> bool:
        """bfloat16 where asked for, or where the processor computes in it (features differ from float32 by 1-2 %)."""
        if self.settings.precision != "auto":
            return self.settings.precision == "bf16"
        if self.device.type == "cuda":
            return torch.cuda.is_bf16_supported()
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

    @property
    def precision(self) -> str:
        """What the features are computed in."""
        return "bf16" if self.bf16 else "float32"

    def record(self) -> dict[str, Any] | None:
        """The slot's weights for a run's record, or what a fixed encoder says of itself (``describe``); the same
        whether the features were computed or found."""
        if self.plan.passport is not None and self.file is not None:
            known = describe(self.plan.passport, self.file)
        elif callable(say := getattr(self.encoder, "describe", None)):
            known = say()
        else:
            return None
        return {"slot": self.plan.name, "precision": self.precision, **known}

    def key(self, reader: Any) -> str:
        """The cache key of this slot's features of one video."""
        plan = self.plan
        return digest(
            "features", LAYOUT, reader.fingerprint(), plan.stream.name, plan.stream.version, plan.encoder.name,
            plan.encoder.version, plan.slot.argument, json.dumps(dict(plan.options), sort_keys=True, default=str),
            file_sha256(self.file) if self.file else None, self.precision, self.settings.chunk, self.device.type,
        )  # fmt: skip

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, np.ndarray], mask: np.ndarray) -> np.ndarray:
        """One chunk as a batch of one: (T, D) float32."""
        tensors = {name: torch.from_numpy(value).unsqueeze(0).to(self.device) for name, value in inputs.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            out = encode(self.encoder, tensors, torch.from_numpy(mask).unsqueeze(0).to(self.device))
        return out[0].float().cpu().numpy()


@dataclass(frozen=True)
class Failure:
    """A video whose features could not be computed."""

    video: str
    reason: str


def frozen_slots(plans: Sequence[SlotPlan], settings: Features, device: torch.device) -> list[FrozenSlot]:
    """The frozen slots of a plan, weights found and verified; UserError says what to do where they are not."""
    slots = []
    for plan in plans:
        if plan.frozen:
            slots.append(FrozenSlot(plan, settings, device, find(plan.passport) if plan.passport else None))
    return slots


def extract(index: Index, slots: Sequence[FrozenSlot], *, progress: bool = True) -> tuple[FeatureStore, list[Failure]]:
    """Compute what the cache lacks. A video that fails is reported at the end and does not stop the others."""
    store = FeatureStore()
    failures: list[Failure] = []
    total = sum(video.n_frames for video in index.videos)
    label = "features of " + ", ".join(slot.plan.name for slot in slots)
    with tqdm(total=total, unit="frame", desc=label, disable=None if progress else True, leave=False) as bar:
        for video in index.videos:
            try:
                store.computed += _extract_video(index, video, slots, store)
            except UserError as error:
                failures.append(Failure(video.name, str(error)))
            except OSError as error:  # a full disk: the next video would fail too
                raise UserError(
                    f"features of video {video.name}: {error}; mend this (free some space?) and run the command again: "
                    "what is done is kept"
                ) from error
            bar.update(video.n_frames)
    return store, failures


def _extract_video(index: Index, video: Video, slots: Sequence[FrozenSlot], store: FeatureStore) -> int:
    """Features of one video that are missing, its pictures decoded once for all slots. Returns how many slots."""
    source = source_of(index, video)
    missing = []
    for slot in slots:
        reader = open_reader(slot.plan.stream, source)
        key = slot.key(reader)
        folder = cache_dir() / "features" / key[:2] / key
        store.folders[slot.plan.name, video.name] = folder
        if not (folder / "features.npy").is_file():
            missing.append((slot, reader, folder))
    if missing:
        source.times()  # an annotation that does not fit its video is found here, not after the training
    pictures = [item for item in missing if isinstance(item[0].encoder.input, FrameInput)]
    for slot, reader, folder in missing:
        if isinstance(slot.encoder.input, FrameInput):
            continue
        _save(folder, *_other_features(index, video, slot, reader), slot, video)
    if pictures:
        _picture_features(video, pictures)
    return len(missing)


def _picture_features(video: Video, work: list[tuple[FrozenSlot, Any, Path]]) -> None:
    """All picture slots of one video in one pass; decoding runs a chunk ahead of the networks."""
    writers = [_Chunker(slot, video.n_frames) for slot, _, _ in work]

    def images() -> Iterator[list[np.ndarray | None]]:
        decode = any(reader.uses_video for _, reader, _ in work)
        frames: Iterable[np.ndarray | None] = read_frames(video.video) if decode and video.video else ()
        pictures = iter(frames)
        for i in range(video.n_frames):
            frame = next(pictures, None)
            yield [reader.image(i, frame, slot.encoder.input.size) for slot, reader, _ in work]  # type: ignore[attr-defined]

    for row in ahead(images, depth=128):
        for writer, image in zip(writers, row, strict=True):
            writer.add(image)
    for writer, (slot, _, folder) in zip(writers, work, strict=True):
        features, present = writer.finish()
        _save(folder, features, present, slot, video)


class _Chunker:
    """Pictures of a video, one after the other -> features, in chunks whose layout depends on the video alone."""

    def __init__(self, slot: FrozenSlot, n_frames: int) -> None:
        spec = slot.encoder.input
        assert isinstance(spec, FrameInput)
        self.slot, self.spec = slot, spec
        self.present = np.zeros(n_frames, bool)
        self.seen = 0
        self.images: list[np.ndarray | None] = [None] * spec.context  # before the first frame there is nothing
        self.out: list[np.ndarray] = []

    def add(self, image: np.ndarray | None) -> None:
        """Take the next frame's picture."""
        self.present[self.seen] = image is not None
        self.seen += 1
        if self.spec.context or image is not None:
            self.images.append(image)
        if len(self.images) >= self.slot.settings.chunk + 2 * self.spec.context:
            self._encode()

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Features of the present frames (P, D) and the mask (n,)."""
        if len(self.images) > self.spec.context:
            self.images += [None] * self.spec.context
            self._encode()
        dim = self.slot.encoder.dim
        features = np.concatenate(self.out) if self.out else np.zeros((0, dim), np.float32)
        return (features[self.present] if self.spec.context else features), self.present

    def _encode(self) -> None:
        context = self.spec.context
        if len(self.images) <= 2 * context:
            return
        seen = np.array([image is not None for image in self.images])
        blank = np.zeros((self.spec.size, self.spec.size, 3), np.uint8)
        frames = np.stack([blank if image is None else image for image in self.images])
        inner = seen[context : len(seen) - context]
        self.out.append(self.slot({"frames": frames, "present": seen}, inner))
        self.images = self.images[len(self.images) - 2 * context :] if context else []


def _other_features(index: Index, video: Video, slot: FrozenSlot, reader: Any) -> tuple[np.ndarray, np.ndarray]:
    """Features of sound and of vectors, in chunks of frames."""
    raw = RawSlot(index, slot.plan, slot.encoder)
    present = reader.present()
    step = SOUND_CHUNK if isinstance(slot.encoder.input, AudioInput) else slot.settings.chunk
    out = [np.zeros((0, slot.encoder.dim), np.float32)]
    for start in range(0, video.n_frames, step):
        stop = min(start + step, video.n_frames)
        seen = present[start:stop]
        if seen.any():
            inputs = collate([raw.clip(video.name, start, stop)], stop - start)
            out.append(slot({name: value[0] for name, value in inputs.items()}, seen)[seen])
    return np.concatenate(out), present


def _save(folder: Path, features: np.ndarray, present: np.ndarray, slot: FrozenSlot, video: Video) -> None:
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all(1))[0])
        frame = int(np.flatnonzero(present)[row]) + 1
        raise UserError(
            f"slot {slot.plan.name!r}, video {video.name}, frame {frame}: the encoder's features are not finite"
        )
    limit = float(np.finfo(np.float16).max)
    part = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        part.mkdir(parents=True, exist_ok=True)
        np.save(part / "features.npy", np.clip(features, -limit, limit).astype(np.float16))
        np.save(part / "present.npy", present)
        os.rename(part, folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not folder.is_dir():  # else somebody was faster, with the same content
            raise
