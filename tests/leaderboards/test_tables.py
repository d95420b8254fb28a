"""Tables from made-up records: what may stand together, who shares a place, and what must not break them."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from leaderboards.record import Record, digest
from leaderboards.render.html import to_html
from leaderboards.render.latex import to_latex
from leaderboards.tables import leaderboard, load_runs, to_csv, to_markdown, write
from tests.support.hostile import acting, texts
from tests.support.made_up import result, run


def cells(markdown: str) -> list[list[str]]:
    """The body of the first table, read as a Markdown reader would: every unescaped bar is a border."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_runs_that_differ_everywhere_get_places_of_their_own() -> None:
    # The difference hardly changes with the group left out, so it is one.
    (table,) = leaderboard([run("c", 0.50), run("a", 0.54, spread=np.linspace(-0.012, 0.009, 12)), run("b", 0.60)])
    assert [(row.run, row.rank) for row in table.rows] == [("b", "1"), ("a", "2"), ("c", "3")]


def test_runs_that_cannot_be_told_apart_share_a_place() -> None:
    rng = np.random.default_rng(0)
    records = [run(name, s, spread=rng.normal(0, 0.02, 12)) for name, s in (("a", 0.6), ("b", 0.59), ("c", 0.1))]
    records.append(run("d", 0.09, spread=rng.normal(0, 0.02, 12)))
    (table,) = leaderboard(reversed(records))
    assert [(row.run, row.rank) for row in table.rows] == [("a", "1="), ("b", "1="), ("c", "3="), ("d", "3=")]
    assert any("share a place (=)" in note for note in table.notes)


def test_groups_are_paired_by_name_not_by_order() -> None:
    spread = np.linspace(-0.1, 0.1, 12)
    a, b = run("a", 0.60, spread=spread), run("b", 0.58, spread=spread)
    raw = b.result["scores"]["raw"]
    raw["groups"], raw["leave_one_out"] = raw["groups"][::-1], raw["leave_one_out"][::-1]
    (table,) = leaderboard([a, b])
    assert [row.rank for row in table.rows] == ["1", "2"]
    raw["groups"] = [f"w{i}" for i in range(12)]
    (table,) = leaderboard([a, b])
    assert [row.rank for row in table.rows] == ["1=", "1="]


def test_few_groups_are_sorted_but_not_ranked() -> None:
    (table,) = leaderboard([run("a", 0.1, groups=9), run("b", 0.9, groups=9)])
    assert [(row.run, row.rank) for row in table.rows] == [("b", ""), ("a", "")]
    text = to_markdown([table])
    assert "9 groups of videos, fewer than 10" in text
    assert not re.search(r"rank|best|winner|first|\d=", text.lower())
    (ten,) = leaderboard([run("a", 0.1, groups=10), run("b", 0.9, groups=10)])
    assert [row.rank for row in ten.rows] == ["1", "2"]


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"name": "demo", "fingerprint": "fedcba98", "synthetic": True}},
        {"edition": "abaw2"},
        {"track": "expr"},
        {"track_version": 2},
        {"split": "test"},
    ],
)
def test_what_differs_never_stands_in_one_table(other: dict[str, Any]) -> None:
    tables = leaderboard([run("a", 0.5), run("b", 0.6, **other), run("c", 0.7)])
    assert sorted([row.run for row in table.rows] for table in tables) == [["b"], ["c", "a"]]
    assert len({table.title for table in tables}) == 2


def test_the_title_says_synthetic_and_only_then() -> None:
    real = {"name": "Aff-Wild2", "fingerprint": "aa", "synthetic": False}
    made_up, found = leaderboard([run("a", 0.5), run("b", 0.5, data=real)])
    assert "SYNTHETIC" in made_up.title
    assert made_up.title.startswith("abaw10 va (version 1), mean_ccc: val of demo")
    assert "synthetic" not in found.title.lower()


def test_failed_runs_are_rows_with_their_reason() -> None:
    records = [
        run("good", 0.5),
        Record("bad", "failed", "the loss was NaN at video 3", {**result(0.9), "scores": {}}),
        Record("cut", "interrupted", None, result(0.9)),
        Record("early", "failed", "no such folder", {}),
    ]
    tables = leaderboard(records)
    assert [[row.run for row in table.rows] for table in tables] == [["early"], ["good", "bad", "cut"]]
    assert [row.rank for row in tables[1].rows] == ["1", "", ""]
    assert "failed: the loss was NaN at video 3" in to_markdown(tables)
    assert tables[0].title == "Runs that ended before their data was known"
    assert cells(to_markdown(tables[1:]))[2][5:7] == ["interrupted", ""]


def test_a_row_in_full() -> None:
    passports = [{"name": "net-1", "seen_affwild2": False}, {"name": "net-2", "seen_affwild2": True}]
    (table,) = leaderboard([run("one", 0.5, seen=["v1", "v2"], passports=passports)])
    assert cells(to_markdown([table])) == [
        [
            "1",
            "one † ‡",
            "face=lite0,context=lite0",
            "late",
            "gru",
            "0.500 [0.450, 0.550]",
            "0.520 [0.450, 0.550]",
            "12",
            "seed 0",
            "1,234,567",
            "net-1, net-2",
            "val, of 30",
        ]
    ]
    assert "seen: one: v1 v2" in to_markdown([table])
    assert "chosen on val" in to_markdown([table])
    assert any(note.startswith("‡") and "one: net-2" in note for note in table.notes)


def test_the_spread_over_seeds_and_a_single_group() -> None:
    one = run("one", 0.5, groups=1, seeds=[0, 1])
    one.result["scores"]["raw"] |= {"spread": 0.0123, "leave_one_out": []}
    (table,) = leaderboard([one, run("two", 0.4, groups=1)])
    assert cells(to_markdown([table]))[0][6:8] == ["1", "0 1 (sd 0.012)"]


def test_a_reason_cannot_break_the_table() -> None:
    nasty = "a | b\n\n| x | y |\r\n<script> & \\| " + "long " * 100
    records = [run("good", 0.5), Record("bad | name", "failed", nasty, {**result(0), "scores": {}})]
    rows = cells(to_markdown(leaderboard(records)))
    assert [len(row) for row in rows] == [12, 12]
    assert rows[1][5].startswith(r"failed: a &#124; b\n\n&#124; x &#124; y &#124;\r\n&lt;script> &amp; ")
    assert rows[1][5].endswith("…")


def test_the_csv_is_flat_and_full() -> None:
    nasty = 'said "no", then\nstopped'
    records = [
        run("a", 1 / 3),
        run("b", 0.5, edition="abaw2"),
        Record("c", "failed", nasty, {**result(0), "scores": {}}),
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(leaderboard(records)))))
    assert [(row["edition"], row["run"]) for row in rows] == [("abaw10", "a"), ("abaw10", "c"), ("abaw2", "b")]
    assert float(rows[0]["score"]) == 1 / 3
    assert rows[0]["data"] == "0123456789ab"
    assert rows[1]["score"] == ""
    assert rows[1]["reason"] == nasty.replace("\n", "\\n")


def test_broken_and_foreign_records_are_listed_and_the_rest_is_shown(tmp_path: Path) -> None:
    for name in ("good", "also"):
        run(name, 0.5).write(tmp_path / name / "record.json")
    shapes: dict[str, Any] = {
        "list_scores": {"scores": [1]},
        "text_score": {"scores": {"raw": {"main": "high"}}},
        "uneven": {"scores": {"raw": {"main": 0.5, "groups": ["a", "b"], "leave_one_out": [0.4]}}},
        "text_data": {"data": "demo"},
        "text_seeds": {"seeds": 3},
    }
    for name, changes in shapes.items():
        path = tmp_path / name / "record.json"
        Record(name, "done").write(path)
        content = json.loads(path.read_text()) | {"result": result(0.5) | changes}
        path.write_text(json.dumps(content | {"result_sha256": digest(content["result"])}))
    texts = {"cut": '{"schema": 1', "foreign": '{"a": 1}', "newer": '{"schema": 99}', "empty": ""}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(text)
    (tmp_path / "a_folder" / "record.json").mkdir(parents=True)
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "config.toml").touch()
    (tmp_path / "unrelated").mkdir()
    (tmp_path / "leaderboard.md").touch()

    records, problems = load_runs(tmp_path)
    assert [r.name for r in records] == ["also", "good"]
    assert len(problems) == len(shapes) + len(texts) + 2
    for name in (*shapes, *texts, "a_folder", "killed"):
        assert sum(f"/{name}" in problem for problem in problems) == 1, name
    markdown, flat = write(tmp_path, leaderboard(records), problems)
    text = markdown.read_text()
    assert "## Not in the tables" in text
    assert text.count("\n- ") == len(problems)
    assert len(flat.read_text().splitlines()) == 3
    assert load_runs(tmp_path / "nowhere") == ([], [])


def test_what_was_trained_on_is_not_scored(tmp_path: Path) -> None:
    """``--fit train,val`` writes no score; one that somebody put there is refused."""
    run("fit", 0.9, split="test", fit=["train", "val"], scores={}).write(tmp_path / "fit" / "record.json")
    run("vain", 0.9, fit=["train", "val"]).write(tmp_path / "vain" / "record.json")
    run("one", 0.5).write(tmp_path / "one" / "record.json")
    records, problems = load_runs(tmp_path)
    assert {t.key.split: [(r.run, r.score) for r in t.rows] for t in leaderboard(records)} == {
        "test": [("fit", None)],
        "val": [("one", 0.5)],
    }
    assert len(problems) == 1
    assert "trained on val and is scored on it" in problems[0]
    assert leaderboard([run("vain", 0.9, fit=["train", "val"])]) == []


def test_whose_choices_saw_what_is_scored_is_said() -> None:
    clean = {"selection_split": None, "n_selections": 0}
    (both,) = leaderboard([run("a", 0.5), run("b", 0.6)])
    assert any("these scores are optimistic" in note for note in both.notes)
    (one,) = leaderboard([run("a", 0.5), run("b", 0.6, **clean)])
    assert any("the scores of a are optimistic" in note for note in one.notes)
    (begun,) = leaderboard([run("a", 0.5, **clean), run("b", 0.6, **clean, selected_on_reported=True)])
    assert any("the scores of b are optimistic" in note for note in begun.notes)
    (none,) = leaderboard([run("a", 0.5, **clean), run("b", 0.6, **clean)])
    assert not any("optimistic" in note for note in none.notes)


def test_the_same_records_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    records = [run(f"r{i}", 0.5) for i in range(5)]
    assert to_markdown(leaderboard(records)) == to_markdown(leaderboard(records[::-1]))
    assert to_markdown([]) == "# Leaderboard\n\nThere are no runs yet.\n"
    assert digest(json.loads(json.dumps(records[0].result))) == digest(records[0].result)


@pytest.mark.parametrize("name", ["=1+1", "+1+1", "-2", "@SUM(A1)", "\t=1", "\r=1", '  =HYPERLINK("http://x","y")'])
def test_a_spreadsheet_takes_no_name_for_a_formula(name: str) -> None:
    record = Record(name, "failed", name, {**result(-0.5), "scores": {}})
    rows = list(csv.DictReader(io.StringIO(to_csv(leaderboard([record, run("a", -0.25)])), newline="")))
    shown = {"\t=1": "\\t=1", "\r=1": "\\r=1"}.get(name, f"'{name}")
    assert [row["run"] for row in rows] == ["a", shown]
    assert rows[1]["reason"] == shown
    assert float(rows[0]["score"]) == -0.25, "figures stay figures"


@given(texts())
@settings(max_examples=60)
def test_no_text_of_a_record_acts_in_a_table(text: str) -> None:
    """In every form a run is one row, nothing in it acts, and its name can be told from that of another."""
    plain = text.encode("utf-8", "replace").decode()
    facts = {"edition": plain, "track": plain, "metric": plain, "split": plain}
    odd = run("odd", 0.5, **facts, data={"name": plain, "fingerprint": plain}, seen=[plain], selection_split=plain)
    odd.name, odd.reason = plain, plain
    odd.result["combination"] = {"encoders": plain, "fusion": plain, "head": plain}
    odd.result["passports"] = [{"name": plain, "seen_affwild2": True}]
    odd.result["scores"]["raw"]["parts"] = {plain: 0.5}
    tables = leaderboard([odd, replace(odd, name=f"{plain}2")])
    (table,) = tables
    pages = {
        "md": to_markdown(tables, [plain]),
        "csv": to_csv(tables),
        "tex": to_latex(tables),
        "html": to_html(tables),
    }
    for form, page in pages.items():
        assert not acting(page.replace("\n", "")), form
    assert sum(line.startswith("|") for line in pages["md"].splitlines()) == 2 + len(table.rows)
    assert len(pages["csv"].splitlines()) == 1 + len(table.rows)
    assert pages["html"].count("<tr id=") == len(table.rows)
    head, *rows = csv.reader(io.StringIO(pages["csv"]))
    assert len({row[head.index("run")] for row in rows}) == 2
    for cell in [*head, *(cell for row in rows for cell in row)]:
        assert not cell.lstrip().startswith(("=", "+", "@")), cell
