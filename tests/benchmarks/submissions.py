"""Writing and verifying submissions of the official size, each in a process of its own: seconds and peak memory.

    uv run python tests/benchmarks/submissions.py [va|expr|au ...] [--json]

The predictions are a table (parquet, probabilities), the list an example file with dummy answers. The time of a command
is that of its process, imports included; `submit` verifies what it wrote before it puts it in place.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from zoo.tracks import TrackSpec

ROWS = {"va": 927_210, "expr": 1_022_655, "au": 729_736}
VIDEOS = {"va": 162, "expr": 228, "au": 141}
EDITION = "abaw10"


def track_of(name: str) -> TrackSpec:
    """The edition's track."""
    from harness.setup import find_track, load_plugins

    return find_track(load_plugins([]), name, EDITION)[1]


def make(folder: Path, name: str, rows: int, videos: int) -> None:
    """A table of predictions and the list, ``rows`` rows each."""
    track, rng = track_of(name), np.random.default_rng(0)
    lengths = np.full(videos, rows // videos)
    lengths[: rows % videos] += 1
    names = [f"{i}-30-1280x720{('', '_left', '_right')[i % 3]}" for i in range(videos)]
    unit = np.repeat(np.arange(videos), lengths)
    frame = np.concatenate([np.arange(1, n + 1) for n in lengths])
    columns: dict[str, object] = {
        "video": pa.DictionaryArray.from_arrays(pa.array(unit, pa.int32()), pa.array(names)), "frame": frame,
    }  # fmt: skip
    for answer in track.answers:
        if answer.kind == "class":
            p = rng.dirichlet(np.ones(len(answer.classes)), rows)
            columns |= {f"p_{c}": p[:, i] for i, c in enumerate(answer.classes)}
        else:
            p_or_value = rng.random(rows) if answer.kind == "binary" else rng.uniform(-1, 1, rows)
            columns[f"p_{answer.name}" if answer.kind == "binary" else answer.name] = p_or_value
    parquet.write_table(pa.table(columns), folder / "predictions.parquet")
    dummy = ",0" * (1 if name == "expr" else len(track.answers))
    with (folder / "list.txt").open("w") as file:
        file.write(track.submission_header + "\n")
        for video, n in zip(names, lengths, strict=True):
            file.writelines(f"{video}/{i:05d}.jpg{dummy}\n" for i in range(1, n + 1))


def measured(*args: object) -> dict[str, float]:
    """One command in a process of its own; its memory is the kernel's VmHWM, as ru_maxrss would be its parent's too."""
    code = (
        "from harness import cli\n"
        "code = 0\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    code = end.code\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(f'MEASURED {code or 0} {int(status[\"VmHWM\"].split()[0]) / 1024}')\n"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True)
    whole = time.perf_counter() - began
    line = next((line for line in done.stdout.splitlines() if line.startswith("MEASURED")), None)
    if line is None or line.split()[1] != "0":
        raise SystemExit(f"{' '.join(map(str, args))}\n{done.stdout}{done.stderr}")
    return {"seconds": round(whole, 1), "mb": round(float(line.split()[2]))}


def benchmark(name: str, rows: int, videos: int) -> dict[str, dict[str, float]]:
    """``write``, ``verify`` and a comparison ``against`` another: seconds and peak memory in MB."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder, name, rows, videos)
        common = ("--edition", EDITION, "--track", name, "--list", folder / "list.txt")
        write = measured(
            "submit", "--predictions", folder / "predictions.parquet", *common, "--out", folder / "out",
            "--runs", folder,
        )  # fmt: skip
        out = folder / "out"
        again = measured("verify", out / "predictions.txt", *common, "--manifest", out / "manifest.json")
        against = measured("verify", out / "predictions.txt", *common, "--against", out / "predictions.txt")
        return {"write": write, "verify": again, "against": against}


def main() -> None:
    """Print one line a track and command."""
    names = [arg for arg in sys.argv[1:] if arg in ROWS] or list(ROWS)
    results = {name: benchmark(name, ROWS[name], VIDEOS[name]) for name in names}
    if "--json" in sys.argv:
        print(json.dumps(results))
        return
    for name, commands in results.items():
        for command, figures in commands.items():
            print(f"{name} {ROWS[name]:,} rows, {command}: {figures['seconds']:.1f} s, peak {figures['mb']:.0f} MB")


if __name__ == "__main__":
    main()
