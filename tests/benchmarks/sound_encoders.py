"""Which encoder of sound the default recipe should have: real acted speech, folds of actors, several seeds.

    uv run python tests/benchmarks/sound_encoders.py DIR CLIPS
    uv run python tests/benchmarks/sound_encoders.py DIR CLIPS --encoders resemblyzer,egemaps --seeds 1
    uv run python tests/benchmarks/sound_encoders.py DIR CLIPS --encoders hf:FOLDER,random+hf:FOLDER

CLIPS holds clips of RAVDESS, as in small_sets.py, which makes each a video. Three folds of actors: a run learns from
eight and is judged on the other four, so that every actor is judged once a seed. Settings are those of the recipe
`default`, with ``--settings`` over them; the head is a GRU. A run that is there is not run again. ``random+`` before an
encoder is its control: the same network with random weights, frozen. ``augmented+`` before one that is trained: the
same, learnt from sound with a gain, noise and masks drawn anew for every clip.

Printed for every encoder: macro F1 of the seven acted classes over all frames of all actors, raw predictions, the mean
over seeds, with the jackknife's 95 % interval over actors; the paired difference from the first encoder; and the same
F1 of the logistic regression on the same frozen features (the record's plain reference), its mean over folds.

Measured on 2026-11-30, settings of the recipe, three seeds: resemblyzer .493 [.424, .564] over twelve actors, egemaps
.430 [.363, .502], .063 less [.022, .104]; their logistic regressions .348 and .312. With the control, a wav2vec 2.0 base of
random weights, on 2026-12-01, three seeds: the control .221 [.195, .251], .276 less than resemblyzer's .497 [.202, .351];
its logistic regression .192.

melcnn, on 2026-12-01, the same settings, three seeds: .367 [.310, .429], .126 less than resemblyzer's .493 [.078, .174].

With ``--settings train.epochs=6,train.lr=1e-3,train.select=last,train.validate_every=6``, one seed: resemblyzer .475
[.405, .549]; on two of the three folds, eight actors, melcnn .295 [.252, .343] against resemblyzer's .480: .185 less
[.104, .265]. Six epochs favour ready-made weights.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from pathlib import Path
from statistics import mean

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score
from tabulate import tabulate

from harness.config.schema import load_config
from harness.runs.job import make_job
from harness.runs.run import run
from leaderboards.intervals import jackknife, paired
from tests.benchmarks.small_sets import EMOTIONS, make_voices

FOLDS = 3
CONTROL, AUGMENTED = "random+", "augmented+"
ACTED = list(EMOTIONS.values())


def folds(clips: Path, folder: Path) -> list[Path]:
    """The data folders of the folds."""
    files = [file for file in sorted(clips.glob("*.flac")) if file.stem.split("-")[2] in EMOTIONS]
    actors = sorted({file.stem[-2:] for file in files})
    made = []
    for fold in range(FOLDS):
        judges = actors[fold::FOLDS]
        learnt = [actor for actor in actors if actor not in judges]
        made.append(make_voices(folder, folder / f"voice8-{fold}", files, learnt, judges))
    return made


def train(data: Path, encoder: str, seed: int, out: Path, settings: list[str]) -> Path:
    """The folder of a finished run, which is trained where it is not there."""
    place = out / f"{data.name}-{re.sub(r'[^A-Za-z0-9_.+-]+', '-', encoder)}-s{seed}"
    if encoder.startswith(CONTROL):
        settings = [*settings, "encoder.audio.pretrained=false"]
    record = place / "record.json"
    if not record.is_file() or json.loads(record.read_text())["status"] != "done":
        shutil.rmtree(place, ignore_errors=True)
        flags = {
            "data_dir": str(data),
            "encoders": f"audio={encoder.removeprefix(CONTROL).removeprefix(AUGMENTED)}",
            **({"augment": ["audio=gain,sound_noise,specaugment"]} if encoder.startswith(AUGMENTED) else {}),
            "head": "gru",
            "track": "expr",
            "seed": seed,
        }
        config = load_config("default", flags, settings)
        place.mkdir(parents=True)
        (place / "config.toml").write_text(config.toml())
        run(make_job(config, progress=False), place, progress=False)
    result = json.loads(record.read_text())["result"]
    print(place.name, f"{result['scores']['raw']['main']:.3f}", flush=True)
    return place


def predictions(places: list[Path]) -> pd.DataFrame:
    """Frames of all folds: ``actor``, ``label``, ``said``."""
    tables = [pd.read_parquet(place / "predictions" / "val.parquet") for place in places]
    table = pd.concat(tables)
    known = table[table["expression_true"].notna()]
    return pd.DataFrame(
        {
            "actor": known["video"].str[-2:],
            "label": known["expression_true"].astype(int),
            "said": known["expression"].astype(int),
        }
    )


def macro_f1(table: pd.DataFrame) -> float:
    """Macro F1 of the classes that were acted."""
    return float(f1_score(table["label"], table["said"], labels=ACTED, average="macro", zero_division=0))


def scores(seeds: list[list[Path]]) -> tuple[float, list[float]]:
    """The mean score over seeds, and that without each actor."""
    tables = [predictions(places) for places in seeds]
    actors = sorted(set(tables[0]["actor"]))
    rest = [mean(macro_f1(table[table["actor"] != actor]) for table in tables) for actor in actors]
    return mean(macro_f1(table) for table in tables), rest


def reference(places: list[Path]) -> str:
    """The plain reference's macro F1 of the acted classes, the mean over folds; empty where there is none."""
    found = []
    for place in places:
        if not (block := json.loads((place / "record.json").read_text())["result"].get("reference")):
            return ""
        parts = block["parts"]
        values = [value for name, value in parts.items() if name.startswith("f1_") and name != "f1_Other"]
        assert len(values) == len(ACTED), list(parts)
        found.append(float(np.mean(values)))
    return f"{mean(found):.3f}"


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--encoders", default="resemblyzer,egemaps,melcnn")
    parser.add_argument("--settings", default="", help="over the recipe's: train.epochs=8,train.patience=0")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    names, data = given.encoders.split(","), folds(given.clips, given.folder)
    settings = [text for text in given.settings.split(",") if text]
    runs: dict[str, list[list[Path]]] = {name: [] for name in names}
    for seed in range(given.seeds):
        for name in names:
            runs[name].append([train(fold, name, seed, given.folder / "runs", settings) for fold in data])
        print(f"\n{seed + 1} of {given.seeds} seeds\n{table(runs)}\n", flush=True)


def table(runs: dict[str, list[list[Path]]]) -> str:
    """A row an encoder; the first is what the others are compared with."""
    found = {name: scores(seeds) for name, seeds in runs.items()}
    first, rows = next(iter(found)), []
    for name, (score, rest) in found.items():
        interval, gap = jackknife(score, rest, (0, 1)), paired(score, rest, *found[first], score_range=(0, 1))
        near = f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]" if name != first else ""
        rows.append([name, f"{score:.3f} [{interval.low:.3f}, {interval.high:.3f}]", near, reference(runs[name][0])])
    header = ["audio=", "macro F1 [95 % over actors]", f"less {first}", "logistic regression"]
    return tabulate(rows, header, "github", disable_numparse=True)


if __name__ == "__main__":
    main()
