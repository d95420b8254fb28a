"""Frozen encoders: their weights, the cache keys of their features, and the precision they compute in.

An encoder of single frames always gets batches of ``features.chunk`` frames. The last batch of a video is padded with
blanks. So every frame goes through the same kernels, and its features depend on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from harness.config.schema import Features
from harness.data.streams.sound_window import sound_window
from harness.features.cache.entry import EntryMeta
from harness.features.cache.key import LAYOUT, Identity, encoder_identity, features_key
from harness.runtime import memory
from leaderboards.blocks import WeightsBlock
from zoo.api import AudioInput, FrameInput
from zoo.errors import UserError, first_line
from zoo.files import file_sha256
from zoo.layers.precision import computes_bfloat16
from zoo.model.model import build_encoder, encode
from zoo.modules import Encoder
from zoo.registry.plan import SlotPlan
from zoo.weights.batch_norm_folding import fold
from zoo.weights.bf16_rounding import Rounded
from zoo.weights.cards import describe, find
from zoo.weights.loading import load_pretrained

SOUND_CHUNK = 256  # frames of sound features computed at once
Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class PrecisionProbe:
    """The measurement of an encoder on this kind of machine, made once for a cache.

    ``error``: the distance of bfloat16 from float32 features of some real frames, at the worst frame, as a share of its
    length; None if they were not compared. ``batch_invariant``: True if a frame's features are the same, bit for bit,
    at any position in a batch and next to any other frames, so that frames of several videos may share a batch.
    """

    error: float | None = None
    batch_invariant: bool = False


@dataclass
class FrozenSlot:
    """A frozen encoder with its weights, if it has any; built when the first video needs it."""

    plan: SlotPlan
    settings: Features
    device: torch.device
    file: Path | None  # of the weights, verified
    _encoder: Encoder | None = None
    _rounded: Rounded | None = None
    probe: PrecisionProbe = PrecisionProbe()
    limit: int | None = None  # most frames at once, set after memory ran out

    @property
    def encoder(self) -> Encoder:
        """The network that computes the features, in eval mode with batch norms folded."""
        if self._encoder is None:
            encoder = self.to_device(self.build_pretrained())
            fold(encoder, partial(features_of_noise, encoder))
            self._encoder = encoder
        return self._encoder

    @property
    def rounded(self) -> Rounded:
        """The encoder's weights for bfloat16."""
        if self._rounded is None:
            self._rounded = Rounded(self.encoder, self._noise_in_bf16)
        return self._rounded

    def _noise_in_bf16(self) -> None:
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16):
            features_of_noise(self.encoder, 1)

    def build_pretrained(self) -> Encoder:
        """Build a new network as its author made it, with its weights, in eval mode."""
        encoder = build_encoder(self.plan)
        if self.plan.passport is not None:
            load_pretrained(encoder, self.plan.passport)
        return encoder.eval().requires_grad_(False)

    def to_device(self, encoder: Encoder) -> Encoder:
        """Move the encoder to the device, in the memory layout in which convolutions are fastest."""
        encoder = encoder.to(self.device)
        if isinstance(encoder.input, FrameInput):
            encoder = encoder.to(memory_format=torch.channels_last)
        return encoder

    @property
    def wants_bf16(self) -> bool:
        """True if bfloat16 is asked for, or with ``auto`` if the device computes in it natively."""
        if self.settings.precision != "auto":
            return self.settings.precision == "bf16"
        return computes_bfloat16(self.device)

    @property
    def bf16(self) -> bool:
        """True if bfloat16 is used.

        It is used if it is requested and the measurement (harness.features.encoder_probe) does not show it to be too
        far from float32.
        """
        return self.wants_bf16 and (self.probe.error is None or self.probe.error <= self.settings.tolerance)

    @property
    def precision(self) -> str:
        """The precision that the features are computed in."""
        return "bf16" if self.bf16 else "float32"

    @property
    def chunk(self) -> int:
        """Number of frames in a batch."""
        return SOUND_CHUNK if isinstance(self.encoder.input, AudioInput) else self.settings.chunk

    def record(self) -> WeightsBlock | None:
        """Return the slot's weights for a run's record, or the description that a fixed encoder gives of itself.

        The result is the same whether the features were computed or found in the cache. None if there is neither.
        """
        known: WeightsBlock = {"slot": self.plan.name, "precision": self.precision}
        if self.plan.passport is not None and self.file is not None:
            return known | cast(WeightsBlock, describe(self.plan.passport, self.file))
        if callable(say := getattr(self.encoder, "describe", None)):
            return known | cast(WeightsBlock, say())  # it may have keys of its own
        return None

    def identity(self) -> Identity:
        """Return everything that the features depend on, except the video and the precision.

        See harness.features.cache.key.
        """
        return encoder_identity(self.plan, self.file, self.settings.chunk, self.device.type)

    def key(self, reader: Any) -> str:
        """Return the cache key of this slot's features of one video."""
        return features_key(reader.fingerprint(), self.precision, self.settings.store, self.identity())

    def meta(self, video: str) -> EntryMeta:
        """Return the metadata of a cache entry."""
        plan = self.plan
        return {
            "video": video,
            "stream": plan.stream.name,
            "encoder": plan.encoder.name,
            "argument": plan.slot.argument,
            "options": dict(plan.options),
            "weights": file_sha256(self.file) if self.file else None,
            "precision": self.precision,
            "error": self.probe.error if self.bf16 else None,
            "device": self.device.type,
            "chunk": self.chunk,
            "batch": min(self.limit or self.chunk, self.chunk),
            "versions": {
                "layout": LAYOUT,
                "stream": plan.stream.version,
                "encoder": plan.encoder.version,
                "torch": torch.__version__,
            },
        }

    def __call__(self, inputs: Inputs, mask: np.ndarray) -> np.ndarray:
        """Encode one chunk as a batch of one and return (T, D) float32.

        Once memory has run out, the chunk is encoded in smaller pieces.
        """
        return self.launch(inputs, mask).cpu().numpy()

    def launch(self, inputs: Inputs, mask: np.ndarray) -> torch.Tensor:
        """Encode one chunk like ``__call__``, but return (T, D) on the device, which may still be computing it."""
        while True:
            limit = self.limit or len(mask)
            try:
                parts = pieces(inputs, mask, self.encoder.input, limit)
                out = [self.compute(piece, seen, bf16=self.bf16) for piece, seen in parts]
                return out[0] if len(out) == 1 else torch.cat(out)
            except (RuntimeError, MemoryError) as error:
                if not memory.out_of_memory(error):
                    raise
                said = first_line(error)
            memory.release()
            tried = min(limit, len(mask))
            if tried == 1:
                raise UserError("features-no-memory", name=self.plan.name, device=self.device, said=said)
            self.limit = tried // 2
            memory.note(f"features of {self.plan.stream.name}={self.plan.encoder.name}", self.limit)

    @torch.inference_mode()
    def compute(self, inputs: Inputs, mask: np.ndarray, *, bf16: bool) -> torch.Tensor:
        """Return (T, D) float32 on the device, computed in one piece."""
        tensors = {name: _moved(value, self.device).unsqueeze(0) for name, value in inputs.items()}
        weights = self.rounded.used() if bf16 else nullcontext()
        with weights, torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            out = encode(self.encoder, tensors, _moved(mask, self.device).unsqueeze(0))
        return out[0].float()


def features_of_noise(encoder: Encoder, count: int) -> torch.Tensor:
    """Return the features (count, D) float32 of noise pictures; the last one is a picture that grows brighter.

    Each count gives other noise. The result is empty, (0, D), if the input is not pictures.
    """
    spec = encoder.input
    if not isinstance(spec, FrameInput):
        return torch.zeros(0, encoder.dim)
    shape = (1, count + 2 * spec.context, spec.size, spec.size, 3)
    frames = np.random.default_rng(count).integers(0, 256, shape, np.uint8)
    frames[:, -1 - spec.context] = np.linspace(0, 255, spec.size).astype(np.uint8)[:, None, None]
    device = next(encoder.parameters(), torch.empty(0)).device
    present = torch.ones(shape[:2], dtype=torch.bool, device=device)
    inputs = {"frames": torch.from_numpy(frames).to(device), "present": present}
    return encode(encoder, inputs, present[:, :count])[0].float()


def _moved(array: np.ndarray, device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def pieces(inputs: Inputs, mask: np.ndarray, spec: object, length: int) -> list[tuple[Inputs, np.ndarray]]:
    """Cut a chunk into pieces of at most ``length`` frames, each with the neighbours or sound that its frames need."""
    if len(mask) <= length:
        return [(inputs, mask)]
    out: list[tuple[Inputs, np.ndarray]] = []
    for start in range(0, len(mask), length):
        stop = min(start + length, len(mask))
        if isinstance(spec, AudioInput):
            times = inputs["times"][start:stop]
            first, last = sound_window(times, spec)
            part = {name: inputs[name][first : max(first + 1, last)] for name in ("samples", "samples_valid")}
            part["times"] = (times - first / spec.rate).astype(np.float32)
        else:
            beside = 2 * spec.context if isinstance(spec, FrameInput) else 0
            part = {name: value[start : stop + beside] for name, value in inputs.items()}
        out.append((part, mask[start:stop]))
    return out


def frozen_slots(plans: Sequence[SlotPlan], settings: Features, device: torch.device) -> list[FrozenSlot]:
    """Return the frozen slots of a plan with their weights found and verified.

    Raises UserError, which says what to do, if weights are missing.
    """
    slots = []
    for plan in plans:
        if plan.frozen:
            slots.append(FrozenSlot(plan, settings, device, find(plan.passport) if plan.passport else None))
    return slots
