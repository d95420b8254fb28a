"""Random clips from a pack next to the bare decoder, and the disk space of a pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import simplejpeg

from harness.batching.clips import ClipData
from harness.batching.windows import Window, batches
from harness.benchmarks.measure import Work, interleaved
from harness.benchmarks.tables import Row, against, most
from harness.benchmarks.workload import cut
from harness.config.schema import load_config
from harness.data.packed.reader import Pictures
from harness.data.preprocessing.pack_build import make_pack
from harness.data.preprocessing.pack_plan import Settings, plan
from harness.data.streams.raw_inputs import RawSlot
from harness.features.store import FeatureStore
from harness.io.scratch import scratch
from harness.runs.job import Job, make_job
from harness.runtime.machine import cores
from zoo.errors import UserError
from zoo.model.model import build_encoder

CLIP, CLIPS, BATCH = 64, 32, 16
VIDEOS, FRAMES = 4, 10_000  # of each split, at most
STREAMS = {"face": 112, "context": 224}  # and the pixels they are stored with


def rows(data: str | None, rounds: int, tick: Callable[[str], object]) -> list[Row]:
    """Pack some videos, read random clips of 64 frames, and measure the size of the files."""
    with scratch("bench") as folder:
        jobs = {stream: packed_job(data, stream, size, folder) for stream, size in STREAMS.items()}
        tick("packing")
        pack(next(iter(jobs.values())), folder)
        out = []
        for stream, job in jobs.items():
            clips_of = clip_data(job, stream)
            clips = random_clips(clips_of, np.random.default_rng(0))
            bare = BareClips(stream, clips_of, clips)
            work: dict[str, Work] = {"bare": bare, "kept": bare.kept, "pack": partial(read, clips_of, clips)}
            # Many rounds: a new batch is slow until its memory is allocated.
            got = interleaved(work, rounds=6 * rounds, tick=tick)
            what, threads = f"random clips of {CLIP} frames from the pack, {stream}", f"{cores()} threads"
            out.append(against(what, f"bare decoder, {threads}", got["bare"], got["pack"], 0.9))
            out.append(
                against("the same", f"bare decoder that keeps its pictures, {threads}", got["kept"], got["pack"])
            )
        return [*out, *sizes(jobs)]


def packed_job(data: str | None, stream: str, size: int, folder: Path) -> Job:
    """Return a job on one stream of the pack in ``folder``, with images of the stored size."""
    sets = [f"data.pack={folder}", f"encoder.{stream}.size={size}"]
    config = load_config("default", {"data_dir": data, "encoders": f"{stream}=lite0"}, sets)
    return cut(make_job(config), videos=VIDEOS, frames=FRAMES)


def pack(job: Job, folder: Path) -> None:
    """Pack the job's videos; raise UserError if one fails."""
    names = {video.name for video in job.index.videos}
    items = [item for item in plan(job.index.root, list(STREAMS)) if names & {name for _, name in item.wanted}]
    failed = [o for o in make_pack(items, Settings(job.index.root, folder), progress=False) if o.outcome == "failed"]
    if failed:
        raise UserError("bench-pack-failed", name=failed[0].name, reason=failed[0].reason)


def clip_data(job: Job, stream: str) -> ClipData:
    """Return all videos of a job as clips, read as for training that encoder."""
    (slot,) = job.plan.slots
    raw = RawSlot(job.index, slot, build_encoder(slot))
    return ClipData(job.index, job.index.videos, [stream], FeatureStore(), {stream: raw})


def random_clips(data: ClipData, rng: np.random.Generator) -> list[Window]:
    """Return clips at random places of random videos."""
    long = [v for v, video in enumerate(data.videos) if video.n_frames >= CLIP]
    if not long:
        raise UserError("bench-videos-too-short", clip=CLIP)
    chosen = [long[int(i)] for i in rng.integers(len(long), size=CLIPS)]
    starts = [int(rng.integers(data.videos[v].n_frames - CLIP + 1)) for v in chosen]
    return [Window(v, start, start + CLIP) for v, start in zip(chosen, starts, strict=True)]


def read(data: ClipData, clips: Sequence[Window]) -> float:
    """Read batches in the same way as training; return images."""
    (slot,) = data.slots
    return float(sum(int(data.batch(part, CLIP).present[slot].sum()) for part in batches(clips, BATCH)))


class BareClips:
    """The same clips' JPEGs in memory, decoded with one thread per clip.

    The images are discarded, so that they stay in the processor's cache, or ``kept`` in an array allocated before.
    """

    def __init__(self, stream: str, data: ClipData, clips: Sequence[Window]) -> None:
        self.jpegs: list[list[np.ndarray]] = []
        for clip in clips:
            name = data.videos[clip.video].name
            packed: Pictures | None = data.raw[stream].reader(name).packed
            if packed is None:
                raise UserError("bench-pack-unused", name=name)
            self.jpegs.append([packed.jpeg(i).copy() for i in range(clip.start, clip.stop) if packed.has(i)])
        self.pool = ThreadPoolExecutor(cores())
        self.place = np.zeros((BATCH, CLIP, STREAMS[stream], STREAMS[stream], 3), np.uint8)

    def __call__(self) -> float:
        """Decode everything; return images."""
        return self._decoded(lambda clip, row: _decode_all(clip))

    def kept(self) -> float:
        """Decode everything into the array; return images."""
        return self._decoded(lambda clip, row: _decode_all(clip, self.place[row]))

    def _decoded(self, decode: Callable[[list[np.ndarray], int], None]) -> float:
        for part in batches(self.jpegs, BATCH):
            list(self.pool.map(decode, part, range(len(part))))
        return float(sum(map(len, self.jpegs)))


def _decode_all(clip: Sequence[np.ndarray], places: Sequence[np.ndarray | None] | np.ndarray = (None,) * CLIP) -> None:
    for jpeg, place in zip(clip, places, strict=False):
        simplejpeg.decode_jpeg(jpeg, buffer=place)


def sizes(jobs: dict[str, Job]) -> list[Row]:
    """Return the bytes per frame in each stream's files."""
    out = []
    for stream, job in jobs.items():
        pack = job.index.pack
        assert pack is not None
        have = [(v.n_frames, path) for v in job.index.videos if (path := pack / stream / f"{v.name}.arrow").is_file()]
        per_frame = sum(path.stat().st_size for _, path in have) / max(1, sum(frames for frames, _ in have))
        out.append(most(f"pack, {stream}, {STREAMS[stream]} pixels", {"bytes a frame": (per_frame, None)}))
    return out
