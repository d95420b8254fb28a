"""Published results and runs in one table: which is which, what stands apart, and where no order is claimed."""

from __future__ import annotations

import csv
import io
import re

import pytest

from leaderboards import published
from leaderboards.comparison import TableQuery, boards, published_table, published_tables
from leaderboards.published import Published
from leaderboards.ranks import printed
from leaderboards.render.csv import to_csv
from leaderboards.render.markdown import to_markdown
from leaderboards.rows import Row, Table
from tests.support.made_up import AFFWILD2, HOSTILE, real, run

VAL = TableQuery("abaw10", "va", "val")
OFFICIAL = {("abaw10", "va", "val"): (76,)}


def publish(monkeypatch: pytest.MonkeyPatch, *rows: Published) -> None:
    monkeypatch.setattr(published, "read", lambda: rows)


def row(team: str, score: float | None, **changes: object) -> Published:
    given = {
        "edition": "abaw7",
        "track": "va",
        "split": "test",
        "metric": "mean_ccc" if score is not None else "",
        "place": None,
        "parts": (),
        "best": False,
        "detail": "",
        "source": "a list",
        "confidence": "official",
    } | changes
    return Published(team=team, score=score, **given)  # type: ignore[arg-type]


def kinds(table: Table) -> list[tuple[str, str]]:
    return [(r.kind, r.run) for r in table.rows]


def body(text: str) -> list[dict[str, str]]:
    """The first table of a Markdown text, by its heads."""
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


# --- side by side -----------------------------------------------------------------------------------------------------


def test_runs_stand_among_the_published_by_score_and_are_marked() -> None:
    (table,) = boards([real("ours", 0.60), real("other", 0.05)], VAL, OFFICIAL)
    assert [r.score for r in table.rows] == sorted((r.score for r in table.rows), reverse=True)
    assert kinds(table)[-1] == ("run", "other")
    assert [r.kind for r in table.rows].count("published") == len(published.rows("abaw10", "va", "val"))
    shown = {r["system"]: r for r in body(to_markdown([table]))}
    assert (shown["ours"]["kind"], shown["ours"]["score"]) == ("run", "0.600 [0.550, 0.650]")
    assert (shown["ours"]["CCC-V"], shown["ours"]["CCC-A"]) == ("0.500", "0.700")
    assert (shown["baseline"]["kind"], shown["baseline"]["score"]) == ("published", "0.22")
    assert shown["ours"]["details"] == "face=lite0,context=lite0, late, gru"


def test_only_runs_have_ranks_and_only_published_rows_places() -> None:
    (table,) = boards([real("ours", 0.60), real("other", 0.05)], VAL, OFFICIAL)
    assert {r.run: r.rank for r in table.rows if r.rank} == {"ours": "1", "other": "2"}
    assert not any(r.place for r in table.rows if r.kind == "run")
    assert any("no interval" in note for note in table.notes)


def test_few_groups_take_the_ranks_here_too() -> None:
    (table,) = boards([real("ours", 0.60, groups=9), real("other", 0.05, groups=9)], VAL, OFFICIAL)
    text = to_markdown([table])
    assert not any(r.rank for r in table.rows)
    assert "9 groups of videos, fewer than 10" in text
    assert not re.search(r"\brank|\bbest\b(?! eff)|winner|\bfirst\b|1=", text.lower())


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"data": {"name": "demo", "fingerprint": "01", "synthetic": True}}, "synthetic data"),
        ({"data": AFFWILD2 | {"videos": {"val": 12}}}, "these data have 12 videos of val, the organisers' 76"),
        ({"metric": "mean_pearson"}, "they are mean_ccc, these runs mean_pearson"),
    ],
)
def test_published_results_never_stand_beside_other_data(other: dict[str, object], why: str) -> None:
    ours, theirs = boards([real("ours", 0.6, **other)], VAL, OFFICIAL)
    assert kinds(ours) == [("run", "ours")]
    assert {kind for kind, _ in kinds(theirs)} == {"published"}
    assert any("Published results are in a table of their own" in note and why in note for note in ours.notes)


def test_real_and_made_up_runs_give_two_tables_and_the_published_stand_once() -> None:
    beside, demo = boards([run("demo", 0.9), real("ours", 0.6)], VAL, OFFICIAL)
    assert ("run", "ours") in kinds(beside)
    assert ("published", "baseline") in kinds(beside)
    assert kinds(demo) == [("run", "demo")]


def test_an_unknown_number_of_videos_is_said() -> None:
    (table,) = boards([real("ours", 0.6)], VAL, {})
    assert table.mixed
    assert any("not confirmed" in note for note in table.notes)


def test_folds_and_fits_never_stand_with_val() -> None:
    fit = run("fit", 0.9, data=AFFWILD2, split="test", fit=["train", "val"], scores={})
    records = [real("val", 0.5), real("folds", 0.8, split="cv6"), fit]
    (val,) = boards(records, VAL, OFFICIAL)
    assert {name for kind, name in kinds(val) if kind == "run"} == {"val"}
    (cv6,) = boards(records, TableQuery("abaw10", "va", "cv6"), OFFICIAL)
    assert kinds(cv6) == [("run", "folds")]
    (test,) = boards(records, TableQuery("abaw10", "va", "test"), OFFICIAL)
    assert kinds(test)[-1] == ("run", "fit")
    assert body(to_markdown([test]))[-1]["score"] == "no score"


def test_what_is_wanted_decides_what_is_shown() -> None:
    records = [real("ours", 0.5), real("units", 0.5, track="au", metric="mean_f1")]
    assert {t.key[1:] for t in boards(records, TableQuery(track="au"), {})} >= {("abaw10", "au", "1", "val")}
    assert all(t.key.track == "au" for t in boards(records, TableQuery(track="au"), {}))
    assert len(boards(records, TableQuery(), {})) == 2  # without a wish: what runs are there for
    assert len(boards([], TableQuery(), {})) == len(published_tables())


def test_the_system_this_project_starts_from_is_in_its_table() -> None:
    table = published_table("abaw2", "va", "test")
    ours = [r for r in table.rows if r.run == "NTUA-CVSP"]
    assert (len(ours), ours[0].score, ours[0].place) == (7, pytest.approx(0.41615), "7")
    assert [r.place for r in ours[1:]] == [""] * 6


# --- published rows ---------------------------------------------------------------------------------------------------


def test_rows_of_a_range_are_in_the_table_of_each_edition_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, row("a", 0.5, edition="abaw6-10"), *(row("b", 0.4, edition=f"abaw{n}") for n in range(5, 12)))
    for n in range(5, 12):
        table = published_table(f"abaw{n}", "va", "test")
        assert [r.label for r in table.rows] == (["a §", "b"] if 6 <= n <= 10 else ["b"])
        assert any("§" in note and "abaw6-10" in note for note in table.notes) == (6 <= n <= 10)
    assert [t.key.edition for t in published_tables()] == [f"abaw{n}" for n in range(5, 12)]


def test_a_place_without_a_score_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, row("third", None, place=3), row("x", 0.5), row("second", None, place=2))
    table = published_table("abaw7", "va", "test")
    assert [(r.run, r.score, r.place) for r in table.rows] == [
        ("x", 0.5, ""),
        ("second", None, "2"),
        ("third", None, "3"),
    ]
    assert [r["score"] for r in body(to_markdown([table]))] == ["0.5", "", ""]
    assert any("only the place is known" in note for note in table.notes)
    publish(monkeypatch, row("b", 0.5, place=2), row("a", None, place=1), row("baseline", 0.1))
    assert [r.run for r in published_table("abaw7", "va", "test").rows] == ["a", "b", "baseline"]


def test_a_place_goes_to_the_only_score_of_its_team(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = {"place": 1, "source": "the site"}
    publish(
        monkeypatch,
        row("one", 0.5, source="a paper"),
        row("one", None, **bare),
        row("two", 0.4),
        row("two", 0.3),
        row("two", None, **bare | {"place": 2}),
    )
    rows = published_table("abaw7", "va", "test").rows
    assert [(r.run, r.score, r.place) for r in rows] == [
        ("one", 0.5, "1"),
        ("two", 0.4, ""),
        ("two", 0.3, ""),
        ("two", None, "2"),
    ]
    assert rows[0].source == "a paper; place: the site"


def test_places_of_an_official_list_have_ties_and_leave_the_baseline_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed([0.5, 0.7, 0.5, 0.1]) == ["2=", "1", "2=", "4"]
    best = {"best": True}
    publish(
        monkeypatch,
        row("a", 0.5, **best),
        row("baseline", 0.9, **best),
        row("b", 0.7, **best),
        row("b", 0.6),
        row("c", 0.5, **best),
        row("d", 0.8, **best, confidence="paper"),
    )
    places = {(r.run, r.score): r.place for r in published_table("abaw7", "va", "test").rows}
    assert places == {
        ("baseline", 0.9): "",
        ("d", 0.8): "",
        ("b", 0.7): "1",
        ("b", 0.6): "",
        ("a", 0.5): "2=",
        ("c", 0.5): "2=",
    }


def test_a_place_on_test_does_not_stand_beside_a_score_on_val(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, row("a", 0.5, split="val", place=3))
    assert published_table("abaw7", "va", "val").rows[0].place == ""


# --- the CSV ----------------------------------------------------------------------------------------------------------


def test_the_csv_gives_back_every_figure_of_both_kinds() -> None:
    tables = [*boards([real(HOSTILE, 1 / 3), real("b", 0.1 + 0.2)], VAL, OFFICIAL), *published_tables()]
    given = list(csv.DictReader(io.StringIO(to_csv(tables))))
    rows = [(table.key, row) for table in tables for row in table.rows]
    assert len(given) == len(rows)
    for line, (key, expected) in zip(given, rows, strict=True):
        assert tuple(line[name] for name in key._fields) == key
        for name, value in vars(expected).items():
            if name in ("parts", "fine"):
                assert {part: float(line[part]) for part, _ in value} == dict(value)
            else:
                assert read_back(line[name], value) == value, name
    ours = next(line for line in given if line["run"] == HOSTILE)
    assert (float(ours["CCC-V"]), float(ours["pearson_valence"])) == (1 / 3 - 0.1, 1 / 3)
    assert not set(vars(Row("", ""))) - {"parts", "fine"} - set(given[0])


def read_back(text: str, value: object) -> object:
    """A cell as what it was: empty is None, unless it was a text."""
    if isinstance(value, bool):
        return text == "True"
    if text == "" and not isinstance(value, str):
        return None
    return type(value)(text) if value is not None else text  # type: ignore[call-arg]
