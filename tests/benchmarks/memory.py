"""Memory stays flat: extraction, and training and evaluation from the cache, of one video of 100,000 frames and of
2.7 million frames in 594 videos.

    uv run python tests/benchmarks/memory.py DIR [--json OUT] [--sets one all] [--only extract train ...]

Each stage runs in a process of its own. Printed are its peak resident memory as the kernel kept it (VmHWM, with the
pages of mapped files, which the kernel takes back when it wants them) and the peak of what is the process's own
(RssAnon, looked at every 50 ms). The features that are trained on are random, of the width of EfficientNet-Lite0's,
written straight into a cache in DIR (7 GB), and kept there. Those that are extracted come from the pictures of one
folder that all videos share: of the one video by EfficientNet-Lite0, of the 594 by mean colours, which no memory
depends on and which take minutes instead of hours. The JSON is for `harness bench --seed-baseline --include OUT`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

LIMIT = 2000.0  # MB
SETS = {"one": (100_000, 1), "all": (2_700_000, 594)}  # frames, videos
DIM = 1280
TRACKS = ("va", "expr", "mtl")
STAGES = ("extract", "make", "train", *(f"evaluate-{track}" for track in TRACKS))
COLOURS = Path(__file__).with_name("mean_colours.py")


class Peak:
    """Watches this process's memory."""

    def __init__(self) -> None:
        self.anon = 0.0
        self.began = time.perf_counter()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.anon = max(self.anon, status("RssAnon"))
            time.sleep(0.05)

    def report(self, **more: Any) -> None:
        """One line of JSON for the parent."""
        said = {"peak": status("VmHWM"), "anon": max(self.anon, status("RssAnon"))}
        print(json.dumps({**said, "seconds": round(time.perf_counter() - self.began, 1), **more}))


def status(field: str) -> float:
    """MB from /proc/self/status."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def track_of(name: str):
    """Edition and track."""
    from zoo.registry.tracks import find_track, load_plugins

    return find_track(load_plugins([]), name, None)


def plan_for(track: Any, head: str = "gru", encoders: str = "face", **options: Any):
    """Face features, late fusion."""
    from zoo.registry.plan import make_plan
    from zoo.registry.tracks import load_plugins

    return make_plan(
        load_plugins([str(COLOURS)]),
        encoders=encoders,
        fusion="late",
        head=head,
        answers=track.answers,
        post=("interpolate", "smooth", "clip"),
        options=options,
    )


def a_video(name: str, frames: int, track: Any, split: str):
    """A video with labels drawn from its name."""
    from harness.data.index.index import Video

    rng = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    columns = [
        rng.uniform(a.low, a.high, frames)
        if a.kind == "value"
        else rng.integers(len(a.classes) if a.kind == "class" else 2, size=frames)
        for a in track.answers
    ]
    ones = np.ones(frames, bool)
    return Video(name, name, split, frames, None, None, ones, np.stack(columns, 1).astype(np.float32), ones)


def an_index(args: argparse.Namespace, track: Any, split: str):
    """All videos in one split."""
    from harness.data.index.index import Index

    edition = track_of(track.name)[0]
    sizes = args.frames // args.videos - args.videos // 2 + np.arange(args.videos)
    sizes[-1] += args.frames - sizes.sum()  # no two alike: crops of one folder and as many frames have one key
    videos = tuple(a_video(f"v{i}", int(n), track, split) for i, n in enumerate(sizes))
    return Index(args.dir, edition, track, "", videos, None, ())


def store_of(index: Any):
    """The features of all videos, made where they are missing."""
    from harness.features.cache.entry import Entry, Writer
    from harness.features.store import FeatureStore

    store = FeatureStore()
    rng = np.random.default_rng(0)
    block = rng.normal(size=(4096, DIM)).astype(np.float32)
    for video in index.videos:
        entry = Entry.of(hashlib.sha256(f"{video.name} {video.n_frames} {DIM}".encode()).hexdigest())
        store.folders["face", video.name] = entry.folder
        if entry.check(content=False) is None:
            continue
        present = rng.random(video.n_frames) < 0.978
        writer, left = Writer(entry, DIM, "float16"), int(present.sum())
        while left:
            writer.add(block[: min(left, len(block))])
            left -= min(left, len(block))
        writer.finish(present, {"video": video.name, "stream": "face", "encoder": "random", "precision": "none"})
    return store


def model_of(track: Any, dim: int, head: str):
    """The network with random weights."""
    from harness.config.schema import Project
    from zoo.api import Counts
    from zoo.model.model import AdapterOptions, Model

    bins = {"value": 20, "binary": 2}
    counts = [Counts(1000, (100,) * bins.get(a.kind, len(a.classes))) for a in track.answers]
    return Model(plan_for(track, head), {"face": dim}, counts, AdapterOptions(**Project().model_dump()))


def extract(args: argparse.Namespace) -> None:
    """Every video's crops are the first of one folder, whose files are links to 64 pictures."""

    from harness.config.schema import Features
    from harness.features.extraction import extract as run
    from harness.features.frozen_encoder import frozen_slots
    from harness.runtime.device import pick_device

    few = args.videos == 1
    index = an_index(args, track_of("va")[1], "train")
    crops = crops_in(args.dir / f"crops{args.videos}", max(video.n_frames for video in index.videos))
    index = replace(index, videos=tuple(replace(video, crops=crops) for video in index.videos))
    plan = plan_for(
        track_of("va")[1], encoders="face" if few else "face=colours", **{"encoder.face.size": 32} if few else {}
    )
    slots = frozen_slots(plan.slots, Features(), pick_device("cpu"))
    with tempfile.TemporaryDirectory(dir=args.dir) as cache:
        os.environ["ABAW_ZOO_CACHE"] = cache
        peak = Peak()
        store, failures = run(index, slots, progress=False)
        assert not failures
        assert sum(len(store.rows("face", video.name)) for video in index.videos) == args.frames
        peak.report(frames=args.frames)


def crops_in(folder: Path, frames: int) -> Path:
    """So many face crops, made where they are missing."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(len(list(folder.iterdir())), frames):
        path = folder / f"{i + 1:05d}.jpg"
        if i < 64:
            cv2.imwrite(str(path), cv2.resize(rng.integers(0, 255, (14, 14, 3), np.uint8), (112, 112)))
        else:
            os.link(folder / f"{i % 64 + 1:05d}.jpg", path)
    return folder


def make(args: argparse.Namespace) -> None:
    """Write the features."""
    peak = Peak()
    store_of(an_index(args, track_of("va")[1], "train"))
    peak.report(frames=args.frames)


def train(args: argparse.Namespace) -> None:
    """Fit the adapter and train an epoch, as `harness run` does."""

    from harness.batching.clips import ClipData
    from harness.batching.training_windows import training_counts
    from harness.config.schema import Train
    from harness.runtime.device import pick_device
    from harness.runtime.distributed import single_process
    from harness.training.build import fit_adapters
    from harness.training.loop import train as run

    track = track_of("va")[1]
    peak = Peak()
    index = an_index(args, track, "train")
    store = store_of(index)
    data = ClipData(index, index.videos, ["face"], store, {})
    training_counts(track, data)
    model = model_of(track, DIM, args.head)
    began = time.perf_counter()
    fit_adapters(model, data, store)
    fitted = time.perf_counter() - began
    settings = Train(epochs=2 if args.frames < 500_000 else 1)
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        began = time.perf_counter()
        trained = run(
            model,
            data,
            None,
            track,
            settings,
            seed=0,
            world=single_process(pick_device("cpu")),
            folder=Path(folder),
            progress=False,
        )
    assert trained.steps >= args.frames // (settings.clip * settings.batch)
    peak.report(frames=args.frames, fitting=round(fitted, 1), rate=round(trained.frames_per_second or 0))


def evaluate(args: argparse.Namespace, name: str) -> None:
    """Answer every frame, score, post-process, write the tables, as `harness run` does."""
    import torch

    from harness.batching.clips import ClipData
    from harness.evaluation.prediction import answers
    from harness.runs.results import answer_test, score_split
    from harness.runtime.device import pick_device

    track = track_of(name)[1]
    peak = Peak()
    index = an_index(args, track, "val")
    data = ClipData(index, index.videos, ["face"], store_of(index), {})
    torch.manual_seed(0)
    model = model_of(track, DIM, args.head)
    job: Any = SimpleNamespace(
        track=track, plan=plan_for(track, args.head), split="val", config=SimpleNamespace(fold=0)
    )
    got = list(answers(model, data, track, length=64, batch=32, device=pick_device("cpu")))
    answered = time.perf_counter() - peak.began
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        scored = score_split(job, got, Path(folder))
        assert scored.scores["raw"]["frames"] == args.frames
        answer_test(job, got, scored.chain, Path(folder))
    peak.report(frames=args.frames, answering=round(answered, 1))


def in_own_process(args: argparse.Namespace, stage: str, frames: int, videos: int) -> dict[str, Any]:
    """What a stage reports."""
    more = ("--stage", stage, "--frames", str(frames), "--videos", str(videos), "--head", args.head)
    done = subprocess.run(
        [sys.executable, __file__, str(args.dir), *more], stdout=subprocess.PIPE, text=True, check=True
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def row(stage: str, videos: int, said: dict[str, Any]) -> dict[str, Any]:
    """A line of docs/performance.md."""
    what = {"extract": "extraction", "train": "an epoch of training"}.get(
        stage, stage.replace("evaluate-", "evaluation, ")
    )
    of = f"{said['frames']:,} frames in {videos} videos" if videos > 1 else f"one video of {said['frames']:,} frames"
    figure = f"{said['peak']:,.0f} MB resident, {said['anon']:,.0f} MB its own; {said['seconds']:,.0f} s"
    return {
        "section": "Size and memory",
        "what": f"{what}, {of}",
        "figure": figure,
        "wanted": f"< {LIMIT:,.0f} MB",
        "reached": said["peak"] < LIMIT,
    }


def main() -> None:
    """All stages, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--head", default="gru")
    parser.add_argument("--sets", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--only", nargs="*", choices=STAGES, default=STAGES)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--videos", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        os.environ["ABAW_ZOO_CACHE"] = str(args.dir / "cache")
        stage, _, track = args.stage.partition("-")
        evaluate(args, track) if track else {"extract": extract, "make": make, "train": train}[stage](args)
        return
    args.dir.mkdir(parents=True, exist_ok=True)
    rows = []
    for frames, videos in (SETS[name] for name in args.sets):
        for stage in args.only:
            said = in_own_process(args, stage, frames, videos)
            print(f"{stage}, {videos} videos: {json.dumps(said)}", flush=True)
            if stage != "make":
                rows.append(row(stage, videos, said))
    if args.json:
        args.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    sys.exit(not all(row["reached"] for row in rows))


if __name__ == "__main__":
    main()
