"""Many writers of the same files at the same moment: the program that the stress test of races starts.

    python races.py ROOT ROUNDS THREADS PROCESSES PROCESS URL

ROOT/data holds the sources; every round has an empty cache of its own, ROOT/round-K. Threads and processes wait for
each other before every round, then all do every piece of work, each in an order of its own. Every computation is
counted by a file in ROOT/round-K/counts.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np

from harness.data.affwild2 import cached_files as remembered
from harness.data.affwild2.build import build_index
from harness.data.decoding import video as frames
from harness.data.decoding.probe_cache import video_times
from harness.data.packed.reader import find
from harness.data.packed.writer import SAMPLES
from harness.data.packed.writer import Writer as PackWriter
from harness.features.cache.entry import Entry, Writer
from harness.features.cache.leases import Lease, try_lock, unlock
from harness.io import hashing as content
from harness.io.atomic import append_line, atomic
from harness.io.hashing import crops_digest, digest, file_digest, of_folder
from leaderboards.record import replace_file
from plugins.editions import abaw10
from zoo.api import ModelCard
from zoo.weights.cards import find as find_weights

TRACK = next(track for track in abaw10.EDITION.tracks if track.name == "va")
LINES = 5


def counted(what: str, plain: Callable[..., object]) -> Callable[..., object]:
    """Wrap a function so that it leaves a file for each call."""

    def call(*args: object) -> object:
        counts = Path(os.environ["RACE"]) / "counts"
        counts.mkdir(parents=True, exist_ok=True)
        (counts / f"{what}.{uuid.uuid4().hex}").touch()
        return plain(*args)

    return call


def works(data: Path, here: Path, url: str) -> dict[str, Callable[[], None]]:
    """Return a piece of work for every kind of file that several processes share."""
    clip, crops, tree = data / "clip.mp4", data / "crops", data / "tree"

    def probe() -> None:
        assert len(video_times(clip)) == 12

    def digests() -> None:
        assert len(crops_digest(crops)) == len(file_digest(clip)) == 64

    def folder() -> None:
        made = counted("folder", lambda: {"sizes": np.arange(3)})
        assert of_folder("race", crops, ".jpg", ("part",), made)["sizes"].tolist() == [0, 1, 2]  # type: ignore[arg-type]

    def index() -> None:
        assert len(build_index(tree, abaw10.EDITION, TRACK).videos) == 4

    def ledger() -> None:
        for line in range(LINES):
            append_line(here / "ledger.jsonl", {"line": line, "text": "x" * 5000})

    def record() -> None:
        replace_file(here / "record.json", json.dumps({"text": uuid.uuid4().hex * 1000}).encode())
        assert len(json.loads((here / "record.json").read_bytes())["text"]) == 32_000

    def whole() -> None:
        atomic(here / "sub" / "whole.txt", lambda part: part.write_text(uuid.uuid4().hex * 1000))
        assert len((here / "sub" / "whole.txt").read_text()) == 32_000

    def pack() -> None:
        with PackWriter(here / "pack", "audio", "clip", SAMPLES) as writer:
            writer.add_array(np.arange(1000, dtype=np.int16))
            writer.finish("source", {"rate": 16_000, "start": 0.0})
        assert find(here / "pack", "audio", "clip", "source") is not None

    def features() -> None:
        entry = Entry.of(digest("race"))
        lease = Lease()
        lease.take([entry])
        while entry.check() is not None:
            if (lock := try_lock(entry.lock)) is None:
                time.sleep(0.001)
                continue
            if entry.check() is not None:
                counted("features", lambda: None)()
                writer = Writer(entry, 4, "float16")
                writer.add(np.ones((3, 4), np.float32))
                writer.finish(np.ones(3, bool), {"stream": "face"})
            unlock(lock)
        lease.release()

    def download() -> None:
        path = find_weights(ModelCard("net", None, "MIT", "a test", url=url))
        assert path.stat().st_size > 0

    every = (probe, digests, folder, index, ledger, record, whole, pack, features, download)
    return {work.__name__: work for work in every}


def main(root: Path, rounds: int, threads: int, processes: int, process: int, url: str) -> None:
    frames.probe = counted("probe", frames.probe)  # type: ignore[assignment]
    content._hash = counted("hash", content._hash)  # type: ignore[assignment]
    for name in ("read_frame_labels", "read_test_list", "picture_folder"):
        setattr(remembered, name, counted(name, getattr(remembered, name)))
    barrier = Barrier(threads)
    for number in range(rounds):
        here = root / f"round-{number}"
        os.environ["ABAW_ZOO_CACHE"], os.environ["RACE"] = str(here / "cache"), str(here)
        meet(root, f"{number}", process, processes)
        every = works(root / "data", here, url)

        def one(thread: int, every: dict[str, Callable[[], None]] = every, number: int = number) -> None:
            rng = np.random.default_rng([number, process, thread])
            barrier.wait()
            for name in rng.permutation(sorted(every)).tolist():
                every[name]()

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(threads)))
    meet(root, "end", process, processes)


def meet(root: Path, moment: str, process: int, processes: int) -> None:
    """Wait for the other processes."""
    place = root / "meet" / moment
    place.mkdir(parents=True, exist_ok=True)
    (place / str(process)).touch()
    until = time.monotonic() + 60
    while len(list(place.iterdir())) < processes:
        if time.monotonic() > until:
            raise TimeoutError(f"process {process} is alone at {moment}")
        time.sleep(0.002)


if __name__ == "__main__":
    rounds_, threads_, processes_, process_ = map(int, sys.argv[2:6])
    main(Path(sys.argv[1]), rounds_, threads_, processes_, process_, sys.argv[6])
