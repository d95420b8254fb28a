"""What a sweep of 18 combinations costs against its parts: one extraction and 18 trainings.

    uv run python tests/benchmarks/sweep.py DIR [--epochs 5] [--jobs 2] [--json OUT]

On the demo set in DIR, with caches of its own: the extraction of all slots; each combination by `harness run`, one after the
other, on features that are there; the sweep from an empty cache. The sum of the first two is the sweep's allowance. The
JSON is for `harness bench --seed-baseline --include OUT`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

ENCODERS = ("face", "face,context", "face,context,audio")
FUSIONS = ("late", "concat", "gated")
HEADS = ("gru", "tcn")


def harness(cache: Path, *args: object) -> float:
    """Run a command with a cache; the seconds that it took."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "harness.cli", *map(str, args)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "ABAW_ZOO_CACHE": str(cache)},
    )
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data, place = options.dir / "demo", options.dir / "sweep"
    shutil.rmtree(place, ignore_errors=True)
    if not (data / "demo.json").is_file():
        harness(place / "cache", "data", "demo", data)
    common = ("--data", data, "--epochs", options.epochs)
    extraction = harness(place / "one", "data", "extract", data, "--encoders", ENCODERS[-1])
    trainings = [
        harness(place / "one", "run", *common, "--encoders", e, "--fusion", f, "--head", h, "--out", place / "runs")
        for e, f, h in product(ENCODERS, FUSIONS, HEADS)
    ]
    lists = ("--encoders", ";".join(ENCODERS), "--fusion", ",".join(FUSIONS), "--head", ",".join(HEADS))
    sweep = harness(place / "two", "sweep", *common, *lists, "--jobs", options.jobs, "--out", place / "sweep")
    allowed = extraction + sum(trainings)
    print(f"extraction of {ENCODERS[-1]}: {extraction:.1f} s")
    print(
        f"one training by `harness run`: {min(trainings):.1f} to {max(trainings):.1f} s, all 18: {sum(trainings):.1f} s"
    )
    print(f"the sweep with {options.jobs} jobs: {sweep:.1f} s, {sweep / allowed:.2f} of extraction and trainings")
    if options.json:
        figure = f"{sweep:.0f} s; extraction {extraction:.0f} s, the 18 trainings {sum(trainings):.0f} s"
        row = {
            "section": "Whole commands",
            "what": f"sweep of 18 combinations, demo set, {options.jobs} jobs",
            "figure": f"{figure}: {sweep / allowed:.2f} of their sum",
            "wanted": "<= 1",
            "reached": sweep <= allowed,
        }
        options.json.write_text(json.dumps({"rows": [row]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
