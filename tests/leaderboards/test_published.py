"""The published results: every row whose parts are given adds up by its edition's formula, and none was lost."""

from __future__ import annotations

import csv
import re
from collections import Counter

import pytest

from leaderboards import published
from tests.support.paths import FACTS as FACTS_FOLDER
from zoo.metrics.scores import FORMULAS
from zoo.registry.registry import load

FACTS = FACTS_FOLDER / "published_results.csv"
EDITIONS = {entry.spec.name: entry.spec for entry in load().entries("editions")}
# Printed totals that their own printed parts do not give: two in the organisers' tables, one in a paper.
ODD = {("SZTU-CityU", 0.4096), ("NISL-2021", 0.6528), ("MAVEN (IIT Ropar)", 0.0299)}
CHECKED = 195


def recomputed(row: published.Published) -> float | None:
    """The score that the parts give, by the track's formula."""
    parts = dict(row.parts)
    if {"ccc_v", "ccc_a"} <= parts.keys():
        return FORMULAS["mean_ccc"]({"mean_ccc": (parts["ccc_v"] + parts["ccc_a"]) / 2})
    if {"f1", "accuracy"} <= parts.keys():
        f1, right = parts["f1"], parts["accuracy"]
        return FORMULAS[row.metric]({"macro_f1": f1, "mean_f1": f1, "accuracy": right, "au_accuracy": right})
    return None


def test_every_row_with_parts_recomputes():
    checked, odd = 0, set()
    for row in published.read():
        if row.score is None or (expected := recomputed(row)) is None:
            continue
        checked += 1
        # Each printed figure is right to half a unit of its last digit, the parts' mean no worse than its parts.
        units = [10.0 ** -len(str(x).partition(".")[2]) for x in (row.score, *dict(row.parts).values())]
        if abs(expected - row.score) > 0.5001 * (units[0] + max(units[1:])):
            odd.add((row.team, row.score))
    assert checked == CHECKED
    assert odd == ODD


def test_the_row_of_all_answers_recomputes_from_its_detail():
    """One row gives the three terms of the multi-task score, in words."""
    found = [(row, re.findall(r"(AU|EXPR|VA)=([\d.]+)", row.detail)) for row in published.read() if row.track == "mtl"]
    ((row, terms),) = [(row, dict(terms)) for row, terms in found if len(terms) == 3 and row.score is not None]
    names = {"AU": "mean_f1", "EXPR": "macro_f1", "VA": "mean_ccc"}
    parts = {names[term]: float(value) for term, value in terms.items()}
    assert (row.edition, row.team) == ("abaw4", "CNU_Sclab")
    assert FORMULAS[row.metric](parts) == pytest.approx(row.score, abs=0.005 * 4)


def test_formulas_are_those_of_the_editions():
    for row in published.read():
        if row.metric and row.edition in EDITIONS:
            spec = next(t for t in EDITIONS[row.edition].tracks if t.name == row.track)
            assert row.metric == spec.metric, row
            low, high = spec.score_range
            assert low <= row.score <= high


def test_ranges_belong_to_each_edition_in_them():
    teams = {row.team for row in published.rows("abaw8", "au", "val")}
    assert teams > {row.team for row in published.read() if (row.edition, row.track) == ("abaw6-10", "au")}
    assert not any(row.edition == "abaw6-10" for row in published.rows("abaw5", "au", "val"))


def test_the_system_this_project_starts_from_is_there():
    va = [row for row in published.rows("abaw2", "va", "test") if row.team == "NTUA-CVSP"]
    expr = [row for row in published.rows("abaw2", "expr", "test") if row.team == "NTUA-CVSP"]
    assert (len(va), va[0].score, va[0].best) == (7, pytest.approx(0.41615), True)
    assert (len(expr), expr[0].score, dict(expr[0].parts)["f1"]) == (7, pytest.approx(0.4374), pytest.approx(0.3367))


def test_best_comes_first_and_places_without_scores_last():
    rows = published.rows("abaw8", "va", "test")
    scores = [row.score for row in rows]
    known = [s for s in scores if s is not None]
    assert known == sorted(known, reverse=True)
    assert all(s is None for s in scores[len(known) :])


def test_a_row_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    text = (published.FOLDER / "abaw1.csv").read_text().splitlines()
    (tmp_path / "abaw1.csv").write_text("\n".join([*text[:2], text[2].replace("0.", "nought."), ""]))
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    published.read.cache_clear()
    with pytest.raises(ValueError, match=r"abaw1\.csv, line 3"):
        published.read()
    published.read.cache_clear()


def test_every_row_says_how_sure_its_source_is():
    known = {"official", "paper", "team", "secondary"}
    for row in published.read():
        assert row.confidence in known, row
        assert row.source, row
        assert (row.confidence == "official") == row.source.startswith("official"), row
        assert (row.score is None) <= (row.place is not None), row


@pytest.mark.skipif(not FACTS.is_file(), reason="the facts that were collected lie beside the checkout, not in it")
def test_no_row_was_lost():
    with FACTS.open(newline="") as file:
        told = Counter((r["edition"].lower(), r["track"].lower(), r["split"]) for r in csv.DictReader(file))
    assert Counter((r.edition, r.track, r.split) for r in published.read()) == told


@pytest.mark.skipif(not FACTS.is_file(), reason="the facts that were collected lie beside the checkout, not in it")
def test_teams_scores_places_and_parts_are_those_that_were_collected():
    names = {"CCC-V": "ccc_v", "CCC-A": "ccc_a", "F1": "f1", "Acc": "accuracy"}
    told: Counter[object] = Counter()
    with FACTS.open(newline="") as file:
        for r in csv.DictReader(file):
            place = r["metric"] == "rank"
            parts = {names[k]: float(v) for k, v in re.findall(r"(CCC-V|CCC-A|\bF1|Acc)=([\d.]+)", r["detail"])}
            key = (r["edition"].lower(), r["track"].lower(), r["team"], r["split"], place, float(r["score"]))
            told[(*key, () if place else tuple(sorted(parts.items())), "BEST" in r["detail"])] += 1
    mine = Counter(
        (
            r.edition,
            r.track,
            r.team,
            r.split,
            r.score is None,
            r.place if r.score is None else r.score,
            () if r.score is None else tuple(sorted(r.parts)),
            r.best,
        )
        for r in published.read()
    )
    assert mine == told
