"""How far the features of packed pictures are from those of the raw video, by how they are stored.

    uv run python tests/benchmarks/pack_error.py DATA [--track va] [--every 10] [--videos 6]

DATA: a folder with raw videos and person boxes (`harness data crop RAW --out DATA`, or a demo set). EfficientNet-Lite0 in
float32 on pictures of 112 pixels, body and context; told is the mean over frames of |packed - raw| / |raw|.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from tabulate import tabulate
from tqdm import tqdm

from harness.config.schema import Features, load_config
from harness.data.decoding.frames import pictures as pictures_of
from harness.data.preprocessing.pack_build import make_pack
from harness.data.preprocessing.pack_plan import Settings, plan
from harness.data.streams.sources import open_reader, source_of
from harness.features.frozen_encoder import FrozenSlot, frozen_slots
from harness.runs.job import Job, make_job

PIXELS = 112
STORED = ((224, 95), (224, 90), (112, 95))
STREAMS = ("body", "context")


def job_of(data: Path, track: str, stream: str, pack: str) -> Job:
    """EfficientNet-Lite0 on one stream."""
    sets = [f"encoder.{stream}.size={PIXELS}", f"data.pack={pack}"]
    return make_job(
        load_config("default", {"data_dir": str(data), "track": track, "encoders": stream, "device": "cpu"}, sets)
    )


def pictures(job: Job, stream: str, videos: int, every: int) -> Iterator[np.ndarray]:
    """Every so manieth picture of the first videos."""
    (slot,) = job.plan.slots
    for video in [v for v in job.index.videos if v.video is not None][:videos]:
        reader = open_reader(slot.stream, source_of(job.index, video))
        for i, (image,) in enumerate(pictures_of([(reader, PIXELS)], video.video, video.n_frames)):
            if i % every == 0 and image is not None:
                yield image


def features(slot: FrozenSlot, images: list[np.ndarray]) -> torch.Tensor:
    """(N, D) float32."""
    parts = [np.stack(images[k : k + 64]) for k in range(0, len(images), 64)]
    inputs = [({"frames": part, "present": np.ones(len(part), bool)}, np.ones(len(part), bool)) for part in parts]
    return torch.cat([slot.compute(*one, bf16=False) for one in inputs])


def main() -> None:
    """Print a row a stream and way of storing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--track", default="va", help="of which DATA has annotations")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--videos", type=int, default=6)
    given = parser.parse_args()
    rows = []
    for stream in tqdm(STREAMS, disable=None):
        job = job_of(given.data, given.track, stream, "none")
        (slot,) = frozen_slots(job.plan.slots, Features(), torch.device("cpu"))
        raw = features(slot, list(pictures(job, stream, given.videos, given.every)))
        names = {v.name for v in [v for v in job.index.videos if v.video is not None][: given.videos]}
        for size, quality in STORED:
            with tempfile.TemporaryDirectory() as folder:
                items = [
                    replace(item, wanted=wanted)
                    for item in plan(given.data, [stream])
                    if (wanted := tuple(pair for pair in item.wanted if pair[1] in names))
                ]
                make_pack(items, Settings(given.data, Path(folder), size, quality), progress=False)
                packed = features(
                    slot,
                    list(pictures(job_of(given.data, given.track, stream, folder), stream, given.videos, given.every)),
                )
            error = float(((packed - raw).norm(dim=1) / raw.norm(dim=1)).mean())
            rows.append((stream, size, quality, len(raw), f"{100 * error:.1f} %"))
    print(tabulate(rows, ["stream", "pixels stored", "quality", "frames", "features differ by"]))


if __name__ == "__main__":
    main()
