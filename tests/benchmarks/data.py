"""Data at full size: the index of 594 videos, random clips of a pack, crops from their JPEGs.

    python tests/benchmarks/data.py DIR [index] [clips] [loader]

Writes a synthetic tree of the real size and a demo set into DIR (kept for the next time). Rates are taken in turn
(harness.benchmarks.measure) and told as medians over rounds, ratios within a round with their range.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as harness.cli does, before torch is loaded

import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from harness.batching.clips import ClipData
from harness.batching.windows import Window
from harness.benchmarks import baseline as seed
from harness.benchmarks.measure import Rates, describe, in_child, interleaved, machine
from harness.data.affwild2.build import build_index
from harness.data.index.index import Index
from harness.data.preprocessing.pack_build import make_pack
from harness.data.preprocessing.pack_plan import Settings, plan
from harness.data.streams.raw_inputs import RawSlot
from harness.data.synthetic import make_demo
from harness.features.store import FeatureStore
from harness.runtime.machine import cores
from plugins.editions import abaw10
from tests.benchmarks.affwild2_tree import write_tree
from zoo.api import FrameInput
from zoo.modules import Encoder
from zoo.registry.plan import SlotPlan, make_plan
from zoo.registry.registry import load

VA = abaw10.EDITION.tracks[0]
CLIP, CLIPS = 64, 24
ROUNDS = 5
SIZE = 112


class Viewer(Encoder):
    """Asks for pictures of a size, and gives nothing."""

    def __init__(self, size: int) -> None:
        super().__init__(1, FrameInput(size, seed.MEAN, seed.STD))


# --- the index --------------------------------------------------------------------------------------------------------


def show_index(folder: Path) -> None:
    """Cold, warm, and with one annotation changed."""
    root = folder / "tree"
    if not root.is_dir():
        write_tree(root)
    one = next((root / "10th_ABAW_Annotations").glob("VA*/Train_Set/*.txt"))
    cache = Path(os.environ["ABAW_ZOO_CACHE"]) / "index"
    lines = one.read_text().splitlines()

    def change() -> None:
        lines[-1] = "0.5,0.25" if lines[-1] != "0.5,0.25" else "-5,-5"
        one.write_text("\n".join(lines) + "\n")

    cases: dict[str, Callable[[], object]] = {
        "cold (nothing kept)": lambda: shutil.rmtree(cache, ignore_errors=True),
        "warm": lambda: None,
        "one annotation changed": change,
    }
    print(f"index of track va ({ROUNDS} rounds)          seconds  (range)        peak MB")
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    peaks: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(ROUNDS):
        for case, begin in cases.items():
            begin()
            child = in_child("affwild2_tree:index_once", str(root))
            seconds[case].append(child.result[0])
            peaks[case].append(child.peak_mb)
    for case, took in seconds.items():
        print(f"{case:<34} {np.median(took):9.2f}  {min(took):.2f}-{max(took):.2f} {max(peaks[case]):12.0f}")
    print(f"{child.result[1]} videos, {child.result[2]:,} frames")


# --- pictures ---------------------------------------------------------------------------------------------------------


def demo_index(folder: Path) -> Index:
    """The demo set with its pack."""
    root = folder / "demo"
    make_demo(root, videos=(12, 4, 2))
    make_pack(plan(root), Settings(root, root / "pack", SIZE))
    return replace(build_index(root, abaw10.EDITION, VA), pack=root / "pack")


def slot(stream: str) -> SlotPlan:
    """A slot of a stream."""
    return make_plan(load([]), encoders=stream, fusion="late", head="gru", answers=VA.answers).slots[0]


def windows(data: ClipData, length: int, count: int, rng: np.random.Generator) -> list[Window]:
    """Random windows whose frames are all present."""
    out: list[Window] = []
    while len(out) < count:
        v = int(rng.integers(len(data.videos)))
        start = int(rng.integers(max(1, data.videos[v].n_frames - length)))
        if data.seen[v][start : start + length].sum() == length:
            out.append(Window(v, start, start + length))
    return out


def decode(jpegs: list[np.ndarray]) -> None:
    """The bare decoder."""
    for data in jpegs:
        cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def show_clips(folder: Path) -> None:
    """Random clips of the pack beside the bare decoder on the same JPEGs in memory, one thread and all."""
    index = demo_index(folder)
    print(
        f"random {CLIP}-frame clips, {SIZE} pixels              ours      bare   ratio by the clock   by processor time"
    )
    for stream in ("face", "context", "body"):
        raw = RawSlot(index, slot(stream), Viewer(SIZE))
        data = ClipData(index, index.videos, [stream], FeatureStore(), {stream: raw})
        chosen = windows(data, CLIP, CLIPS, np.random.default_rng(0))
        cuts = [(data.videos[w.video].name, w) for w in chosen]
        jpegs = [[np.array(raw.reader(name).packed.jpeg(i)) for i in range(w.start, w.stop)] for name, w in cuts]
        pool = ThreadPoolExecutor(cores())

        def ours(raw: RawSlot = raw, cuts: list[tuple[str, Window]] = cuts) -> float:
            for name, w in cuts:
                raw.clip(name, w.start, w.stop)
            return float(CLIP * len(cuts))

        def bare(jpegs: list[list[np.ndarray]] = jpegs) -> float:
            for clip in jpegs:
                decode(clip)
            return float(CLIP * len(jpegs))

        def batches(data: ClipData = data, chosen: list[Window] = chosen) -> float:
            data.batch(chosen, CLIP)
            return float(CLIP * len(chosen))

        def bare_threads(jpegs: list[list[np.ndarray]] = jpegs, pool: ThreadPoolExecutor = pool) -> float:
            list(pool.map(decode, jpegs))
            return float(CLIP * len(jpegs))

        _tell(f"{stream}, clip by clip, 1 thread", "ours", "bare", {"ours": ours, "bare": bare})
        _tell(f"{stream}, whole batches, {cores()} threads", "ours", "bare", {"ours": batches, "bare": bare_threads})


def show_loader(folder: Path) -> None:
    """Batches of 16 sequences of 16 face crops: frame by frame through PIL and transforms, and ours."""
    index = demo_index(folder)
    few = [video for video in index.videos if video.crops is not None and video.crop_frames.sum() > 32]
    sequences = seed.sequences(seed.face_videos(few))[: 16 * 6]
    dataset = seed.FrameByFrame(sequences)
    print("face crops, batches of 16 x 16                 ours      seed   ratio by the clock   by processor time")
    for name, used in (("JPEGs", replace(index, pack=None)), ("pack", index)):
        raw = RawSlot(used, slot("face"), Viewer(SIZE))
        data = ClipData(used, few, ["face"], FeatureStore(), {"face": raw})
        chosen = windows(data, 16, 16 * 6, np.random.default_rng(0))

        def theirs() -> float:
            return float(sum(labels.shape[0] * labels.shape[1] for _, labels in seed.loader(dataset)))

        def ours(
            threads: int, floats: bool = False, data: ClipData = data, chosen: list[Window] = chosen, raw: RawSlot = raw
        ) -> float:
            done = 0
            for k in range(0, len(chosen), 16):
                part = chosen[k : k + 16]
                if threads == 1:
                    for w in part:
                        raw.clip(data.videos[w.video].name, w.start, w.stop)
                else:
                    frames = data.batch(part, 16).inputs["face"]["frames"]
                    if floats:
                        ((frames.movedim(-1, -3).float() / 255) - MEAN).div_(STD)
                done += 16 * len(part)
            return float(done)

        _tell(f"{name}, clip by clip, 1 thread", "ours", "seed", {"ours": partial(ours, 1), "seed": theirs})
        _tell(f"{name}, batches", "ours", "seed", {"ours": partial(ours, 2), "seed": theirs})
        _tell(f"{name}, batches, as floats", "ours", "seed", {"ours": partial(ours, 2, True), "seed": theirs})


MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in (seed.MEAN, seed.STD))


def _tell(label: str, one: str, other: str, candidates: dict[str, Callable[[], float]]) -> None:
    """Frames a second, and ratios both by the clock and by processor time, which others on the machine disturb less."""
    shares: dict[str, list[float]] = {name: [] for name in candidates}

    def timed(name: str) -> float:
        start = time.process_time()
        done = candidates[name]()
        shares[name].append(done / (time.process_time() - start))
        return done

    rates = interleaved({name: partial(timed, name) for name in candidates}, rounds=ROUNDS)
    clock, processor = (
        rates[one].over(rates[other]),
        Rates(tuple(shares[one][1:])).over(Rates(tuple(shares[other][1:]))),
    )
    both = "   ".join(f"{r.median:5.2f} ({r.low:.2f}-{r.high:.2f})" for r in (clock, processor))
    print(f"{label:<42} {rates[one].median:9,.0f} {rates[other].median:9,.0f}   {both}")


def main() -> None:
    """What the command line asks for; all without."""
    folder, *wanted = sys.argv[1:]
    os.environ["ABAW_ZOO_CACHE"] = str(Path(folder) / "cache")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)  # transforms of one small picture gain nothing from more
    print(describe(machine()))
    for name, show in {"index": show_index, "clips": show_clips, "loader": show_loader}.items():
        if name in wanted or not wanted:
            show(Path(folder))


if __name__ == "__main__":
    main()
