"""Tables of predictions of one input, their summary, and about.json, which describes the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from harness.evaluation.prediction_tables import to_frame
from harness.io.atomic import atomic
from harness.predicting.final_rows import Person
from harness.predicting.models import About
from harness.predicting.one_pass import Predicted
from zoo.api import Answer
from zoo.libraries import version
from zoo.text import seen_json

ABOUT = "about.json"
"""File next to the tables: the model, warnings about its use, and a summary of every input."""

COURSE = 10
"""Number of equal parts of a video; their means are the course of a value."""

BOX = ("x0", "y0", "x1", "y1")
"""Columns of the face box."""


class Summary(TypedDict, total=False):
    """The summary of an input in about.json. Cameras have ``input``, ``frames`` and ``table`` only.

    ``readings``: how often it was decoded; ``posed``: counts of person boxes by pose; ``people``: for each its number,
    the share of frames without a face, and an entry for each answer; ``table``: the name of its table.
    """

    input: str
    kind: str
    frames: int
    seconds: float
    readings: int
    posed: dict[str, int]
    people: list[dict[str, Any]]
    table: str


def table_of(predicted: Predicted, answers: tuple[Answer, ...]) -> pd.DataFrame:
    """Return the table of an input, one row a frame and person; see ``rows_of``."""
    return pd.concat([rows_of(person, answers) for person in predicted.people], ignore_index=True)


def rows_of(person: Person, answers: tuple[Answer, ...], start: int = 0) -> pd.DataFrame:
    """Return the rows of one person, one a frame.

    Args:
        person: The person, at consecutive frames.
        answers: The predicted quantities.
        start: The index of the first of these frames.

    Returns:
        ``video``, ``frame`` (from 1), ``time`` (seconds), ``person`` (from 1), ``x0`` to ``y1`` (the face box in
        pixels; empty if no face is detected), ``score`` (of the detector), the predictions, ``present_<slot>``.
    """
    table = to_frame(answers, [person.predictions], labels=False)
    table = table.drop(columns=[c for c in table.columns if str(c).startswith("extra_") or c == "group"])
    table["frame"] = np.arange(start + 1, start + len(table) + 1, dtype=np.int32)
    boxes = {"person": np.full(len(table), person.number, np.int32)}
    boxes |= {name: person.face[:, k] for k, name in enumerate(BOX)} | {"score": person.score}
    for place, (name, column) in enumerate(boxes.items(), 3):
        table.insert(place, name, column)
    return table


def summary_of(predicted: Predicted, answers: tuple[Answer, ...], table: str) -> Summary:
    """Return the summary of an input.

    Of every person it has the shares of classes and units, and the means of values with their course in ten parts.
    """
    times = predicted.media.info.times
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    summary: Summary = {
        "input": str(predicted.media.path),
        "kind": predicted.media.kind,
        "frames": len(times),
        "seconds": round(float(times[-1]) + step, 3),
        "readings": predicted.readings,
        "people": [_person_summary(person, answers) for person in predicted.people],
        "table": table,
    }
    if predicted.posed is not None:
        summary["posed"] = asdict(predicted.posed)
    return summary


def _person_summary(person: Person, answers: tuple[Answer, ...]) -> dict[str, Any]:
    unseen = float(np.isnan(person.score).mean())
    out: dict[str, Any] = {"person": person.number, "without_face": round(unseen, 4)}
    for answer in answers:
        value = person.predictions.values[answer.name]
        if answer.kind == "class":
            counts = np.bincount(value.argmax(1), minlength=len(answer.classes)) / len(value)
            shares = {str(name): round(float(share), 4) for name, share in zip(answer.classes, counts, strict=True)}
            out[answer.name] = {"shares": shares}
        elif answer.kind == "binary":
            out[answer.name] = {"share": round(float((value >= 0.5).mean()), 4)}
        else:
            parts = [part for part in np.array_split(value, COURSE) if len(part)]
            course = [round(float(part.mean()), 4) for part in parts]
            out[answer.name] = {"mean": round(float(value.mean()), 4), "course": course}
    return out


def line_of(summary: Summary, answers: tuple[Answer, ...]) -> str:
    """Return a summary as one line for the terminal."""
    said = []
    for person in summary["people"]:
        parts = [f"person {person['person']}"] if len(summary["people"]) > 1 else []
        for answer in answers:
            found = person[answer.name]
            if answer.kind == "class":
                first = sorted(found["shares"].items(), key=lambda item: -item[1])[:2]
                parts.append(", ".join(f"{name} {share:.0%}" for name, share in first if share))
            elif answer.kind != "binary":
                parts.append(f"{answer.name} {found['mean']:+.2f}")
        parts.append(f"no face {person['without_face']:.0%}")
        said.append(", ".join(part for part in parts if part))
    count = summary["frames"]
    return f"{count} frame{'' if count == 1 else 's'}; " + "; ".join(said)


def write_about(out: Path, about: About, summaries: Sequence[Summary]) -> None:
    """Write about.json: the model behind the tables and a summary of every input.

    Entries of earlier commands stay as long as their tables exist. If another model made them, its description is in
    their ``about``.
    """
    model = json.loads(json.dumps({"program": version("abaw-zoo"), **asdict(about)}))
    there = read_about(out)
    before = {name: value for name, value in there.items() if name != "inputs"}
    written = {one["table"] for one in summaries}
    entries: list[Mapping[str, Any]] = []
    for entry in there.get("inputs", ()):
        table, made_by = entry.get("table"), entry.get("about", before)
        if table and table not in written and (out / table).is_file():
            plain = {name: value for name, value in entry.items() if name != "about"}
            entries.append(plain if made_by == model else plain | {"about": made_by})
    content = {**model, "inputs": [*entries, *summaries]}
    text = seen_json(json.dumps(content, indent=1, ensure_ascii=False)) + "\n"
    atomic(out / ABOUT, lambda part: part.write_text(text, encoding="utf-8"))


def read_about(out: Path) -> dict[str, Any]:
    """Return the content of a folder's about.json; empty if there is none, or it was not written by this program."""
    try:
        content = json.loads((out / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or "program" not in content:
        return {}
    entries = content.get("inputs")
    known = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    return content if known else {}
