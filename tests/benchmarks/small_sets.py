"""Whether small sets are trained long enough: the default recipe with and without ``train.min_steps``, beside the plain
reference, and what a smaller batch, a higher rate and more epochs do by themselves.

    uv run python tests/benchmarks/small_sets.py DIR                     # the demo set with 12, 25 and 50 videos
    uv run python tests/benchmarks/small_sets.py DIR --voice CLIPS       # clips of RAVDESS, by folds of actors

Two defaults are chosen by it too, of `late` and of the post-processors of action units:

    ... small_sets.py DIR --encoders face=lite0,audio=melcnn --tracks va,expr --heads gru \\
        --settings "now,per slot 0.3,per slot 1"
    ... small_sets.py DIR --tracks au --heads gru --settings "now,threshold" --scores post

and whether another recipe has enough steps:

    ... small_sets.py DIR --recipe demo --encoders face=lite0,audio=melcnn --settings "now,floor"

CLIPS holds ``03-01-EE-II-SS-RR-AA.flac`` (Livingstone & Russo 2018, doi 10.1371/journal.pone.0196391): every clip
becomes a video of one grey picture, 25 frames a second, with one label a frame; calm is left out, groups are actors,
and a fold is judged on four actors while eight, or two of the eight, are learnt from. A run that is there is not run
again. Figures are raw scores on the validation videos, or processed ones, means over seeds (and folds).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import mean, stdev

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import av
import numpy as np
from tabulate import tabulate

from harness.config.schema import load_config
from harness.data.synthetic import make_demo
from harness.runs.job import make_job
from harness.runs.run import run

SETTINGS = {
    "before": ["train.min_steps=0"],
    "now": [],
    "floor": ["train.min_steps=700"],
    "no patience": ["train.patience=0"],
    "batch 2": ["train.min_steps=0", "train.batch=2"],
    "lr 3e-3": ["train.min_steps=0", "train.lr=3e-3"],
    "epochs 200": ["train.min_steps=0", "train.epochs=200"],
    "per slot 0.3": ["fusion.per_slot=0.3"],
    "per slot 1": ["fusion.per_slot=1"],
    "threshold": [],
}
POST = {"threshold": ("interpolate", "smooth", "threshold", "clip")}
"""Settings that have another chain of post-processors than the default one."""
EMOTIONS = {"01": 0, "05": 1, "07": 2, "06": 3, "03": 4, "04": 5, "08": 6}
"""The corpus's number -> the class of EXPR: neutral, anger, disgust, fear, happiness, sadness, surprise."""
CLASSES = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
RATE = 25


@dataclass(frozen=True)
class Case:
    """A set and a combination; its runs differ by settings and seed."""

    size: str
    data: Path
    track: str
    encoders: str
    head: str


def demo_cases(folder: Path, sizes: list[int], tracks: list[str], encoders: str, heads: list[str]) -> Iterator[Case]:
    """The demo set, drawn with so many training videos and 16 to validate on."""
    for size in sizes:
        data = folder / f"demo{size}"
        make_demo(data, videos=(size, 16, 2), progress=False)
        for track in tracks:
            for head in heads:
                yield Case(f"{size} videos", data, track, encoders, head)


def voice_cases(clips: Path, folder: Path, encoders: list[str], heads: list[str]) -> Iterator[Case]:
    """Three folds of actors; eight to learn from, and two of these eight."""
    files = [file for file in sorted(clips.glob("*.flac")) if file.stem.split("-")[2] in EMOTIONS]
    actors = sorted({file.stem[-2:] for file in files})
    for few in (2, 8):
        for fold in range(3):
            judges = actors[fold::3]
            learnt = [actor for actor in actors if actor not in judges][:few]
            data = make_voices(folder, folder / f"voice{few}-{fold}", files, learnt, judges)
            for encoder in encoders:
                for head in heads:
                    yield Case(f"{few} actors", data, "expr", f"audio={encoder}", head)


def make_voices(shared: Path, data: Path, files: list[Path], learnt: list[str], judges: list[str]) -> Path:
    """A data folder of the clips of these actors, whose videos are links to those in ``shared``."""
    (data / "videos").mkdir(parents=True, exist_ok=True)
    groups = ["video,group"]
    for part, actors in (("Train_Set", learnt), ("Validation_Set", judges)):
        answers = data / "annotations" / "EXPR_Set" / part
        answers.mkdir(parents=True, exist_ok=True)
        for file in files:
            if (actor := file.stem[-2:]) in actors:
                video, frames = make_video(file, shared / "clips" / f"{file.stem}.mkv")
                link = data / "videos" / video.name
                with contextlib.suppress(FileExistsError):  # from before, or from a measurement beside this one
                    os.link(video, link)
                label = EMOTIONS[file.stem.split("-")[2]]
                (answers / f"{file.stem}.txt").write_text("\n".join([CLASSES, *[str(label)] * frames]) + "\n")
                groups.append(f"{file.stem},{actor}")
    (data / "groups.csv").write_text("\n".join(groups) + "\n")
    return data


def make_video(clip: Path, out: Path) -> tuple[Path, int]:
    """A clip's sound beside one grey picture, 25 times a second; where it lies and how many frames it has."""
    with av.open(str(clip)) as source:
        sounds = list(source.decode(audio=0))
        sound_rate = source.streams.audio[0].rate
    frames = sum(sound.samples for sound in sounds) * RATE // sound_rate
    if out.is_file():
        return out, frames
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    with av.open(str(part), "w", format="matroska") as target:
        picture = target.add_stream("mpeg4", rate=RATE, width=64, height=64, pix_fmt="yuv420p")
        voice = target.add_stream("flac", rate=sound_rate, layout="mono")
        grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), "rgb24")
        for i in range(frames):
            grey.pts, grey.time_base = i, Fraction(1, RATE)
            target.mux(picture.encode(grey))
        target.mux(picture.encode(None))
        for sound in sounds:
            target.mux(voice.encode(sound))
        target.mux(voice.encode(None))
    part.rename(out)
    return out, frames


def _is_done(record: Path) -> bool:
    return record.is_file() and json.loads(record.read_text())["status"] == "done"


def measure(
    case: Case, settings: str, seed: int, out: Path, scores: str, recipe: str = "default"
) -> tuple[float, float | None, int]:
    """Train, or take what is there: the score, the plain reference's, and the steps that were made."""
    name = f"{case.data.name}-{case.track}-{case.encoders.partition('=')[2] or case.encoders}-{case.head}"
    name += f"-{settings.replace(' ', '')}" if recipe == "default" else f"-{recipe}-{settings.replace(' ', '')}"
    place = out / f"{name}-s{seed}"
    if not _is_done(place / "record.json"):
        shutil.rmtree(place, ignore_errors=True)  # what was stopped begins anew
        given = {"data_dir": str(case.data), "encoders": case.encoders, "head": case.head, "track": case.track}
        given |= {"post": POST[settings]} if settings in POST else {}
        config = load_config(recipe, {**given, "seed": seed}, SETTINGS[settings])
        place.mkdir(parents=True)
        (place / "config.toml").write_text(config.toml())
        run(make_job(config, progress=False), place, progress=False)
    result = json.loads((place / "record.json").read_text())["result"]
    reference = result.get("reference") or {}
    steps = int((place / "history.csv").read_text().splitlines()[-1].split(",")[1])
    score = result["scores"][scores]["main"]
    print(place.name, f"{score:.3f}", reference.get("main"), steps, flush=True)
    return score, reference.get("main"), steps


def table(cases: list[Case], settings: list[str], seeds: int, out: Path, kind: str, recipe: str) -> str:
    """A row for each size and combination: mean and spread over folds and seeds, and the reference."""
    rows = []
    for key in dict.fromkeys((case.size, case.track, case.encoders, case.head) for case in cases):
        alike = [case for case in cases if (case.size, case.track, case.encoders, case.head) == key]
        cells, references = [], []
        for setting in settings:
            found = [measure(case, setting, seed, out, kind, recipe) for case in alike for seed in range(seeds)]
            scores = [score for score, _, _ in found]
            references += [reference for _, reference, _ in found if reference is not None]
            spread = f" ± {stdev(scores):.3f}" if len(scores) > 1 else ""
            cells.append(f"{mean(scores):.3f}{spread} ({round(mean(steps for *_, steps in found))})")
        rows.append([*key, *cells, f"{mean(references):.3f}" if references else ""])
    names = [f"{setting} (steps)" for setting in settings]
    return tabulate(rows, ["set", "track", "slots", "head", *names, "plain reference"], "github", disable_numparse=True)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--voice", type=Path, help="clips of RAVDESS")
    parser.add_argument("--tracks", default="va,expr")
    parser.add_argument("--heads", default="mlp,gru,tcn")
    parser.add_argument("--encoders", help="of voices, one after another (egemaps,melcnn); else together (face)")
    parser.add_argument("--scores", choices=("raw", "post"), default="raw")
    parser.add_argument("--settings", default="before,now", help=", ".join(SETTINGS))
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", default="12,25,50", help="training videos of the demo set")
    given = parser.parse_args()
    heads = given.heads.split(",")
    if given.voice:
        cases = list(voice_cases(given.voice, given.folder, (given.encoders or "egemaps,melcnn").split(","), heads))
    else:
        sizes = [int(n) for n in given.sizes.split(",")]
        cases = list(demo_cases(given.folder, sizes, given.tracks.split(","), given.encoders or "face=lite0", heads))
    settings = given.settings.split(",")
    print(table(cases, settings, given.seeds, given.folder / "runs", given.scores, given.recipe))


if __name__ == "__main__":
    main()
