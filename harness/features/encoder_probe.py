"""Measure an encoder: how far bfloat16 is from float32, and whether features depend on the position in a batch.

Measured on real frames, once per cache, encoder and machine.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from harness.data.decoding.frames import pictures as pictures_of
from harness.data.index.index import Index, Video
from harness.data.streams.raw_inputs import RawSlot, collate
from harness.data.streams.sources import open_reader, source_of
from harness.features.frozen_encoder import FrozenSlot, Inputs, PrecisionProbe
from harness.io.atomic import atomic, clear_parts_of
from harness.io.digests import opened, sealed
from harness.io.hashing import digest
from harness.runtime.precision import warn_of_bfloat16
from zoo.api import FrameInput
from zoo.errors import UserError
from zoo.weights.cards import cache_dir

VIDEOS, FRAMES = 4, 4  # number of videos to measure, and of frames of each


def choose_precision(index: Index, slots: Sequence[FrozenSlot], *, building: bool = False) -> None:
    """Measure slots that have not been measured yet, and choose the precision of each slot by the result.

    ``building``: features are about to be computed. If bfloat16 is further from float32 than ``features.tolerance``,
    raise UserError if it was asked for; with ``auto``, warn and use float32.
    """
    for slot in slots:
        choose_precision_of(slot, partial(measure, index, slot), building=building)


def choose_precision_of(slot: FrozenSlot, measured: Callable[[], PrecisionProbe], *, building: bool = False) -> None:
    """Choose the precision of one slot; call ``measured`` if the cache does not hold the measurement."""
    if not slot.wants_bf16 and not building:
        return
    if building and slot.settings.precision == "bf16":
        warn_of_bfloat16(slot.device, "features.precision=bf16")
    slot.probe = load_or_measure(slot, measured)
    error = slot.probe.error
    if slot.wants_bf16 and not slot.bf16 and error is not None:
        said = (
            f"slot {slot.plan.name!r}: features in bfloat16 are {error:.1%} from those in float32, more than "
            f"features.tolerance = {slot.settings.tolerance:.1%}"
        )
        if slot.settings.precision == "bf16":
            raise UserError("bf16-too-far", said=said)
        if building:
            warnings.warn(f"{said}: they are computed in float32", stacklevel=2)


def load_or_measure(slot: FrozenSlot, measured: Callable[[], PrecisionProbe]) -> PrecisionProbe:
    """Return the measurement from the cache; if there is none, measure now and store it.

    One process measures while the others wait.
    """
    file = _memo(slot)
    if (probe := _read(file)) is not None:
        return probe
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            if (probe := _read(file)) is None:
                probe = measured()
                said = {"error": probe.error, "mixes": probe.batch_invariant, "encoder": slot.plan.encoder.name}
                if probe != PrecisionProbe():  # an empty result means that there was nothing to measure
                    clear_parts_of(file)
                    atomic(file, lambda part: part.write_text(json.dumps(sealed(said))))
    except PermissionError:
        probe = measured()
    return probe


def _memo(slot: FrozenSlot) -> Path:
    device = slot.device
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    key = digest("traits", *slot.identity(), slot.wants_bf16, machine, torch.get_num_threads(), torch.__version__)
    return cache_dir() / "encoders" / f"{key}.json"


def _read(file: Path) -> PrecisionProbe | None:
    try:
        said = opened(json.loads(file.read_bytes()), strict=True)
        return PrecisionProbe(None if said["error"] is None else float(said["error"]), bool(said["mixes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure(index: Index, slot: FrozenSlot) -> PrecisionProbe:
    """Measure the encoder of a slot; the result is empty if no video has a frame for the slot."""
    spec = slot.encoder.input
    if isinstance(spec, FrameInput) and not spec.context:
        return measure_pictures(slot, list(pictures(index, slot)))
    if not slot.wants_bf16 or (chunk := next(_chunks(index, slot), None)) is None:
        return PrecisionProbe()
    return measure_chunk(slot, *chunk)


def measure_pictures(slot: FrozenSlot, images: Sequence[np.ndarray]) -> PrecisionProbe:
    """Measure an encoder of single frames on some pictures."""
    if not images:
        return PrecisionProbe()
    error = _error(slot, batch_of(images), np.ones(len(images), bool)) if slot.wants_bf16 else None
    settled = PrecisionProbe(error)
    before, slot.probe = slot.probe, settled  # invariance is tested in the precision that will be used
    try:
        return PrecisionProbe(error, is_batch_invariant(slot, images))
    finally:
        slot.probe = before


def measure_chunk(slot: FrozenSlot, inputs: Inputs, mask: np.ndarray) -> PrecisionProbe:
    """Measure any other encoder on one chunk."""
    return PrecisionProbe(_error(slot, inputs, mask))


def _error(slot: FrozenSlot, inputs: Inputs, mask: np.ndarray) -> float:
    """Return the distance of bfloat16 from float32 features at the worst frame, as a share of their length."""
    exact, rough = (slot.compute(inputs, mask, bf16=b).cpu().numpy()[mask].astype(np.float64) for b in (False, True))
    error = np.linalg.norm(rough - exact, axis=1) / np.maximum(np.linalg.norm(exact, axis=1), 1e-30)
    return float(error.max()) if np.isfinite(error).all() else float("inf")


def batch_of(images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return pictures, all present, as the input of an encoder of frames."""
    return {"frames": np.stack(images), "present": np.ones(len(images), bool)}


def is_batch_invariant(slot: FrozenSlot, images: Sequence[np.ndarray]) -> bool:
    """Return True if pictures have the same features, bit for bit, at any position and in any company in a batch.

    Tried are several positions of a full batch, among different pictures, among copies of themselves, and alone among
    blanks.
    """
    n, rng = slot.chunk, np.random.default_rng(0)
    blank = np.zeros_like(images[0])
    draws = [rng.integers(len(images), size=n), np.zeros(n, np.int64), np.full(n, -1)]
    draws[2][rng.integers(n)] = 0
    known: dict[int, np.ndarray] = {}
    for draw in draws:
        rows = slot(batch_of([images[i] if i >= 0 else blank for i in draw]), np.ones(n, bool))
        for i, row in zip(draw.tolist(), rows, strict=True):
            if i >= 0 and not np.array_equal(known.setdefault(i, row), row):
                return False
    return True


def _some(index: Index) -> list[Video]:
    """Return videos from all over the index, in an order that reaches distant ones first."""
    step = max(1, len(index.videos) // VIDEOS)
    return [video for start in range(step) for video in index.videos[start::step]]


def pictures(index: Index, slot: FrozenSlot) -> Iterator[np.ndarray]:
    """Yield the first FRAMES pictures of each of the first VIDEOS videos that have some."""
    spec = slot.encoder.input
    assert isinstance(spec, FrameInput)
    videos = 0
    for video in _some(index):
        try:
            found = _first(index, video, slot, spec.size)
        except UserError:  # reported when the features of this video are computed
            continue
        yield from found
        videos += bool(found)
        if videos == VIDEOS:
            return


def _first(index: Index, video: Video, slot: FrozenSlot, size: int) -> list[np.ndarray]:
    reader = open_reader(slot.plan.stream, source_of(index, video))
    present = np.flatnonzero(reader.present())
    last = int(present[-1]) + 1 if len(present) else 0
    every = (image for (image,) in pictures_of([(reader, size)], video.video, last) if image is not None)
    return list(islice(every, FRAMES))


def _chunks(index: Index, slot: FrozenSlot) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Yield a few frames of each video as the encoder takes them: sound, vectors, or pictures with their neighbours."""
    raw = RawSlot(index, slot.plan, slot.encoder)
    for video in _some(index):
        try:
            present = open_reader(slot.plan.stream, source_of(index, video)).present()
            if not present.any():
                continue
            start = int(np.argmax(present))
            stop = min(start + VIDEOS * FRAMES, video.n_frames)
            inputs = collate(
                [raw.clip(video.name, start, stop)], stop - start, getattr(slot.encoder.input, "context", 0)
            )
            yield {name: value[0] for name, value in inputs.items()}, present[start:stop]
        except UserError:
            continue
