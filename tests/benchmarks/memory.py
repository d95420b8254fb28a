"""Memory stays flat: extraction of a video of 100,000 frames; training and evaluation of 2.7 million frames from cache.

    uv run python tests/benchmarks/memory.py DIR [--frames 2700000] [--videos 594] [--dim 1280] [--only extract ...]

Each stage runs in a process of its own. Printed are its peak resident memory as the kernel kept it (VmHWM, with the
pages of mapped files, which the kernel takes back when it wants them) and the peak of what is the process's own
(RssAnon, looked at every 50 ms). Features are random, written straight into a cache in DIR (7 GB), and kept there.
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
LONG = 100_000  # frames of the one video
TRACKS = ("va", "expr", "mtl")


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
    from harness.setup import find_track, load_plugins

    return find_track(load_plugins([]), name, None)


def plan_for(track: Any, head: str = "gru", **options: Any):
    """Face features, late fusion."""
    from harness.setup import load_plugins
    from zoo.plan import make_plan

    return make_plan(load_plugins([]), encoders="face", fusion="late", head=head, answers=track.answers,
                     post=("interpolate", "smooth", "clip"), options=options)  # fmt: skip


def a_video(name: str, frames: int, track: Any, split: str):
    """A video with labels drawn from its name."""
    from harness.data.affwild2 import Video

    rng = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    columns = [
        rng.uniform(a.low, a.high, frames) if a.kind == "value" else
        rng.integers(len(a.classes) if a.kind == "class" else 2, size=frames) for a in track.answers
    ]  # fmt: skip
    ones = np.ones(frames, bool)
    return Video(name, name, split, frames, None, None, ones, np.stack(columns, 1).astype(np.float32), ones)


def an_index(args: argparse.Namespace, track: Any, split: str):
    """All videos in one split."""
    from harness.data.affwild2 import Index

    edition = track_of(track.name)[0]
    sizes = np.diff(np.linspace(0, args.frames, args.videos + 1).astype(int))
    videos = tuple(a_video(f"v{i}", int(n), track, split) for i, n in enumerate(sizes))
    return Index(args.dir, edition, track, "", videos, None, ())


def store_of(index: Any, args: argparse.Namespace):
    """The features of all videos, made where they are missing."""
    from harness.cache.entry import Entry, Writer
    from harness.store import FeatureStore

    store = FeatureStore()
    rng = np.random.default_rng(0)
    block = rng.normal(size=(4096, args.dim)).astype(np.float32)
    for video in index.videos:
        entry = Entry.of(hashlib.sha256(f"{video.name} {video.n_frames} {args.dim}".encode()).hexdigest())
        store.folders["face", video.name] = entry.folder
        if entry.fault(content=False) is None:
            continue
        present = rng.random(video.n_frames) < 0.978
        writer, left = Writer(entry, args.dim, "float16"), int(present.sum())
        while left:
            writer.add(block[: min(left, len(block))])
            left -= min(left, len(block))
        writer.finish(present, {"video": video.name, "stream": "face", "encoder": "random", "precision": "none"})
    return store


def model_of(track: Any, dim: int, head: str):
    """The network with random weights."""
    from harness.config import Project
    from zoo.api import Counts
    from zoo.assemble import AdapterOptions, Model

    bins = {"value": 20, "binary": 2}
    counts = [Counts(1000, (100,) * bins.get(a.kind, len(a.classes))) for a in track.answers]
    return Model(plan_for(track, head), {"face": dim}, counts, AdapterOptions(**Project().model_dump()))


def extract(args: argparse.Namespace) -> None:
    """One video of 100,000 frames, its crops links to a few pictures."""
    import cv2
    import torch

    from harness.config import Features
    from harness.data.affwild2 import Index
    from harness.extract import extract as run
    from harness.features import frozen_slots
    from harness.setup import find_track, load_plugins

    edition, track = find_track(load_plugins([]), "va", None)
    crops = args.dir / "crops"
    if not crops.is_dir():
        crops.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for i in range(LONG):
            path, first = crops / f"{i + 1:05d}.jpg", crops / f"{i % 64 + 1:05d}.jpg"
            if i < 64:
                cv2.imwrite(str(path), cv2.resize(rng.integers(0, 255, (14, 14, 3), np.uint8), (112, 112)))
            else:
                os.link(first, path)
    video = replace(a_video("long", LONG, track, "train"), crops=crops)
    index = Index(args.dir, edition, track, "", (video,), None, ())
    slots = frozen_slots(plan_for(track, **{"encoder.face.size": 32}).slots, Features(), torch.device("cpu"))
    with tempfile.TemporaryDirectory(dir=args.dir) as cache:
        os.environ["ABAW_ZOO_CACHE"] = cache
        peak = Peak()
        store, failures = run(index, slots, progress=False)
        assert not failures
        assert len(store.rows("face", "long")) == LONG
        peak.report(frames=LONG)


def make(args: argparse.Namespace) -> None:
    """Write the features."""
    peak = Peak()
    store_of(an_index(args, track_of("va")[1], "train"), args)
    peak.report(frames=args.frames)


def train(args: argparse.Namespace) -> None:
    """Fit the adapter and train an epoch, as `harness run` does."""
    import torch

    from harness.config import Train
    from harness.data.clips import ClipData, training_counts
    from harness.run import fit_adapters
    from harness.train import train as run
    from harness.world import alone

    track = track_of("va")[1]
    peak = Peak()
    index = an_index(args, track, "train")
    store = store_of(index, args)
    data = ClipData(index, index.videos, ["face"], store, {})
    training_counts(track, data)
    model = model_of(track, args.dim, args.head)
    began = time.perf_counter()
    fit_adapters(model, data, store)
    fitted = time.perf_counter() - began
    settings = Train(epochs=2 if args.frames < 500_000 else 1)
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        began = time.perf_counter()
        trained = run(model, data, None, track, settings, seed=0, world=alone(torch.device("cpu")),
                      folder=Path(folder), progress=False)  # fmt: skip
    assert trained.steps >= args.frames // (settings.clip * settings.batch)
    peak.report(frames=args.frames, fitting=round(fitted, 1), rate=round(trained.frames_per_second or 0))


def evaluate(args: argparse.Namespace, name: str) -> None:
    """Answer every frame, score, post-process, write the tables, as `harness run` does."""
    import torch

    from harness.conclude import answer_test, score_split
    from harness.data.clips import ClipData
    from harness.evaluate import answers

    track = track_of(name)[1]
    peak = Peak()
    index = an_index(args, track, "val")
    data = ClipData(index, index.videos, ["face"], store_of(index, args), {})
    torch.manual_seed(0)
    model = model_of(track, args.dim, args.head)
    job: Any = SimpleNamespace(
        track=track, plan=plan_for(track, args.head), split="val", config=SimpleNamespace(fold=0)
    )
    got = list(answers(model, data, track, length=64, batch=32, device=torch.device("cpu")))
    answered = time.perf_counter() - peak.began
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        scored = score_split(job, got, Path(folder))
        assert scored.scores["raw"]["frames"] == args.frames
        answer_test(job, got, scored.chain, Path(folder))
    peak.report(frames=args.frames, answering=round(answered, 1))


def main() -> None:
    """All stages, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--frames", type=int, default=2_700_000)
    parser.add_argument("--videos", type=int, default=594)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--head", default="gru")
    parser.add_argument("--only", nargs="*", default=["extract", "make", "train", *(f"evaluate-{t}" for t in TRACKS)])
    parser.add_argument("--stage")
    args = parser.parse_args()
    if args.stage:
        os.environ["ABAW_ZOO_CACHE"] = str(args.dir / "cache")
        stage, _, track = args.stage.partition("-")
        evaluate(args, track) if stage == "evaluate" else {"extract": extract, "make": make, "train": train}[stage](
            args
        )
        return
    args.dir.mkdir(parents=True, exist_ok=True)
    over = False
    for stage in args.only:
        command = [sys.executable, __file__, str(args.dir), "--stage", stage]
        command += [
            "--frames",
            str(args.frames),
            "--videos",
            str(args.videos),
            "--dim",
            str(args.dim),
            "--head",
            args.head,
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        said = json.loads(done.stdout.splitlines()[-1])
        over |= said["peak"] > LIMIT
        rest = ", ".join(f"{key} {value:,}" for key, value in said.items() if key not in ("peak", "anon"))
        print(f"{stage}: peak {said['peak']:.0f} MB resident, {said['anon']:.0f} MB of its own; {rest}", flush=True)
    sys.exit(over)


if __name__ == "__main__":
    main()
