"""Batches of a corpus of 288,000 pictures beside the bare decoder on the same bytes in memory, and the memory used.

    uv run python -m tests.benchmarks.pictures --rounds 8

A few drawn JPEGs of 224 x 224 have 288,000 names (hard links). Both ways decode the same random pictures on all cores, in
turn, in one process; the ratio by processor time does not depend on what else the machine does. The list that is read is
AffectNet's, with its landmarks.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from harness.batching.loader import prefetch_batches
from harness.batching.windows import Windows
from harness.data.decoding.jpeg import decode_into
from harness.data.streams.raw_inputs import threads
from harness.data.synthetic.corpus_faces import draw_face
from harness.pretraining.clips import SLOT, PictureClips, parts_of
from harness.pretraining.counts import labels_of
from harness.pretraining.plan import track_of
from harness.runtime.device import pick_device
from harness.runtime.distributed import single_process
from harness.runtime.machine import cores
from plugins.corpora import affectnet
from zoo.api import CorpusTable, EditionSpec, FrameInput

SIDE, BATCH, KINDS = 224, 64, 40
COLUMNS = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def write(root: Path, count: int) -> None:
    """Write a corpus of ``count`` names in AffectNet's layout; a tenth of them are for validation."""
    rng = np.random.default_rng(0)
    drawn = [root / f"kind{k}.jpg" for k in range(KINDS)]
    for path in drawn:
        draw_face(0, path, {"expression": "Fear", "valence": 0.1, "arousal": 0.5}, SIDE, (0, 0, SIDE, SIDE))
    points = ";".join(f"{x:.2f}" for x in rng.uniform(0, SIDE, 136))
    (root / "Manually_Annotated_file_lists").mkdir()
    lists = [(root / "Manually_Annotated_file_lists" / f"{part}.csv").open("w") for part in ("training", "validation")]
    for file in lists:
        file.write(COLUMNS + "\n")
    for i in range(count):
        folder = root / "Manually_Annotated_Images" / str(i % 500)
        if i < 500:
            folder.mkdir(parents=True)
        os.link(drawn[i % KINDS], folder / f"{i:056x}.jpg")
        row = f"{i % 500}/{i:056x}.jpg,0,0,{SIDE},{SIDE},{points},{i % 8},{i % 200 / 100 - 1:.3f},0.1\n"
        lists[i % 10 == 9].write(row)
    for file in lists:
        file.close()


def memory_mb() -> float:
    """Return the memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def clips_of(table: CorpusTable) -> PictureClips:
    """Return the training part, as a pretraining has it."""
    track = track_of("affectnet", ("expr", "va"), table)
    spec = FrameInput(SIDE, (0.5,) * 3, (0.5,) * 3)
    return parts_of(table, labels_of(table, track), EditionSpec("a", "", 0, (track,)), track, spec, 0)["train"]


def ours(data: PictureClips, frames: np.ndarray) -> None:
    """Decode pictures as a training does."""
    windows = Windows(np.stack([np.zeros_like(frames), frames, frames + 1], 1))
    batches = [windows[start : start + BATCH] for start in range(0, len(frames), BATCH)]
    for _ in prefetch_batches(data, batches, 1, single_process(pick_device("cpu"))):
        pass


def bare(pictures: Sequence[np.ndarray | str]) -> None:
    """Decode the same bytes, or files, with every core, into the rows of one batch, which is used again and again."""
    batch = np.empty((BATCH, SIDE, SIDE, 3), np.uint8)

    def share(first: int) -> None:
        for place in range(first, len(pictures), cores()):
            data = pictures[place]
            decode_into(np.fromfile(data, np.uint8) if isinstance(data, str) else data, batch[place % BATCH])

    list(threads().map(share, range(cores())))


def seconds(work: Callable[[], object]) -> np.ndarray:
    """Return the seconds of the clock and of the processor, all threads together."""
    began = np.array([time.perf_counter(), time.process_time()])
    work()
    ended: np.ndarray = np.array([time.perf_counter(), time.process_time()])
    return ended - began


def main() -> None:
    """Print rates, ratios and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=288_000)
    parser.add_argument("--each", type=int, default=2560, help="pictures a round")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write(root, given.pictures)
        before = memory_mb()
        took = seconds(lambda: affectnet.read(root))
        table = affectnet.read(root)
        print(
            f"{len(table):,} pictures, read in {took[0]:.1f} s ({took[1]:.1f} s of processor), {memory_mb() - before:.0f} MB"
        )
        # Every picture is a face crop already, as in the form of arrays.
        table = CorpusTable(table.root, table.answers, table.files, table.labels, table.train)
        data, rng = clips_of(table), np.random.default_rng(1)
        n = data.videos[0].n_frames
        print(f"memory with clips: {memory_mb() - before:.0f} MB")
        ratios = []
        for i in range(given.rounds + 1):
            frames = rng.integers(n, size=given.each)
            rows = data.raw[SLOT].rows["train"][frames]
            paths = [str(table.path(int(row))) for row in rows]
            kept = [np.fromfile(path, np.uint8) for path in paths]
            own = seconds(lambda frames=frames: ours(data, frames))
            others = [seconds(lambda given=given: bare(given)) for given in (kept, paths)]
            if i:  # the first round warms up
                ratios.append([other / own for other in others])
                print(f"{len(rows) / own[0]:8.0f} pictures/s, {memory_mb() - before:.0f} MB")
        for name, (clock, processor) in zip(("bytes in memory", "files"), np.median(ratios, 0), strict=True):
            print(f"ratio to the decoder on {name}: {clock:.3f} by the clock, {processor:.3f} by processor time")


if __name__ == "__main__":
    main()
