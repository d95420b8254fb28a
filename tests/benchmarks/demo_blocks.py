"""Which fusion and which head do best on the demo set, and what modality dropout is worth when a stream is withheld.

    uv run python tests/benchmarks/demo_blocks.py DIR [--jobs 2] [--write README.md]

Every fusion with `gru` and every head with `late`, on face, context and audio, three seeds each; then `late` and
`concat` with and without modality dropout, evaluated without each stream. Runs that DIR already holds are not
repeated. --write puts the tables between the markers in the file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tabulate import tabulate

from harness.config.schema import load_config
from harness.data.synthetic import make_demo
from harness.evaluation.scoring import score_block
from harness.runs.job import make_job
from harness.runs.preparation import predict_split, prepare
from harness.runs.start import read, run_seeds
from leaderboards.intervals import jackknife, paired
from zoo.registry.registry import load

SLOTS = "face,context,audio"
SEEDS = 3
DROPOUTS = (0.0, 0.3)


@dataclass(frozen=True)
class Work:
    """One combination to be trained with three seeds."""

    data: str
    out: str
    fusion: str
    head: str
    dropout: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.fusion}-{self.head}" + (f"-dropout{self.dropout}" if self.dropout else "")

    @property
    def folder(self) -> Path:
        return Path(self.out) / self.name


def train(work: Work) -> dict[str, Any]:
    """Its record's result, trained unless it is there."""
    record = work.folder / "record.json"
    if not (record.is_file() and read(record).status == "done"):
        flags = {"data_dir": work.data, "encoders": SLOTS, "fusion": work.fusion, "head": work.head}
        config = load_config("demo", flags, [f"train.modality_dropout={work.dropout}"])
        work.folder.mkdir(parents=True, exist_ok=True)
        (work.folder / "config.toml").write_text(config.toml())
        run_seeds(make_job(config, progress=False), work.folder, SEEDS)
    return read(record).result


def blocks(data: Path, out: Path) -> list[Work]:
    """Every fusion with gru, every head with late."""
    registry = load()
    pairs = [(fusion, "gru") for fusion in registry.names("fusions")]
    pairs += [("late", head) for head in registry.names("heads") if head != "gru"]
    return [Work(str(data), str(out), fusion, head) for fusion, head in pairs]


def table(rows: Iterable[tuple[Work, dict[str, Any]]]) -> str:
    """Sorted by score; p: the paired comparison over groups with late and gru."""
    rows = list(rows)
    base = next(r["scores"]["raw"] for w, r in rows if w.name == "late-gru")
    lines = []
    for work, result in sorted(rows, key=lambda row: -row[1]["scores"]["raw"]["main"]):
        block = result["scores"]["raw"]
        interval = jackknife(block["main"], block["leave_one_out"], tuple(result["score_range"]))
        gain = paired(block["main"], block["leave_one_out"], base["main"], base["leave_one_out"])
        same = work.name == "late-gru"
        lines.append(
            (
                work.fusion,
                work.head,
                f"{block['main']:.3f}",
                f"{interval.low:.3f} to {interval.high:.3f}",
                f"{block['spread']:.3f}",
                "" if same else f"{gain.value:+.3f}",
                "" if same else shown(gain.p),
                f"{result['parameters']['trained']:,}",
            )
        )
    head = ["fusion", "head", "mean CCC", "95 % interval", "over seeds", "against late, gru", "p", "trained"]
    return str(tabulate(lines, head, tablefmt="github", disable_numparse=True))


def shown(p: float) -> str:
    """A p value to three places."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def withheld(work: Work) -> list[tuple[str, dict[str, Any]]]:
    """(what is withheld, scores of each seed's run) for nothing and for each stream."""
    found = []
    for seed in range(SEEDS):
        folder = work.folder / f"seed-{seed}"
        job = make_job(load_config(str(folder / "config.toml"), {}, []), progress=False)
        for drop in ("", *SLOTS.split(",")):
            prepared = prepare(job, progress=False, weights=folder / "weights.safetensors")
            prepared.splits["val"].withhold([drop] if drop else [])
            block = score_block(job.track, predict_split(job, prepared, "val"))
            assert block is not None
            found.append((drop, block))
    return found


def dropout_table(rows: Iterable[tuple[Work, list[tuple[str, dict[str, Any]]]]]) -> str:
    """Mean score over seeds without each stream; the gain of dropout and its p by seed."""
    rows = list(rows)
    lines = []
    for fusion in dict.fromkeys(work.fusion for work, _ in rows):
        without, with_ = (next(r for w, r in rows if (w.fusion, w.dropout) == (fusion, d)) for d in DROPOUTS)
        for drop in ("", *SLOTS.split(",")):
            a, b = ([block for name, block in found if name == drop] for found in (with_, without))
            gains = [
                paired(x["main"], x["leave_one_out"], y["main"], y["leave_one_out"]) for x, y in zip(a, b, strict=True)
            ]
            lines.append(
                (
                    fusion,
                    drop or "nothing",
                    f"{sum(y['main'] for y in b) / len(b):.3f}",
                    f"{sum(x['main'] for x in a) / len(a):.3f}",
                    ", ".join(f"{g.value:+.3f}" for g in gains),
                    ", ".join(shown(g.p) for g in gains),
                )
            )
    head = ["fusion", "withheld", "dropout 0", f"dropout {DROPOUTS[1]}", "gain by seed", "p by seed"]
    return str(tabulate(lines, head, tablefmt="github", disable_numparse=True))


def put(path: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of a name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = path.read_text()
    assert begin in content, f"{path} has no {begin}"
    assert end in content, f"{path} has no {end}"
    path.write_text(re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}\n{end}", content, flags=re.DOTALL))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    data, out = options.dir / "demo", options.dir / "runs"
    make_demo(data, progress=False)
    todo = blocks(data, out)
    drops = [Work(str(data), str(out), f, "gru", d) for f in ("late", "concat") for d in DROPOUTS]
    train(todo[0])  # extraction, once
    # New processes: one that is forked off a process with threads may wait for ever for what a thread held.
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(train, [*todo, *drops[1::2]]))
        robust = list(pool.map(withheld, drops))
    first = table(zip(todo, results, strict=False))
    second = dropout_table(zip(drops, robust, strict=True))
    print(f"{first}\n\n{second}")
    if options.write:
        put(options.write, "demo blocks", first)
        put(options.write, "demo dropout", second)


if __name__ == "__main__":
    main()
