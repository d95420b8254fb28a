"""Whether the demo set shows what it is built to show: each further stream helps, as far as an oracle says it can.

    uv run python tests/benchmarks/demo_scores.py DIR      # three sets, three seeds, 27 runs

Prints every run's score as a share of the oracle's ceiling, and for each set and seed the paired comparison over groups
of face+context against face, and of face+context+audio against face+context.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tabulate import tabulate

from harness.config.schema import load_config
from harness.data.synthetic import make_demo
from harness.runs.job import make_job
from harness.runs.run import run
from leaderboards.intervals import paired

STEPS = ("face", "face,context", "face,context,audio")


@dataclass(frozen=True)
class Scored:
    """One run: which set, seed and slots, its block of scores and its ceiling."""

    demo: int
    seed: int
    encoders: str
    block: dict[str, Any]
    ceiling: float


def measure(folder: Path, demos: int = 3, seeds: int = 3) -> list[Scored]:
    """Train every combination of STEPS on ``demos`` sets with ``seeds`` seeds each, in ``folder``."""
    scored = []
    for demo in range(demos):
        data = folder / f"demo{demo}"
        make_demo(data, seed=demo, progress=False)
        ceilings = json.loads((data / "truth.json").read_text())["va"]
        for seed in range(seeds):
            for encoders in STEPS:
                config = load_config("demo", {"data_dir": str(data), "encoders": encoders, "seed": seed}, [])
                out = folder / "runs" / f"demo{demo}-{encoders.replace(',', '+')}-s{seed}"
                out.mkdir(parents=True)
                (out / "config.toml").write_text(config.toml())
                block = run(make_job(config, progress=False), out, progress=False).record.result["scores"]["raw"]
                scored.append(Scored(demo, seed, encoders, block, ceilings[encoders.replace(",", "+")]))
                print(f"demo {demo} seed {seed} {encoders}: {block['main']:.3f}", file=sys.stderr, flush=True)
    return scored


def comparisons(scored: list[Scored]) -> list[tuple[int, int, str, float, float]]:
    """(demo, seed, what was added, difference, p) of each step."""
    found = []
    at = {(s.demo, s.seed, s.encoders): s.block for s in scored}
    for demo, seed in sorted({(s.demo, s.seed) for s in scored}):
        for less, more in pairwise(STEPS):
            a, b = at[demo, seed, more], at[demo, seed, less]
            gain = paired(a["main"], a["leave_one_out"], b["main"], b["leave_one_out"])
            found.append((demo, seed, f"{less} -> {more}", gain.value, gain.p))
    return found


def report(scored: list[Scored]) -> str:
    """Two tables."""
    runs = [(s.demo, s.seed, s.encoders, s.block["main"], s.ceiling, s.block["main"] / s.ceiling) for s in scored]
    shares = tabulate(runs, ["set", "seed", "slots", "score", "ceiling", "share"], floatfmt=".3f")
    gains = tabulate(comparisons(scored), ["set", "seed", "step", "gain", "p"], floatfmt=("", "", "", ".3f", ".4f"))
    return f"{shares}\n\n{gains}"


if __name__ == "__main__":
    print(report(measure(Path(sys.argv[1]))))
