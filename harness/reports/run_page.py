"""The page of one run: data for its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from harness.reports import facts
from harness.reports.bars import Bar, bars
from harness.reports.classes import (
    ClassFigure,
    PrecisionRecall,
    Reliability,
    class_figures,
    class_reliability,
    labelled,
    precision_recall,
)
from harness.reports.curves import curves
from harness.reports.rendering import render, script_json
from harness.reports.sources import RunSources
from harness.reports.timelines import Timelines, described, timelines
from harness.reports.values import Density, MeanLabel, densities, mean_label
from zoo.api import Answer
from zoo.metrics.scores import confusion


def run_page(sources: RunSources) -> str:
    """Return the page of a run as HTML."""
    record, result = sources.record, sources.record.result
    heads, parts = facts.part_table(result)
    drawn = figures(sources)
    lines = timeline_data(sources, drawn["videos"])
    return render(
        "run.html",
        "report.js",
        title=record.name,
        record=record,
        heading=facts.heading(record),
        synthetic=bool((result.get("data") or {}).get("synthetic")),
        scores=facts.score_rows(result),
        axis=result.get("score_range") or [0.0, 1.0],
        part_heads=heads,
        parts=parts,
        remarks=facts.said(record),
        notes=sources.notes,
        members=facts.member_rows(sources.members),
        ensemble=facts.ensemble_rows(result),
        split=sources.split,
        drop=drop_rows(sources),
        data=facts.data_rows(result),
        data_note=facts.data_note(result),
        cards=facts.cards(result),
        choices=facts.choices(result),
        settings=facts.settings(result),
        environment=facts.environment(record),
        repeat=facts.repeat(sources.folder, result),
        payload=script_json({"curves": curves(sources.histories), "timelines": lines}),
        has_curves=bool(sources.histories),
        **drawn,
    )


class Confusion(TypedDict):
    """The confusion matrix of a class answer. ``counts[label][prediction]``; ``totals``: frames of each label."""

    name: str
    classes: list[str]
    counts: list[list[int]]
    totals: list[int]
    each: list[ClassFigure]


class Unit(TypedDict):
    """The figures of a unit that is active, and its precision-recall curve."""

    name: str
    each: ClassFigure
    curve: PrecisionRecall | None
    frames: int


class Means(TypedDict):
    """The mean label at each prediction of a value."""

    name: str
    low: float
    high: float
    bins: MeanLabel


class Calibration(TypedDict):
    """The share of correct predictions at each probability."""

    name: str
    bins: Reliability


class RunFigures(TypedDict):
    """All figures of a run's predictions."""

    confusions: list[Confusion]
    units: list[Unit]
    densities: list[Density]
    reliabilities: list[Calibration]
    means: list[Means]
    videos: list[Bar]
    groups: list[Bar]


DropRow = TypedDict(
    "DropRow",
    {
        "name": str,
        "main": float,
        "low": float | None,
        "high": float | None,
        "difference": float | None,
        "from": float | None,
        "to": float | None,
        "p": float | None,
    },
)
"""The score under a tested condition, and its difference from that of the run with an interval."""


def figures(sources: RunSources) -> RunFigures:
    """Return the figures of the predictions; all empty without labels."""
    track, videos = sources.track, sources.raw
    drawn: RunFigures = {
        "confusions": [],
        "units": [],
        "densities": [],
        "reliabilities": [],
        "means": [],
        "videos": [],
        "groups": [],
    }
    if track is None or not videos or not is_labelled(sources):
        return drawn
    for answer in track.answers:
        values, targets = labelled(answer, videos)
        if not len(targets):
            continue
        if answer.kind == "class":
            drawn["confusions"].append(confusion_figure(answer, values.argmax(1), targets))
        if answer.kind == "binary":
            drawn["units"].append(unit_figure(answer, values, targets))
        if answer.kind == "value":
            if (bins := mean_label(answer, videos)) is not None:
                drawn["means"].append({"name": answer.name, "low": answer.low, "high": answer.high, "bins": bins})
        elif (calibration := class_reliability(answer, videos)) is not None:
            drawn["reliabilities"].append({"name": answer.name, "bins": calibration})
    drawn["densities"] = densities(track.answers, videos)
    drawn["videos"], drawn["groups"] = bars(track, videos)
    return drawn


def confusion_figure(answer: Answer, chosen: np.ndarray, targets: np.ndarray) -> Confusion:
    """Return the confusion matrix of a class answer: names, counts, and precision, recall and F1 of each class."""
    counts = confusion(chosen, targets, len(answer.classes))
    return {
        "name": answer.name,
        "classes": list(answer.classes),
        "counts": counts.tolist(),
        "totals": counts.sum(1).tolist(),
        "each": class_figures(answer.classes, counts),
    }


def unit_figure(answer: Answer, values: np.ndarray, targets: np.ndarray) -> Unit:
    """Return precision, recall and F1 of a unit, and its precision-recall curve."""
    counts = confusion(values >= 0.5, targets, 2)
    return {
        "name": answer.name,
        "each": class_figures((f"not {answer.name}", answer.name), counts)[1],
        "curve": precision_recall(answer.name, values, targets),
        "frames": len(targets),
    }


def timeline_data(sources: RunSources, scored: Sequence[Bar]) -> Timelines:
    """Return the timelines as the page's script expects them, the video with the lowest score first.

    ``scored``: the bars of the videos; empty without labels.
    """
    if sources.track is None or not sources.raw:
        return {"answers": [], "videos": []}
    order = {bar.name: i for i, bar in enumerate(scored)}
    videos = sorted(sources.raw, key=lambda video: (order.get(video.video, len(order)), video.video))
    lines = timelines(sources.track.answers, videos, sources.post)
    figure = {bar.name: bar.score for bar in scored}
    answers = [described(answer) for answer in sources.track.answers]
    return {"answers": answers, "videos": [{**line, "score": figure.get(line["name"])} for line in lines]}


def drop_rows(sources: RunSources) -> list[DropRow]:
    """Return the score of the run under each tested condition, a row each."""
    rows: list[DropRow] = []
    for row in sources.conditions:
        raw: Mapping[str, Any] = row["raw"]
        difference = raw.get("difference") or {}
        known = int(difference.get("groups") or 0) > 1
        compared = difference if known else {}
        rows.append(
            {
                "name": str(row["name"]),
                "main": raw["main"],
                "low": raw.get("low"),
                "high": raw.get("high"),
                "difference": difference.get("value"),
                "from": compared.get("low"),
                "to": compared.get("high"),
                "p": compared.get("p"),
            }
        )
    return rows


def is_labelled(sources: RunSources) -> bool:
    """Return whether any prediction has a label."""
    return any(np.isfinite(target).any() for video in sources.raw for target in video.targets.values())
