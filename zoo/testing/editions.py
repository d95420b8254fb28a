"""Rules for editions: their tracks can be trained, scored and submitted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from zoo.api import Answer, EditionSpec, TrackSpec
from zoo.metrics.scores import METRICS, score, statistics
from zoo.testing.rules import Check, checks_of, expect, run_all
from zoo.tracks import FORMS, Form

_UNITS: dict[str, tuple[str, ...]] = {
    Form.MTL: ("image",),
    Form.ITEMS: ("image", "video"),
    Form.TRIALS: ("video",),
}  # all other forms: frame
_ONE_CLASS = (Form.FRAME_TRIALS, Form.TRIALS, Form.CSV)
_BARE = (Form.FRAME_TRIALS, Form.TRIALS)  # without a header


@dataclass(frozen=True)
class TrackCase:
    """One track of an edition.

    Attributes:
        spec: The track's spec.
    """

    spec: TrackSpec


def edition_checks(spec: EditionSpec) -> list[Check]:
    """Return every rule for every track of an edition, one by one.

    See ``head_checks`` for an example.

    Args:
        spec: The edition's spec.

    Returns:
        The checks.
    """
    tracks = [(f"{spec.name}[{track.name}]", TrackCase(track)) for track in spec.tracks]
    return [check for name, case in tracks for check in checks_of(name, RULES, case)]


def check_edition(spec: EditionSpec) -> None:
    """Run every rule for an edition.

    See ``check_head`` for an example.

    Args:
        spec: The edition's spec.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(edition_checks(spec))


def answers(case: TrackCase) -> None:
    """Check that answers have unique names, classes or a range, an invalid value outside them, and are grouped by kind.

    They determine how labels are read, which losses are chosen and how columns are laid out.
    """
    names = [answer.name for answer in case.spec.answers]
    expect(names and len(set(names)) == len(names), f"the answers' names are {names}")
    for answer in case.spec.answers:
        inside = answer.low <= answer.invalid <= answer.high if answer.kind == "value" else answer.invalid >= 0
        expect(not inside, f"{answer.name}: {answer.invalid} is a label, and marks frames without one")
        expect(answer.kind != "class" or len(answer.classes) > 1, f"{answer.name} has classes {answer.classes}")
        expect(answer.low < answer.high, f"{answer.name} lies within {answer.low} and {answer.high}")
    kinds = [answer.kind for answer in case.spec.answers]
    changes = sum(a != b for a, b in pairwise(kinds))
    expect(changes == len(set(kinds)) - 1, f"answers of one kind do not stand together: {kinds}")


def metric(case: TrackCase) -> None:
    """Check that the metric is a formula of zoo.metrics.scores for answers of these kinds.

    Records name it, and tables over many years are built from it.
    """
    known = METRICS.get(case.spec.metric)
    expect(known is not None, f"zoo.metrics.scores has no {case.spec.metric!r}, but {', '.join(METRICS)}")
    assert known is not None
    kinds = {answer.kind for answer in case.spec.answers}
    expect(
        kinds == set(known.kinds), f"{case.spec.metric} scores {sorted(known.kinds)}, the answers are {sorted(kinds)}"
    )


def perfect(case: TrackCase) -> None:
    """Check that predictions equal to the labels reach the top of the range of scores.

    Scores are also printed relative to the best possible one, and compared between tracks.
    """
    targets = {answer.name: _labels(answer) for answer in case.spec.answers}
    values = {
        answer.name: np.eye(len(answer.classes))[targets[answer.name].astype(int)]
        if answer.kind == "class"
        else targets[answer.name]
        for answer in case.spec.answers
    }
    stats = statistics(case.spec.answers, values, targets)
    best = score(case.spec.metric, case.spec.answers, stats).main
    top = case.spec.score_range[1]
    expect(abs(best - top) < 1e-9, f"perfect answers score {best}, the range of scores ends at {top}")


def handed_in(case: TrackCase) -> None:
    """Check that the form is one of zoo.tracks.FORMS and fits answers and unit, and the header its fields.

    The writers and the verifier know nothing else about a track.

    A header has one field per answer or class.
    """
    spec = case.spec
    expect(spec.submission in FORMS, f"there is no form {spec.submission!r}, but {', '.join(FORMS)}")
    units = _UNITS.get(spec.submission, ("frame",))
    expect(spec.unit in units, f"a row of {spec.submission} is of a {' or '.join(units)}, the unit is {spec.unit}")
    kinds = [answer.kind for answer in spec.answers]
    expect(spec.submission not in _ONE_CLASS or kinds == ["class"], f"{spec.submission} holds one class, not {kinds}")
    binary = spec.submission != Form.TRIALS or len(spec.answers[0].classes) == 2
    expect(binary, f"trials have p0 and p1, the classes are {spec.answers[0].classes}")
    for header in (spec.submission_header, *spec.other_headers):
        _header(spec, header)
    expect(spec.item.count("{}") == 1, f"item is {spec.item!r}: it wants one {{}} where the id stands")
    inside = spec.file not in ("", ".", "..") and not set(spec.file) & set("/\\")
    expect(inside, f"the file's name {spec.file!r} would leave the output folder")
    expect(spec.limit is None or spec.limit > 0, f"the number of submissions allowed is {spec.limit}")


def _header(spec: TrackSpec, header: str) -> None:
    if spec.submission in _BARE:
        expect(not header, f"{spec.submission} has no header, but there is {header!r}")
        return
    fields = header.split(",")
    expect(all(field and field == field.strip() for field in fields), f"the header {header!r} has an empty field")
    if spec.submission != Form.MTL:  # its only header has one field for all action units
        key = spec.submission != Form.PER_VIDEO
        named = 1 if spec.submission == Form.CSV else sum(len(answer.classes) or 1 for answer in spec.answers)
        wanted = sorted({key + named, key + len(spec.answers)})
        texts = " or ".join(map(str, wanted))
        expect(len(fields) in wanted, f"the header {header!r} has {len(fields)} fields, the form wants {texts}")


def _labels(answer: Answer) -> np.ndarray:
    if answer.kind == "value":
        return np.linspace(answer.low, answer.high, 40)
    return np.arange(40.0) % max(2, len(answer.classes))


RULES = (answers, metric, perfect, handed_in)
