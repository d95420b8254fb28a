"""The page of a video predicted by `harness predict`: the video with its timeline, key frames and the model.

The page plays the user's own file from its place. It holds no copy of the file, only small pictures of its key frames.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

import numpy as np

from harness.data.decoding.video import VideoInfo
from harness.io.atomic import atomic
from harness.reports.curves import Chart
from harness.reports.key_frames import KeyFrame, key_frames, pictures_of
from harness.reports.rendering import render, script_json
from harness.reports.timelines import ScoredTimeline, Timelines, described, timelines
from harness.reports.values import Density, density
from zoo.api import Answer, VideoAnswers
from zoo.errors import UserError


def write_video_page(path: Path, video: VideoInfo, people: Sequence[VideoAnswers], about: Mapping[str, Any]) -> None:
    """Write the page of a video atomically.

    Args:
        path: The page.
        video: The video.
        people: Predictions of its people, the main one first.
        about: The model (``model``, ``kind``, ``digest``, ``edition``, ``track``, ``versions``, ``warnings``), its
            ``answers``, the video's ``summary`` as in about.json, and ``mark``, a comment by which the page is known.

    Raises:
        UserError: The video has no frames or cannot be read again, or the page cannot be written.
    """
    if not people or not video.n_frames:
        raise UserError("report-no-frames", file=video.path)
    answers: tuple[Answer, ...] = about["answers"]
    keys = [key_frames(answers, person) for person in people]
    shown = pictures_of(video, sorted({key.frame for of in keys for key in of}))
    page = render(
        "video.html",
        "report.js",
        media="'self' file:",
        title=video.path.name,
        address=address_of(video.path, path.parent),
        video=video,
        about=about,
        people=[_person(answers, *one) for one in zip(people, keys, about["summary"]["people"], strict=True)],
        pictures=shown,
        facts=_facts(video, about),
        payload=script_json(_payload(answers, video, people)),
    )
    atomic(path, lambda part: part.write_text(page, encoding="utf-8"))


def address_of(video: Path, folder: Path) -> str:
    """Return the address of a video for a page in a folder: relative, or a file URI if there is no relative path."""
    try:
        relative = os.path.relpath(video.resolve(), folder.resolve())
    except ValueError:  # on another drive
        return video.resolve().as_uri()
    return quote(f"./{Path(relative).as_posix()}")


class Player(TypedDict):
    """Settings of the player: the time at which the video begins, in seconds."""

    start: float


class Payload(TypedDict):
    """Data for the page's script; the page has no curves."""

    curves: list[Chart]
    timelines: Timelines
    player: Player


class Share(TypedDict):
    """The share of frames with a class or an active unit."""

    name: str
    share: float
    frames: int


class ValueRange(TypedDict):
    """The predictions of a value, such as valence."""

    name: str
    mean: float
    least: float
    greatest: float


class PersonFigures(TypedDict):
    """A person of the video. ``plane``: the joint density of two values, if the track has two."""

    summary: Mapping[str, Any]
    keys: Sequence[KeyFrame]
    classes: list[tuple[str, list[Share]]]
    units: list[Share]
    values: list[ValueRange]
    plane: Density | None


def _payload(answers: Sequence[Answer], video: VideoInfo, people: Sequence[VideoAnswers]) -> Payload:
    lines = timelines(answers, people)
    named: list[ScoredTimeline] = [
        {**line, "name": f"person {k}" if len(lines) > 1 else line["name"], "score": None}
        for k, line in enumerate(lines, 1)
    ]
    return {
        "curves": [],
        "timelines": {"answers": [described(answer) for answer in answers], "videos": named},
        "player": {"start": max(0.0, float(video.start))},  # players count from the file's time 0
    }


def _person(
    answers: Sequence[Answer], person: VideoAnswers, keys: Sequence[KeyFrame], summary: Mapping[str, Any]
) -> PersonFigures:
    found: PersonFigures = {
        "summary": summary,
        "keys": keys,
        "classes": [],
        "units": [],
        "values": [],
        "plane": None,
    }
    for answer in answers:
        values = np.asarray(person.values[answer.name], np.float64)
        if answer.kind == "class":
            counts = np.bincount(values.argmax(1), minlength=len(answer.classes))
            found["classes"].append((answer.name, _shares(answer.classes, counts, len(values))))
        elif answer.kind == "binary":
            found["units"] += _shares((answer.name,), [int((values >= 0.5).sum())], len(values))
        else:
            mean, least, greatest = (float(x) for x in (values.mean(), values.min(), values.max()))
            found["values"].append({"name": answer.name, "mean": mean, "least": least, "greatest": greatest})
    if len(pair := [answer for answer in answers if answer.kind == "value"]) == 2:
        a, b = pair
        x, y = (np.asarray(person.values[answer.name], np.float64) for answer in pair)
        found["plane"] = density(a, b, x, y, (f"predictions: {a.name}", b.name))
    return found


def _shares(names: Sequence[str], counts: Any, n: int) -> list[Share]:
    return [{"name": name, "share": k / n, "frames": int(k)} for name, k in zip(names, counts, strict=True)]


def _facts(video: VideoInfo, about: Mapping[str, Any]) -> list[tuple[str, str]]:
    summary = about["summary"]
    found = [
        ("model", f"{about['model']} ({about['kind']})"),
        ("sha256 of its weights", str(about["digest"])),
        ("track", f"{about['edition']} {about['track']}".strip()),
        ("table", str(summary.get("table", ""))),
        ("frames", f"{summary['frames']:,} in {summary['seconds']:g} s, {video.width} x {video.height} pixels"),
        ("sound", "yes" if video.has_audio else "none"),
    ]
    found += [
        (f"person {one['person']}: frames without a face", f"{one['without_face']:.1%}") for one in summary["people"]
    ]
    found += [(name, version) for name, version in about["versions"].items()]
    return [(key, value) for key, value in found if value]
