"""Memory of `harness predict` stays flat, however long the video: small frames of a real face, there and back again.

    uv run python tests/benchmarks/predict_memory.py DIR VIDEO [--frames 30000,300000] [--side 160] [--options "..."]

For each length, VIDEO's pictures become a clip in DIR (kept), forwards and backwards by turns, so that the face never
jumps. The command runs on it in a process of its own. Printed are the peak resident memory of that process and of its
children together (looked at every 0.2 s), the rows of the table, and frames a second. The last line is the ratio of
the longest clip's peak to the shortest one's.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av
import cv2
import pandas as pd
from tabulate import tabulate

from harness.data.decoding.video import probe, read_frames

RATE = 25
LOOK = 0.2  # seconds


def make_clip(video: Path, path: Path, frames: int, side: int) -> Path:
    """Write the clip, unless it is there."""
    if path.is_file():
        return path
    info = probe(video)
    size = (side, max(2, round(side * info.height / info.width / 2) * 2))
    there = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in read_frames(video)]
    part = path.with_suffix(".part.mp4")
    with av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i, picture in enumerate(islice(cycle([*there, *there[::-1]]), frames)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return part.replace(path)


def resident(process: int) -> float:
    """MB of a process and its children, 0 of one that has ended."""
    folder = Path(f"/proc/{process}")
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", (folder / "status").read_text())
        children = (folder / f"task/{process}/children").read_text().split()
    except OSError:
        return 0.0
    return (int(found[1]) / 1024 if found else 0.0) + sum(resident(int(child)) for child in children)


def measure(clip: Path, out: Path, options: list[str]) -> tuple[float, float, int]:
    """Peak MB, seconds, and rows of the table."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "harness", "predict", str(clip), "--out", str(out), *options]
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(LOOK)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"harness predict ended with {process.returncode}")
    (table,) = (path for path in out.rglob("*.csv") if path.stem == clip.stem)
    return peak, seconds, len(pd.read_csv(table, comment="#"))


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", default="30000,300000")
    parser.add_argument("--side", type=int, default=160, help="width in pixels")
    parser.add_argument("--options", default="--model fer", help="of harness predict")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    rows, peaks = [], []
    for frames in map(int, given.frames.split(",")):
        clip = make_clip(given.video, given.folder / f"clip{frames}.mp4", frames, given.side)
        peak, seconds, count = measure(clip, given.folder / f"out{frames}", shlex.split(given.options))
        peaks.append(peak)
        rows.append([f"{frames:,}", f"{peak:,.0f}", f"{count:,}", f"{frames / seconds:.0f}"])
        print(*rows[-1], flush=True)
    print(tabulate(rows, ["frames", "peak MB", "rows", "frames/s"], "github", disable_numparse=True))
    print(f"longest to shortest: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
