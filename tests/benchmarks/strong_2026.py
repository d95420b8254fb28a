"""What the recipe `strong-2026` gives beside `default`: demo sets, tracks, seeds, paired over groups of videos.

    uv run python tests/benchmarks/strong_2026.py DIR
    uv run python tests/benchmarks/strong_2026.py DIR --tracks expr --seeds 1 --videos 4,4,1 --frames 40 \\
        --settings train.epochs=1
    uv run python tests/benchmarks/strong_2026.py DIR --without train.average=none,train.overlap=0

Both recipes have the input branches of `strong-2026`, so that the difference is that of the settings; ``--own`` gives
`default` its own branches instead. ``--without`` adds a row for each setting: `strong-2026` with that setting over it.
A run that is there is not run again; ``--settings`` go over both recipes and need a folder of their own.

Printed for every track, for raw and for processed predictions: the score, and its difference from `default`, both means
over seeds, with the jackknife's 95 % interval over groups and p. The demo set's faces are drawn: the order says
something about the settings, and nothing about people.

Measured on 2026-12-01 with ``--seeds 3``, less `default`, processed predictions: EXPR .346 against .333, +.014 [-.010,
+.038]; VA .694 against .680, +.013 [-.002, +.028]; AU .805 against .794, +.011 [+.003, +.020]; MTL 1.707 against 1.656,
+.051 [-.005, +.107] (raw: +.012 [-.009, +.033], +.017 [+.003, +.030], +.009 [+.002, +.016], +.023 [-.021, +.067]).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tabulate import tabulate

from harness.config.schema import load_config
from harness.data.synthetic import make_demo
from harness.runs.job import make_job
from harness.runs.run import run
from leaderboards.intervals import paired

BASE, STRONG = "default", "strong-2026"


def encoders_of(recipe: str, track: str) -> str:
    """The input branches of a recipe on a track."""
    return str(load_config(recipe, {"track": track}, []).encoders)


def train(
    data: Path, out: Path, recipe: str, flags: dict[str, Any], settings: Sequence[str], name: str
) -> dict[str, Any]:
    """The result of a run, which is trained where it is not there."""
    place = out / f"{flags['track']}-{name}-s{flags['seed']}"
    record = place / "record.json"
    if not record.is_file() or json.loads(record.read_text())["status"] != "done":
        shutil.rmtree(place, ignore_errors=True)
        config = load_config(recipe, {"data_dir": str(data), **flags}, settings)
        place.mkdir(parents=True)
        (place / "config.toml").write_text(config.toml())
        run(make_job(config, progress=False), place, progress=False)
    result: dict[str, Any] = json.loads(record.read_text())["result"]
    print(place.name, *(f"{kind} {result['scores'][kind]['main']:.3f}" for kind in ("raw", "post")), flush=True)
    return result


def averaged(results: Sequence[dict[str, Any]], kind: str) -> tuple[float, list[float]]:
    """The mean score over seeds, and that without each group of videos."""
    blocks = [result["scores"][kind] for result in results]
    rest = [mean(each) for each in zip(*(block["leave_one_out"] for block in blocks), strict=True)]
    return mean(block["main"] for block in blocks), rest


def rows(track: str, runs: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    """A row for each recipe and kind of predictions; the first recipe is what the others are compared with."""
    first, found = next(iter(runs)), []
    for kind in ("raw", "post"):
        base = averaged(runs[first], kind)
        for name, results in runs.items():
            score, rest = averaged(results, kind)
            row = [track, kind, name, f"{score:.3f}"]
            if name != first:
                gap = paired(score, rest, *base)
                row += [f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]", f"{gap.p:.3f}"]
            found.append(row)
    return found


def measure(given: argparse.Namespace) -> list[list[str]]:
    """Train what the command line names, seed by seed, and print the table after each."""
    data = given.folder / "demo"
    train_videos, val_videos, test_videos = map(int, given.videos.split(","))
    make_demo(data, videos=(train_videos, val_videos, test_videos), frames=given.frames, progress=False)
    settings, without = ([text for text in part.split(",") if text] for part in (given.settings, given.without))
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {track: {} for track in given.tracks.split(",")}
    table: list[list[str]] = []
    for seed in range(given.seeds):
        for track, found in runs.items():
            flags = {"track": track, "seed": seed}
            alike = {} if given.own else {"encoders": encoders_of(STRONG, track)}
            cases = [(BASE, BASE, alike, settings), (STRONG, STRONG, {}, settings)]
            cases += [(f"{STRONG} {text}", STRONG, {}, [*settings, text]) for text in without]
            for name, recipe, more, over in cases:
                result = train(data, given.folder / "runs", recipe, {**flags, **more}, over, name.replace(" ", "-"))
                found.setdefault(name, []).append(result)
        table = [row for track, found in runs.items() for row in rows(track, found)]
        header = ["track", "predictions", "recipe", "score", f"less {BASE}", "p"]
        print(f"\n{seed + 1} of {given.seeds} seeds\n{tabulate(table, header, 'github', disable_numparse=True)}\n")
    return table


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracks", default="va,expr,au,mtl")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--videos", default="25,16,2", help="training, validation and test videos of the demo set")
    parser.add_argument("--frames", type=int, default=120, help="frames of a video")
    parser.add_argument("--settings", default="", help="over both recipes: train.epochs=8,train.patience=0")
    parser.add_argument("--without", default="", help="settings over strong-2026, a row each: train.average=none")
    parser.add_argument("--own", action="store_true", help="give default its own input branches")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
