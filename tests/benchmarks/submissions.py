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

from harness.benchmarks.full_scale import write_predictions

ROWS = {"va": 927_210, "expr": 1_022_655, "au": 729_736}
VIDEOS = {"va": 162, "expr": 228, "au": 141}
EDITION = "abaw10"


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
        write_predictions(folder, name, rows, videos)
        common = ("--edition", EDITION, "--track", name, "--list", folder / "list.txt")
        write = measured(
            "submit",
            "--predictions",
            folder / "predictions.parquet",
            *common,
            "--out",
            folder / "out",
            "--runs",
            folder,
        )
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
