"""Hours of extraction for Aff-Wild2 by encoder, and GB of its features, from rates measured here.

    uv run python tests/benchmarks/encoders.py [--device cpu] [--rounds 3] [--only face=lite0 ...] [--write docs/scaling.md]

Each network with random weights (its speed does not depend on them), alone on batches in memory as extraction makes
them: 64 pictures, or 256 frames of sound, bfloat16 where the machine computes in it. Extraction reaches what
docs/performance.md says of these rates.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from tqdm import tqdm

from harness.benchmarks import tables as table
from harness.benchmarks.measure import Rates, describe, interleaved, machine
from harness.config.schema import Features
from harness.features.frozen_encoder import SOUND_CHUNK, FrozenSlot, features_of_noise
from harness.runtime.device import pick_device
from zoo.api import FrameInput
from zoo.model.model import build_encoder
from zoo.registry.plan import make_plan
from zoo.registry.tracks import find_track, load_plugins
from zoo.weights.batch_norm_folding import fold

FRAMES = 2_900_000  # face crops of Aff-Wild2, all sets
FPS = 30.0
SLOTS = (
    "face=lite0",
    "context=lite0@224",
    "face=timm:resnet18",
    "face=timm:resnet50",
    "face=hsemotion:enet_b0_8_best_vgaf",
    "context=places365:resnet50",
    "context=timm:resnet50@224",
    "face=timm:convnext_tiny@224",
    "face=timm:vit_base_patch16_224",
    "audio=vggish",
    "audio=ssl:wav2vec2_base",
)


def slot_of(said: str, device: torch.device) -> FrozenSlot:
    """A frozen slot ``STREAM=ENCODER[:ARGUMENT][@PIXELS]`` with random weights."""
    encoders, _, size = said.partition("@")
    options = {f"encoder.{encoders.partition('=')[0]}.size": int(size)} if size else {}
    registry = load_plugins([])
    track = find_track(registry, "va", None)[1]
    plan = make_plan(registry, encoders=encoders, fusion="late", head="gru", answers=track.answers, options=options)
    slot = FrozenSlot(plan.slots[0], Features(), device, None)
    slot._encoder = encoder = slot.to_device(build_encoder(slot.plan).eval().requires_grad_(False))
    fold(encoder, partial(features_of_noise, encoder))
    return slot


def chunk_of(slot: FrozenSlot) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What extraction gives the network at once."""
    rng, spec = np.random.default_rng(0), slot.encoder.input
    if isinstance(spec, FrameInput):
        n = slot.chunk + 2 * spec.context
        pictures = rng.integers(0, 255, (n, spec.size, spec.size, 3), np.uint8)
        return {"frames": pictures, "present": np.ones(n, bool)}, np.ones(slot.chunk, bool)
    times = (np.arange(SOUND_CHUNK) / FPS + spec.margin).astype(np.float32)
    samples = rng.normal(0, 0.1, round((times[-1] + spec.margin) * spec.rate)).astype(np.float32)
    return {"samples": samples, "samples_valid": np.ones(len(samples), bool), "times": times}, np.ones(
        SOUND_CHUNK, bool
    )


def work(slot: FrozenSlot, inputs: dict[str, np.ndarray], mask: np.ndarray) -> float:
    """One batch; frames."""
    return float(len(slot(inputs, mask)))


def row(said: str, slot: FrozenSlot, rates: Rates) -> tuple[str, ...]:
    """A line of the table."""
    spec, million = slot.encoder.input, sum(p.numel() for p in slot.encoder.parameters()) / 1e6
    size = f"{spec.size} px" if isinstance(spec, FrameInput) else "sound"
    return (
        f"`{said.partition('@')[0]}`",
        size,
        f"{million:.1f}",
        "bf16" if slot.wants_bf16 else "float32",
        f"{rates.median:,.0f}",
        f"{FRAMES / rates.median / 3600:,.1f}",
        f"{FRAMES * slot.encoder.dim * 2 / 1e9:.1f}",
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=SLOTS)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    device = pick_device(given.device)
    rows, slots = [], {said: slot_of(said, device) for said in given.only}
    for said, slot in tqdm(slots.items(), unit="encoder", disable=None):
        rates = interleaved({said: partial(work, slot, *chunk_of(slot))}, rounds=given.rounds)[said]
        rows.append(row(said, slot, rates))
    heads = (
        "slot",
        "input",
        "million weights",
        "computed in",
        "frames/s",
        f"hours, {FRAMES / 1e6:g} million frames",
        "GB, float16",
    )
    known = machine()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    content = f"On the {where} of: {describe(known)}.\n\n{table.plain(heads, rows)}"
    print(content)
    if given.write:
        table.write(given.write, content)


if __name__ == "__main__":
    main()
