"""`harness info EDITION` and `harness info METRIC`.

An edition is shown with the predictions, metric, files and rules of each track, and what is unconfirmed; a metric with
its card.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from tabulate import tabulate

from zoo.metrics.cards import METRICS, MetricCard
from zoo.text import visible
from zoo.tracks import FORMS, Answer, EditionSpec, Form, TrackSpec

WIDTH = 96
LISTS = (
    "training_set_annotations.txt and validation_set_annotations.txt (edition 3: train_set.txt and validation_set.txt)"
)
"""The label files of tracks whose unit is the image; a copy, because affwild2.annotation_sets is heavy to import."""


def describe(spec: EditionSpec) -> str:
    """Format an edition and its tracks."""
    venue = spec.venue if str(spec.year) in spec.venue else f"{spec.venue} ({spec.year})"
    head = [("edition", spec.name), ("venue", venue), ("paper", spec.paper or "unconfirmed")]
    blocks = [tabulate([*head, ("tracks", ", ".join(t.name for t in spec.tracks))], tablefmt="plain")]
    return "\n\n".join([*blocks, *(_track(track) for track in spec.tracks)])


def describe_metric(card: MetricCard) -> str:
    """Format a metric's card."""
    kinds = ", ".join(card.kinds)
    rows = [
        ("metric", card.name),
        ("formula", card.formula),
        ("answers", f"of the kind {kinds}"),
        ("population", card.population),
        ("masks", card.masks),
        ("aggregation", card.aggregation),
        ("degenerate", card.degenerate),
        ("used by", card.source),
    ]
    return str(
        tabulate([(name, _wrapped(text, apart=True)) for name, text in rows], tablefmt="plain", disable_numparse=True)
    )


def _wrapped(text: str, apart: bool) -> str:
    """Wrap a text; with ``apart``, every part between semicolons begins a new line."""
    parts = text.split("; ") if apart else [text]
    return "\n".join(line for part in parts for line in textwrap.wrap(visible(part), WIDTH))


def _track(track: TrackSpec) -> str:
    rows = [
        (name, text if name == "example" else _wrapped(text, apart=name in ("asks for", "metric")))
        for name, text in _rows(track)
    ]
    return f"--- {track.name} ---\n" + str(tabulate(rows, tablefmt="plain", disable_numparse=True))


def _rows(track: TrackSpec) -> Iterator[tuple[str, str]]:
    yield "asks for", f"{_answers(track)}; of each {track.unit}"
    yield "metric", f"{track.metric}: {METRICS[track.metric].formula}" if track.metric in METRICS else track.metric
    yield "data", f"{track.data}: {track.size}" if track.size else track.data
    if track.folders:
        yield "annotation folders", _annotations(track)
        yield "first line", " or ".join(track.headers)
    else:
        yield "training", "not here; `harness submit --predictions FILE` writes and verifies it"
    yield "handed in", f"{track.submission}: {FORMS[track.submission]}"
    yield "example", example(track)
    if track.other_headers:
        yield "also seen", "; ".join(track.other_headers)
    yield "usual name", track.file
    yield "lists", ", ".join(track.lists)
    yield "submissions", f"at most {track.limit}{limit_is_confirmed(track)}" if track.limit else "number unconfirmed"
    if counts := _figures(track):
        yield "counts", counts
    yield "rules", track.rules
    for source in track.sources:
        yield "source", source
    yield "confirmed", "all but what follows" if track.unconfirmed else "all of this"
    for what in track.unconfirmed:
        yield "unconfirmed", what
    yield "version", f"{track.version} (of metric, masks and rows)"


def limit_is_confirmed(track: TrackSpec) -> str:
    """Return a note if the number of submissions is unconfirmed, such as " (unconfirmed: one team's)", else ""."""
    why = (re.fullmatch(rf"{track.limit} submissions \((.*)\)", text) for text in track.unconfirmed)
    return next((f" (unconfirmed: {found[1]})" for found in why if found), "")


def _annotations(track: TrackSpec) -> str:
    folders = " or ".join(track.folders)
    return f"{folders}, or any with {LISTS}" if track.unit == "image" else f"{folders}: Train_Set, Validation_Set"


def _answers(track: TrackSpec) -> str:
    kinds: dict[str, list[Answer]] = {}
    for answer in track.answers:
        kinds.setdefault(answer.kind, []).append(answer)
    texts = []
    for kind, answers in kinds.items():
        names = ", ".join(answer.name for answer in answers)
        if kind == "value":
            texts.append(f"{names} from {answers[0].low:g} to {answers[0].high:g}")
        elif kind == "class":
            classes = ", ".join(f"{i} {c}" for i, c in enumerate(answers[0].classes))
            texts.append(f"{names}, one of {len(answers[0].classes)}: {classes}")
        else:
            texts.append(f"{len(answers)} action units, 0 or 1: {names}")
    return "; ".join(texts)


def example(track: TrackSpec) -> str:
    """Return the header and a made-up first row of a submission."""
    given = ["0.25" if answer.kind == "value" else "1" for answer in track.answers]
    key: dict[str, list[str]] = {
        Form.PER_VIDEO: [],
        Form.CSV: ["1"],
        Form.KEYED: ["video1/00001.jpg"],
        Form.MTL: ["video1/00001.jpg"],
        Form.FRAME_TRIALS: ["video1.mp4/frame-0.jpg"],
        Form.TRIALS: ["video1.mp4"],
        Form.ITEMS: [track.item.format("0.jpg" if track.unit == "image" else "00001")],
    }
    lines = [track.submission_header] if track.submission_header else []
    return "\n".join([*lines, ",".join([*key[track.submission], *given])])


def _figures(track: TrackSpec) -> str:
    """Return the published counts; several for one name if sources differ."""
    shown = []
    for name, value in track.figures.items():
        if isinstance(value, int | tuple):
            each = " or ".join(f"{v:,}" for v in (value if isinstance(value, tuple) else (value,)))
            shown.append(f"{name.replace('_', ' ')} {each}")
    return ", ".join(shown)
