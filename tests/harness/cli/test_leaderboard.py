"""``harness leaderboard``: its options, its formats, what it refuses, and whether the committed pages are stale."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from leaderboards import comparison
from tests.support.made_up import real, run
from tests.support.program import Program
from tests.support.refusals import Part, Refusal, refused

VA = ("--edition", "abaw10", "--track", "va", "--split", "val")


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(tmp_path)
    return Program(tmp_path / "cache", tmp_path / "none")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for record in (real("ours", 0.6), run("demo", 0.9, groups=4)):
        record.write(tmp_path / "runs" / record.name / "record.json")
    return tmp_path / "runs"


def test_the_committed_pages_are_not_stale(harness: Program) -> None:
    answer = harness("leaderboard", "--published", "--check", "--out", Path(comparison.__file__).parent)
    assert answer.code == 0, answer.out + answer.err
    answer = harness("leaderboard", "--published", "--check")
    assert answer.code == 1
    assert "abaw2.md: is missing" in answer.out
    assert "harness leaderboard --published --out leaderboards" in answer.err


def test_pages_are_made_by_the_command_that_is_told(harness: Program) -> None:
    assert harness("leaderboard", "--published", "--out", "leaderboards").code == 0
    assert harness("leaderboard", "--published", "--check").code == 0
    assert "# abaw6, CVPR 2024: published results" in Path("leaderboards/abaw6.md").read_text()


def test_without_options_it_is_the_users_runs_alone(harness: Program, runs: Path) -> None:
    answer = harness("leaderboard")
    assert (answer.code, answer.err) == (0, "")
    assert "NTUA" not in answer.out
    assert "published" not in answer.out.lower()
    assert (runs / "leaderboard.md").read_text() in answer.out
    assert answer.out == harness("leaderboard", "runs").out


def test_with_an_edition_published_results_stand_beside(harness: Program, runs: Path) -> None:
    answer = harness("leaderboard", runs, *VA)
    assert answer.code == 0, answer.err
    real_one, demo = answer.out.split("\n## ")[1:]
    assert "with published results" in real_one.splitlines()[0]
    assert "| run       | ours" in real_one
    assert "| published | baseline" in real_one
    assert "SYNTHETIC" in demo.splitlines()[0]
    assert "Published results are in a table of their own: these runs were scored on synthetic data" in demo
    assert "baseline" not in demo
    assert not (runs / "leaderboard.md").exists()


def test_every_format_by_name_and_by_ending(harness: Program, runs: Path) -> None:
    starts = {"md": "# Leaderboard", "csv": "data,edition,track", "latex": "% Needs", "html": "<!doctype html>"}
    for form, ending in (("md", "md"), ("csv", "csv"), ("latex", "tex"), ("html", "html")):
        printed = harness("leaderboard", runs, *VA, "--format", form)
        assert printed.out.startswith(starts[form])
        answer = harness("leaderboard", runs, *VA, "--out", f"new/table.{ending}")
        assert answer.out == f"written: new/table.{ending}\n"
        assert Path(f"new/table.{ending}").read_text() == printed.out
    rows = list(csv.DictReader(io.StringIO(Path("new/table.csv").read_text())))
    assert {row["kind"] for row in rows} == {"run", "published"}


def test_without_runs_it_is_what_is_published(harness: Program) -> None:
    answer = harness("leaderboard", "--edition", "abaw2", "--track", "va", "--split", "test", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert len([row for row in rows if row["run"] == "NTUA-CVSP"]) == 7
    assert (
        answer.out
        == harness(
            "leaderboard", "--published", "--edition", "abaw2", "--track", "va", "--split", "test", "--format", "csv"
        ).out
    )


def test_runs_of_a_plugins_edition_can_be_asked_for(harness: Program, runs: Path) -> None:
    run("new", 0.5, edition="mine3", track="smile").write(runs / "new" / "record.json")
    answer = harness("leaderboard", runs, "--edition", "mine3", "--track", "smile")
    assert answer.code == 0, answer.err
    assert "| new " in answer.out


@pytest.mark.parametrize(
    ("args", "refusal"),
    [
        (("--edition", "abaw22"), refused("leaderboard-option-unknown", hint=Part("abaw2"))),
        (("--track", "vaa"), refused("leaderboard-option-unknown", hint=Part("va"))),
        (("--split", "vla"), refused("leaderboard-option-unknown", hint=Part("val"))),
        (("--format", "pdf"), refused("leaderboard-format", message=Part("md, csv, latex, html"))),
        (("--format", "htm"), refused("leaderboard-format", message=Part("html"))),
        (("--out", "table.doc"), refused("leaderboard-format", message=Part(".md, .csv, .tex, .html"))),
        (("--format", "md", "--out", "."), refused("out-is-folder")),
        (("--edition", "abaw1", "--track", "mtl"), refused("published-nothing-and-no-runs", words="abaw1 mtl")),
        (("--published", "--edition", "abaw1", "--track", "mtl"), refused("published-nothing", words="abaw1 mtl")),
        (("nowhere", "--edition", "abaw2"), refused("runs-folder-missing", folder="nowhere")),
        (("nowhere", "--published"), refused("published-with-runs")),
        (("--check",), refused("check-needs-published")),
        (("--published", "--check", "--track", "va"), refused("check-options-mixed")),
    ],
)
def test_what_it_refuses_is_one_line(harness: Program, args: tuple[str, ...], refusal: Refusal) -> None:
    answer = harness("leaderboard", *args)
    assert answer.code == 2
    refusal.check(answer.error)
    assert len(answer.err.splitlines()) == 1
    assert answer.out == ""
