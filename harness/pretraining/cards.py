"""The model card of a pretraining: what was seen, what the weights inherit, what they score; as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from harness.config.recorded import recorded
from harness.data.corpora.checking import Checked
from harness.io.atomic import atomic
from harness.io.digests import text_sha256
from harness.pretraining.counts import count_pictures
from harness.pretraining.plan import Pretraining
from harness.pretraining.scores import TargetScores
from harness.runs.exposure import read_exposure
from harness.runs.identity import VERSIONED
from harness.training.epoch_choice import selected_by_score
from harness.training.loop import Trained
from zoo.weights.loading import Loaded

UNKNOWN_GROUPS = "people are not named: pictures count as independent, and the true interval may be wider"
KNOWN_GROUPS = "groups of pictures are left out together"


class Card(TypedDict):
    """The facts of a finished pretraining; the same command gives the same card.

    ``pictures``: those that are learned and scored, by part; ``saw``: this corpus and what the starting weights saw;
    ``selection_split``: the part whose scores chose the epoch or lowered the rate, or None; ``seen_before``: the
    starting weights had seen this corpus.
    """

    corpus: str
    data: str
    synthetic: bool
    targets: list[str]
    classes: list[str]
    pictures: dict[str, int]
    labels: dict[str, dict[str, int]]
    left_out: dict[str, int]
    damaged: list[str]
    fingerprint: str
    split: str
    encoder: str
    starting_weights: dict[str, Any] | None
    seen_before: bool
    saw: list[str]
    license: str
    scores: dict[str, TargetScores]
    interval: str
    selection_split: str | None
    n_selections: int
    selected: list[str]
    epochs: int
    epoch: int
    steps: int
    config: dict[str, Any]
    corpus_options: dict[str, Any]
    versions: dict[str, str]
    weights_sha256: str


def card_of(
    job: Pretraining, checked: Checked, loaded: Loaded | None, trained: Trained, scores: dict[str, TargetScores]
) -> Card:
    """Return the card; ``weights_sha256`` is filled in once the file is written."""
    table, before = checked.table, loaded.card if loaded else None
    counted = count_pictures(job.config, job.track, table)
    runs = [str(saw) for saw in read_exposure(loaded.path)] if loaded else []
    terms = f"{job.spec.data}: {job.spec.terms}"
    inherited = [terms] + ([f"starting weights {before.name}: {before.license}"] if before else [])
    groups = KNOWN_GROUPS if table.groups is not None else UNKNOWN_GROUPS
    return {
        "corpus": job.request.corpus,
        "data": job.data,
        "synthetic": job.synthetic,
        "targets": list(job.request.targets),
        "classes": [name for answer in job.track.answers for name in answer.classes],
        "pictures": counted.pictures,
        "labels": _counts(job, checked),
        "left_out": counted.left_out,
        "damaged": list(checked.damaged),
        "fingerprint": checked.fingerprint,
        "split": job.spec.split,
        "encoder": job.config.encoders,
        "starting_weights": dict(loaded.record()) if loaded else None,
        "seen_before": bool(before and job.data in before.saw),
        "saw": list(dict.fromkeys([job.data, *(before.saw if before else ()), *runs])),
        "license": "; ".join(inherited),
        "scores": scores,
        "interval": f"95 %, jackknife over random blocks of validation pictures; {groups}",
        "selection_split": "val" if trained.selections else None,
        "n_selections": trained.selections,
        "selected": list(selected_by_score(job.config.train)) if trained.selections else [],
        "epochs": trained.epochs,
        "epoch": trained.best_epoch,
        "steps": trained.steps,
        "config": recorded(job.config),
        "corpus_options": dict(job.request.options),
        "versions": {name: version(name) for name in VERSIONED},
        "weights_sha256": "",
    }


def _counts(job: Pretraining, checked: Checked) -> dict[str, dict[str, int]]:
    """Return part -> class -> pictures; {} if no expressions are learned."""
    names = [answer.name for answer in checked.table.answers]
    chosen = [answer for answer in job.track.answers if answer.kind == "class"]
    if not chosen:
        return {}
    labels = checked.table.labels[:, names.index(chosen[0].name)]
    counts = {}
    for part, mask in (("train", checked.table.train), ("val", ~checked.table.train)):
        known = labels[mask & np.isfinite(labels)].astype(int)
        bins = np.bincount(known, minlength=len(chosen[0].classes)).tolist()
        counts[part] = dict(zip(chosen[0].classes, bins, strict=True))
    return counts


def write_card(folder: Path, card: Card, circumstances: Mapping[str, Any]) -> None:
    """Write card.json and card.md, and print the scores."""
    result = dict(card)
    content = {"result": result, "result_sha256": text_sha256(result), "circumstances": dict(circumstances)}
    text = card_text(card)
    atomic(folder / "card.md", lambda part: part.write_text(text, encoding="utf-8"))
    atomic(folder / "card.json", lambda part: part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8"))
    print("\n".join(score_lines(card)))
    print(f"written: {folder}/model.safetensors, card.md, card.json")
    print(f"use it: --encoders face=checkpoint:{folder}/model.safetensors")


def score_lines(card: Card) -> list[str]:
    """Return a line for each score with its interval."""
    return [
        f"{name}: {m['value']:.4f} ({m['low']:.4f} to {m['high']:.4f}) on {scores['pictures']:,} validation pictures"
        for scores in card["scores"].values()
        for name, m in scores["measures"].items()
    ]


def card_text(card: Card) -> str:
    """Return the card as Markdown."""
    trained = ", ".join(f"{part} {count:,}" for part, count in card["pictures"].items())
    chosen = card["selected"]
    choice = (
        f"the validation part chose {' and '.join(chosen)}: its scores flatter" if chosen else "no score chose anything"
    )
    lines = [
        f"# {card['encoder']}, pretrained on {card['data']}",
        "",
        *(["Made-up pictures: the scores say nothing about people.", ""] if card["synthetic"] else []),
        f"- Predicts: {', '.join(card['targets'])}" + (f" ({', '.join(card['classes'])})" if card["classes"] else ""),
        f"- Saw: {', '.join(card['saw'])}",
        f"- Licence inherited: {card['license']}",
        f"- Pictures: {trained}; {card['split']}",
        *(f"- Left out: {count:,} ({reason})" for reason, count in card["left_out"].items()),
        f"- Selection: {choice}",
        *(
            ["- The starting weights had seen this corpus, perhaps its validation part too."]
            if card["seen_before"]
            else []
        ),
        f"- Interval: {card['interval']}",
        "",
        "| score | value | 95 % interval |",
        "|---|---|---|",
    ]
    for scores in card["scores"].values():
        for name, m in scores["measures"].items():
            lines.append(f"| {name} | {m['value']:.4f} | {m['low']:.4f} to {m['high']:.4f} |")
    return "\n".join([*lines, ""])
