"""Tables of names and values on a run's page, taken from its record."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from harness.config.schema import flat
from harness.runs.remarks import LABELS, parts_line, remarks
from leaderboards.blocks import Result, ScoreBlock
from leaderboards.record import Record

SPLITS = ("train", "val", "test")
Pairs = list[tuple[str, str]]


class ScoreRow(TypedDict):
    """A score of a run, or of the plain reference. ``spread``: over seeds or folds; ``parts``: one line."""

    label: str
    kind: str
    main: float | None
    low: float | None
    high: float | None
    spread: float | None
    videos: int | None
    groups: int | None
    frames: int | None
    parts: str


class MemberRow(TypedDict):
    """A seed or fold of a run with its scores."""

    name: str
    status: str
    reason: str | None
    epoch: int | None
    raw: float | None
    post: float | None


class EnsembleRow(TypedDict):
    """A member of an ensemble, its score and its weights in one line."""

    name: str | None
    raw: float | None
    weights: str


def heading(record: Record) -> str:
    """Return one line with the track, metric, split and data of a run."""
    result = record.result
    name = " ".join(str(result[key]) for key in ("edition", "track") if result.get(key))
    data: Mapping[str, Any] = result.get("data") or {}
    where = f"{result.get('metric')} on {result.get('split')} of {data.get('name', 'unknown data')}"
    return f"{name}: {where}" if name else "The run ended before its data was known."


def score_rows(result: Result) -> list[ScoreRow]:
    """Return one row for each score of a run, the plain reference last."""
    rows: list[ScoreRow] = [
        {
            "label": LABELS.get(kind, kind),
            "kind": kind,
            "main": block.get("main"),
            "low": block.get("low"),
            "high": block.get("high"),
            "spread": block.get("spread", block.get("fold_spread")),
            "videos": block.get("videos"),
            "groups": len(block.get("groups") or ()),
            "frames": block.get("frames"),
            "parts": _parts(block),
        }
        for kind, block in (result.get("scores") or {}).items()
    ]
    if reference := result.get("reference"):
        rows.append(
            {
                "label": "plain reference",
                "kind": "reference",
                "main": reference.get("main"),
                "low": None,
                "high": None,
                "spread": None,
                "videos": None,
                "groups": None,
                "frames": int((reference.get("parts") or {}).get("frames") or 0) or None,
                "parts": _parts(reference),
            }
        )
    return rows


def part_table(result: Result) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """Return the column heads and the rows of the parts of the scores; frame counts are left out."""
    scores: Mapping[str, ScoreBlock] = result.get("scores") or {}
    named: dict[str, Mapping[str, Any]] = {LABELS.get(k, k): block.get("parts") or {} for k, block in scores.items()}
    if reference := result.get("reference"):
        named["plain reference"] = reference.get("parts") or {}
    names = dict.fromkeys(name for parts in named.values() for name in parts if not name.startswith("frames"))
    return list(named), [(name, [parts.get(name) for parts in named.values()]) for name in names]


def said(record: Record) -> list[str]:
    """Return remarks about the score, one line each; empty if the record has another shape."""
    try:
        return remarks(record.result) if record.result.get("scores") else []
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def data_rows(result: Result) -> list[tuple[str, list[int | None]]]:
    """Return the numbers of videos, groups and frames of each split."""
    data: Mapping[str, Any] = result.get("data") or {}
    return [(what, [_table(data.get(what)).get(s) for s in SPLITS]) for what in ("videos", "groups", "frames")]


def data_note(result: Result) -> str:
    """Return the name, fingerprint and packs of the data in one line."""
    data: Mapping[str, Any] = result.get("data") or {}
    packed = (f"{stream} packed ({_pairs(of)})" for stream, of in _table(data.get("packed")).items())
    name, fingerprint = data.get("name") or "unknown data", str(data.get("fingerprint") or "unknown")
    return "; ".join([f"{name}, fingerprint {fingerprint[:16]}", *packed])


def member_rows(members: Mapping[str, Record]) -> list[MemberRow]:
    """Return one row for each seed or fold of a run."""
    return [
        {
            "name": name,
            "status": member.status,
            "reason": member.reason,
            "epoch": member.result.get("epoch"),
            "raw": _table(member.scores.get("raw")).get("main"),
            "post": _table(member.scores.get("post")).get("main"),
        }
        for name, member in members.items()
    ]


def ensemble_rows(result: Result) -> list[EnsembleRow]:
    """Return the members of an ensemble with their scores and weights."""
    members = (result.get("members") or ()) if "ensemble" in result else ()
    return [
        {"name": one.get("name"), "raw": one.get("raw"), "weights": _pairs(one.get("weights") or {})}
        for one in members
        if isinstance(one, Mapping)
    ]


def cards(result: Result) -> list[tuple[str, Pairs]]:
    """Return the model card of each input branch: the branch's name and the facts about its weights."""
    found = []
    for card in result.get("passports") or ():
        facts = [(key.replace("_", " "), _plain(value)) for key, value in card.items() if key != "slot"]
        found.append((str(card.get("slot")), [(key, value) for key, value in facts if value]))
    return found


def settings(result: Result) -> Pairs:
    """Return every setting of a run; paths and machines are not settings."""
    return [(key, _plain(value)) for key, value in flat(result.get("config") or {}).items()]


def choices(result: Result) -> Pairs:
    """Return the facts about training and selection."""
    parameters: Mapping[str, Any] = result.get("parameters") or {}
    cost: Mapping[str, Any] = result.get("multiply_adds") or {}
    submission: Mapping[str, Any] = result.get("submission") or {}
    named = {
        "epochs": result.get("epochs"),
        "epoch used": result.get("epoch"),
        "epochs of the members": result.get("best_epochs"),
        "steps": result.get("steps"),
        "seeds": result.get("seeds"),
        "chosen on": result.get("selection_split"),
        "scores compared for selection": result.get("n_selections") or None,
        "trained parameters": parameters.get("trained"),
        "frozen parameters": parameters.get("frozen"),
        "multiply-adds a frame": cost.get("total") if cost else None,
        "plugin files": result.get("plugins"),
        "submission": submission.get("file"),
    }
    return [(key, _plain(value)) for key, value in named.items() if value not in (None, [], "")]


def environment(record: Record) -> Pairs:
    """Return the environment of a run, without names of machines or folders."""
    c: Mapping[str, Any] = record.circumstances
    rates = c.get("frames_per_second") or {}
    named = {
        **(record.result.get("versions") or {}),
        "Python": c.get("python"),
        "platform": c.get("platform"),
        "device": c.get("device"),
        "processes": c.get("processes"),
        "threads": c.get("threads"),
        "started": c.get("started"),
        "seconds": c.get("seconds"),
        "peak memory, MB": c.get("peak_memory_mb"),
        "commit": c.get("commit"),
        **{f"frames a second, {what}": rate for what, rate in rates.items()},
    }
    return [(key, _plain(value)) for key, value in named.items() if value is not None]


def repeat(folder: Path, result: Result) -> Pairs:
    """Return the commands that repeat, evaluate and draw a run again, each with its description."""
    run = _named(folder, folder.name)
    block = result.get("ensemble")
    if block is None:
        found = [("run it again and compare the scores", f"harness reproduce {run}")]
    else:
        members = " ".join(_named(folder, row["name"]) for row in ensemble_rows(result) if row["name"])
        method = shlex.quote(str((block or {}).get("method", "mean")))
        found = [("merge its members again", f"harness ensemble {members} --method {method}")]
    found += [
        ("make this page again", f"harness report {run}"),
        ("draw its figures for a paper", f"harness report {run} --figures figures"),
    ]
    if block is None and not result.get("members"):
        found.append(("what each input branch adds", f"harness evaluate {run} --drop each"))
    return found


def _named(folder: Path, name: Any) -> str:
    """Return the path of a sibling run of ``folder``, quoted for a command."""
    return shlex.quote((Path(folder.parent.name) / str(name)).as_posix())


def _parts(block: Any) -> str:
    try:
        return parts_line(block.get("parts") or {})
    except (TypeError, ValueError, AttributeError):
        return ""


def _table(value: Any) -> dict[str, Any]:
    return dict(value or {})


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return "" if value is None else str(value)
    return ", ".join(map(str, value))
