"""The editions against the published tables (formats and counts of the official sites and example files)."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import plugins.editions
from plugins.editions import editions
from tests.support.paths import FACTS as FACTS_FOLDER
from zoo.api import EditionSpec, TrackSpec
from zoo.metrics.scores import METRICS
from zoo.registry.registry import load
from zoo.registry.tracks import find_track
from zoo.tracks import FORMS

EDITIONS = {edition.name: edition for edition in editions()}
TRACKS = [(edition, track) for edition in EDITIONS.values() for track in edition.tracks]
IDS = [f"{edition.name}-{track.name}" for edition, track in TRACKS]


def track(edition: str, name: str) -> TrackSpec:
    return next(track for track in EDITIONS[edition].tracks if track.name == name)


def test_editions_and_their_tracks() -> None:
    assert {name: [t.name for t in edition.tracks] for name, edition in EDITIONS.items()} == {
        "abaw1": ["va", "expr", "au"],
        "abaw2": ["va", "expr", "au"],
        "abaw3": ["va", "expr", "au", "mtl"],
        "abaw4": ["mtl", "lsd"],
        "abaw5": ["va", "expr", "au", "eri"],
        "abaw6": ["va", "expr", "au", "ce", "emi"],
        "abaw7": ["mtl", "ce"],
        "abaw8": ["va", "expr", "au", "ce", "emi", "ah"],
        "abaw9": ["va", "ce", "vd"],
        "abaw10": ["va", "expr", "au", "vd", "emi", "ah"],
        "abaw11": ["mtl", "ah"],
    }


@pytest.mark.parametrize(
    ("edition", "name", "header", "submission"),
    [
        ("abaw2", "va", "valence,arousal", "valence,arousal"),
        ("abaw2", "expr", "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise", None),
        ("abaw2", "au", "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26", None),
        ("abaw10", "va", "valence,arousal", "image_location,valence,arousal"),
        (
            "abaw10",
            "expr",
            "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
            "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
        ),
        (
            "abaw10",
            "au",
            "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
            "image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
        ),
        ("abaw11", "mtl", "image,valence,arousal,expression,aus", "image,valence,arousal,expression,aus"),
    ],
)
def test_headers_are_the_official_ones(edition: str, name: str, header: str, submission: str | None) -> None:
    assert track(edition, name).headers == (header,)
    assert track(edition, name).submission_header == (submission or header)


@pytest.mark.parametrize(("edition", "spec"), TRACKS, ids=IDS)
def test_a_track_is_consistent(edition: EditionSpec, spec: TrackSpec) -> None:
    kinds = {answer.kind for answer in spec.answers}
    assert kinds == set(METRICS[spec.metric].kinds)
    low, high = spec.score_range
    assert (low, high) == (-("value" in kinds), 3 if len(kinds) == 3 else 1)
    assert len({answer.name for answer in spec.answers}) == len(spec.answers)
    assert spec.joint_labels == (spec.name in ("va", "mtl"))
    assert spec.submission in FORMS
    assert bool(spec.folders) == ("Aff-Wild2" in spec.data and spec.name != "lsd"), "what can be trained on"
    assert bool(spec.submission_header) == ("trial" not in spec.submission)
    assert spec.sources
    assert spec.rules
    assert spec.lists
    for answer in spec.answers:
        assert answer.invalid == (-5 if answer.kind == "value" else -1)
        assert answer.width == (len(answer.classes) if answer.kind == "class" else 1)


def test_classes_follow_the_edition() -> None:
    assert [answer.width for answer in track("abaw2", "expr").answers] == [7]
    assert [answer.width for answer in track("abaw10", "expr").answers] == [8]
    assert track("abaw10", "expr").answers[0].classes[-1] == "Other"
    assert [answer.name for answer in track("abaw11", "mtl").answers][:4] == ["valence", "arousal", "expression", "AU1"]
    assert len(track("abaw11", "mtl").answers) == 15


def test_submissions_and_forbidden_streams() -> None:
    assert {spec.submission for edition, spec in TRACKS if edition.name == "abaw2"} == {"per_video"}
    forms = {spec.name: spec.submission for edition, spec in TRACKS if edition.name == "abaw10"}
    assert forms == {"va": "keyed", "expr": "keyed", "au": "keyed", "vd": "csv", "emi": "items", "ah": "trials"}
    assert track("abaw8", "ah").submission == "frame_trials"
    mtl = track("abaw11", "mtl")
    assert (mtl.submission, mtl.unit) == ("mtl", "image")
    assert set(mtl.forbidden_streams) == {"audio", "body", "context", "frame", "portrait"}
    assert all(stream in mtl.rules for stream in mtl.forbidden_streams)


@pytest.mark.parametrize("split", ["train", "val"])
def test_published_class_counts_add_up(split: str) -> None:
    figures = track("abaw10", "expr").figures
    with_crop = figures[f"labelled_with_crop_{split}"]
    assert sum(figures[f"class_counts_with_crop_{split}"].values()) == with_crop
    assert with_crop + figures[f"labelled_without_crop_{split}"] == figures[f"labelled_{split}"]
    assert tuple(figures[f"class_counts_with_crop_{split}"]) == track("abaw10", "expr").answers[0].classes
    mtl = track("abaw11", "mtl").figures
    assert sum(mtl[f"class_counts_{split}"].values()) <= mtl[f"labelled_{split}"]


def test_videos_add_up_to_the_published_totals() -> None:
    totals = {
        name: sum(track("abaw10", name).figures[f"videos_{s}"] for s in ("train", "val", "test"))
        for name in ("va", "expr", "au")
    }
    assert totals == {"va": 594, "expr": 546, "au": 541}  # 546 of 548 and 541 of 547: see `unconfirmed`


def test_a_further_edition_is_one_file(tmp_path, monkeypatch) -> None:
    text = (Path(plugins.editions.__file__).parent / "abaw11.py").read_text()
    (tmp_path / "abaw12.py").write_text(text.replace('name="abaw11"', 'name="abaw12"'))
    (tmp_path / "abaw_notes.py").write_text("raise AssertionError('no edition')")
    monkeypatch.setattr(plugins.editions, "__path__", [*plugins.editions.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "plugins.editions.abaw12", raising=False)
    assert [edition.name for edition in editions()] == [f"abaw{n}" for n in range(1, 13)]


def test_without_an_edition_the_latest_that_has_the_track_is_taken() -> None:
    registry = load()
    latest = {name: find_track(registry, name, None)[0].name for name in sorted({t.name for _, t in TRACKS})}
    assert latest == {
        "va": "abaw10",
        "expr": "abaw10",
        "au": "abaw10",
        "mtl": "abaw11",
        "ce": "abaw9",
        "lsd": "abaw4",
        "eri": "abaw5",
        "emi": "abaw10",
        "ah": "abaw11",
        "vd": "abaw10",
    }


FACTS = FACTS_FOLDER / "abaw_editions.json"


told = pytest.mark.skipif(
    not FACTS.is_file(), reason="the facts that were collected lie beside the checkout, not in it"
)
ABOUT = {
    "splits": r"videos|splits|rows|labelled frames|counts",
    "metric": r"^metric|formula of the metric",
    "format": r"^form\b|names of the columns|file name and form",
}


@told
def test_what_is_unconfirmed_is_marked() -> None:
    """Whatever the facts do not call confirmed is said to be unconfirmed; so is a limit that was inferred."""
    marked = 0
    for facts in json.loads(FACTS.read_text()):
        edition = EDITIONS[facts["edition"].lower()]
        for fact, spec in zip(facts["tracks"], edition.tracks, strict=True):
            for what, sure in fact["confirmed"].items():
                marked += sure is not True
                mark = any(re.search(ABOUT[what], text) for text in spec.unconfirmed)
                assert mark or sure is True, (edition.name, spec.name, what, sure)
            if spec.limit and spec.name != "ah":  # five trials of AH are the organisers' own rule
                assert any(f"{spec.limit} submissions" in text for text in spec.unconfirmed), (edition.name, spec.name)
    assert marked > 25


@told
def test_sources_and_sizes_are_carried_over() -> None:
    """Every repository that the facts name for a track is among its sources, every size of its data is told."""
    for facts in json.loads(FACTS.read_text()):
        edition = EDITIONS[facts["edition"].lower()]
        pages = re.findall(r"arXiv [\d.]+|CVPRW 2025|5572-5583|ICCVW 2025", facts["paper"])
        assert all(page in edition.paper for page in pages), (edition.name, pages)
        for fact, spec in zip(facts["tracks"], edition.tracks, strict=True):
            sources = " ".join(spec.sources)
            for entry in fact["source"].split(";"):
                repository = re.search(r"[\w-]+/[\w.-]*[\w-]", entry)
                assert repository is None or repository[0] in sources, (edition.name, spec.name, entry)
            told_of = f"{spec.size} {spec.data} {spec.figures}".replace(",", "").replace("_", "")
            sizes = re.findall(
                r"\d[\d,]{2,}(?![\d%])", f"{fact['data']}".replace("200K", "200,000").replace("221K", "221,000")
            )
            for size in sizes:
                assert size.replace(",", "") in told_of, (edition.name, spec.name, size)


@told
def test_published_counts_are_those_of_the_facts() -> None:
    """Every number of the specs' figures stands in what the facts say of the splits, but those of other sources."""
    for facts in json.loads(FACTS.read_text()):
        for fact, spec in zip(facts["tracks"], EDITIONS[facts["edition"].lower()].tracks, strict=True):
            text = re.sub(r"(\d)K", r"\g<1>000", fact["splits"].replace(",", "")) + fact.get("note", "")
            for name, value in spec.figures.items():
                if not isinstance(value, int) or "crop" in name:
                    continue
                if (spec.name, name) == ("mtl", "test_rows") and "test" not in fact["splits"]:
                    continue  # edition 11 is told the counts of edition 7, and says so
                assert str(value) in text, (facts["edition"], spec.name, name)


@told
def test_classes_metrics_and_headers_are_those_of_the_collected_facts() -> None:
    found = json.loads(FACTS.read_text())
    assert [f["edition"].lower() for f in found] == list(EDITIONS)
    metrics = {"mean CCC: P": "mean_ccc", "0.67": "f1_accuracy", "0.5*mean_F1": "au_f1_accuracy"}
    for facts in found:
        edition = EDITIONS[facts["edition"].lower()]
        assert edition.year == facts["year"]
        assert [t["name"].lower() for t in facts["tracks"]] == [t.name for t in edition.tracks]
        for fact, spec in zip(facts["tracks"], edition.tracks, strict=True):
            classes = (
                fact["classes"]
                if isinstance(fact["classes"], list)
                else [c for part in fact["classes"].values() for c in part]
            )
            mine = [c for answer in spec.answers for c in answer.classes or (answer.name,)]
            plain = [re.sub(r"^\d |\(.*\)$", "", c) for c in classes]
            assert plain in (mine, ["0", "1"]), (edition.name, spec.name)
            for words, metric in metrics.items():
                if words in fact["metric_formula"]:
                    assert spec.metric == metric
            header = re.search(r'header "([^"]+)"', fact["submission_format"])
            if header:
                assert spec.submission_header == header[1], (edition.name, spec.name)
