"""Synthetic lists and predictions for every format of submissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from zoo.tracks import Answer, TrackSpec

UNITS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26")
EIGHT = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")
MIMIC = ("Admiration", "Amusement", "Determination", "Empathic Pain", "Excitement", "Joy")
VA = (Answer("valence", "value", -5.0), Answer("arousal", "value", -5.0))
EXPR = (Answer("expression", "class", -1.0, classes=EIGHT),)
AU = tuple(Answer(unit, "binary", -1.0) for unit in UNITS)


def spec(name: str, answers: tuple[Answer, ...], form: str, header: str, **more: object) -> TrackSpec:
    return TrackSpec(name, answers, "mean_ccc", (-1.0, 1.0), (), (header,) if header else (), form, header, **more)  # type: ignore[arg-type]


MADE_UP: Mapping[str, TrackSpec] = {
    "keyed-va": spec("va", VA, "keyed", "image_location,valence,arousal"),
    "keyed-expr": spec("expr", EXPR, "keyed", "image_location," + ",".join(EIGHT)),
    "keyed-au": spec("au", AU, "keyed", "image_location," + ",".join(UNITS)),
    "mtl": spec("mtl", VA + EXPR + AU, "mtl", "image,valence,arousal,expression,aus", unit="image"),
    "per_video-va": spec("va", VA, "per_video", "valence,arousal"),
    "per_video-expr": spec("expr", EXPR, "per_video", ",".join(EIGHT)),
    "per_video-au": spec("au", AU, "per_video", ",".join(UNITS)),
    "items-emi": spec(
        "emi",
        tuple(Answer(n, "value", np.nan, low=0.0) for n in MIMIC),
        "items",
        "Filename," + ",".join(MIMIC),
        unit="video",
    ),
    "items-lsd": spec(
        "lsd",
        (Answer("expression", "class", -1.0, classes=EIGHT[1:7]),),
        "items",
        "image,expression",
        item="{}.jpg",
        unit="image",
    ),
    "items-eri": spec("eri", (Answer("Fear", "value", np.nan, low=0.0),), "items", "File_ID,Fear", item="[{}]"),
    "frame_trials": spec("ah", (Answer("ah", "binary", -1.0),), "frame_trials", "", file="trial-1.txt"),
    "trials": spec(
        "ah", (Answer("ah", "class", -1.0, classes=("absence", "presence")),), "trials", "", file="trial-0.txt"
    ),
    "csv": spec(
        "vd",
        (Answer("violence", "binary", -1.0),),
        "csv",
        "Frame_Number,Label",
        other_headers=("Frame_Num,Label", "Frame_Number,Predicted_Label"),
    ),
}

FRAMED = ("keyed", "mtl", "per_video", "frame_trials", "csv")
FOLDERS = {"per_video": ".txt", "csv": ".csv"}
Rows = list[tuple[str, int]]  # name of a video or item, frame from 1


def key(track: TrackSpec, name: str, frame: int) -> str:
    """Return a row's first field as the organisers write it."""
    if track.submission == "frame_trials":
        return f"{name}/frame-{frame - 1}.jpg"
    if track.submission == "items":
        return track.item.format(name)
    return name if track.submission == "trials" else f"{name}/{frame:05d}.jpg"


@dataclass(frozen=True)
class Look:
    """Format of a list: ``dummy`` answers behind the keys, an empty last field, line ends, byte-order mark and last line."""

    dummy: bool = False
    comma: bool = False
    ends: str = "\n"
    mark: bool = False
    last: str = ""


def write_list(path: Path, track: TrackSpec, rows: Rows, look: Look = Look()) -> Path:
    """Write the organisers' list of some rows; for formats with a file per video, of videos and numbers of frames."""
    if track.submission in FOLDERS:
        counts = dict(rows)
        lines = [f"{name},{n}" for name, n in counts.items()]
    else:
        tail = dummy(track) if look.dummy else ""
        lines = [key(track, *row) + tail + ("," if look.comma else "") for row in rows]
        lines = [track.submission_header, *lines] if track.submission_header else lines
    text = look.ends.join(lines) + look.ends + look.last
    path.write_bytes((b"\xef\xbb\xbf" if look.mark else b"") + text.encode())
    return path


def dummy(track: TrackSpec) -> str:
    """Return answers without meaning, as in the organisers' example files."""
    return "".join(f",{0.5 if answer.kind == 'value' else 0}" for answer in track.answers)


def predictions(track: TrackSpec, rows: Rows, rng: np.random.Generator, *, ids: bool = False) -> pd.DataFrame:
    """Return random predictions for some rows, classes as probabilities or (``ids``) as class numbers."""
    n = len(rows)
    columns: dict[str, object] = {"video": [name for name, _ in rows], "frame": [frame for _, frame in rows]}
    for answer in track.answers:
        if answer.kind == "value":
            columns[answer.name] = rng.uniform(answer.low, answer.high, n) * 1.05
        elif ids:
            columns[answer.name] = rng.integers(max(len(answer.classes), 2), size=n)
        elif answer.kind == "class":
            p = rng.dirichlet(np.ones(len(answer.classes)), n)
            columns |= {f"p_{name}": p[:, i] for i, name in enumerate(answer.classes)}
        else:
            columns[f"p_{answer.name}"] = rng.random(n)
    table = pd.DataFrame(columns)
    return table if track.submission in FRAMED else table.drop(columns="frame")


def runs_of_frames(track: TrackSpec, lengths: Mapping[str, int]) -> Rows:
    """Return the rows of whole videos, or of single items."""
    frames = {name: n if track.submission in FRAMED else 1 for name, n in lengths.items()}
    return [(name, frame) for name, n in frames.items() for frame in range(1, n + 1)]


def write_table(path: Path, table: pd.DataFrame) -> Path:
    """Write a table as parquet or csv, by the suffix of its name."""
    table.to_parquet(path, index=False) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


def named_units(track: TrackSpec, names: Sequence[str]) -> list[str]:
    """Return names that fit the format: ids of trials and frames of trials are paths."""
    if track.submission in ("trials", "frame_trials"):
        return [f"8268{i}/Visite_1/{name.replace(' ', '_')}_Video.mp4" for i, name in enumerate(names)]
    return list(names)


def with_figures(track: TrackSpec, **figures: int) -> TrackSpec:
    """Return a track with known counts of its organisers."""
    return replace(track, figures={**track.figures, **figures})


def registered() -> dict[str, TrackSpec]:
    """Return ``<edition>-<track>`` -> every track of every registered edition."""
    from zoo.registry.registry import load

    specs = [entry.spec for entry in load([]).entries("editions")]
    return {f"{edition.name}-{track.name}": track for edition in specs for track in edition.tracks}  # type: ignore[attr-defined]
