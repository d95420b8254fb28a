"""`harness submit`, `harness verify` and `harness submissions` as they are typed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.submissions import ledger
from tests.harness.submissions.test_golden import GOLDEN, TRACKS, list_of
from tests.support.refusals import Part, Refusal, refused


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def harness(tmp_path: Path) -> Any:
    from tests.support.program import Program

    return Program(tmp_path / "cache", tmp_path / "none")


def asked(name: str) -> tuple[object, ...]:
    edition, _, track = name.partition("-")
    return ("--edition", edition, "--track", track)


def submit(harness: Any, name: str, *more: object) -> Any:
    folder = GOLDEN / name
    table = ("--predictions", folder / "predictions.csv", "--out", "out")
    return harness("submit", *table, *asked(name), "--list", list_of(folder), *more)


@pytest.mark.parametrize("name", TRACKS)
def test_every_track_is_written_and_verified_from_a_table(name: str, harness: Any) -> None:
    answer = submit(harness, name, "--zip")
    assert (answer.code, answer.err) == (0, "")
    assert "rows, verified, sha256 " in answer.out
    assert Path("out/manifest.json").is_file()
    names_only = "names videos only" in answer.out
    answer = harness("verify", "out", *asked(name), "--list", list_of(GOLDEN / name), "--manifest", "out/manifest.json")
    assert (answer.code, answer.err) == (3 if names_only else 0, "")
    limit = TRACKS[name].limit
    answer = harness("submissions")
    assert answer.code == 0
    edition, _, track = name.partition("-")
    told = f"1 of {limit} allowed" if limit else "1 made; the limit is unconfirmed"
    assert f"{edition} {track}: {told}" in answer.out


def test_verify_exit_codes(harness: Any) -> None:
    name = "abaw6-expr"
    submit(harness, name)
    by_list = ("--list", list_of(GOLDEN / name))
    answer = harness("verify", "out/predictions.txt", *asked(name), *by_list)
    assert (answer.code, answer.err) == (0, "")
    assert "clean as abaw6 expr, 10 rows" in answer.out
    assert "has 10 rows; the organisers' list of abaw6 has 1,022,655" in answer.out
    answer = harness("verify", "out/predictions.txt", *asked(name))
    assert answer.code == 3
    assert "\nrows not checked: no official list\n" in "\n" + answer.out
    Path("out/predictions.txt").write_text(Path("out/predictions.txt").read_text().replace("jpg,5", "jpg,9"))
    for more, code in ((by_list, 1), ((), 1)):
        answer = harness("verify", "out/predictions.txt", *asked(name), *more)
        assert answer.code == code
        assert "line 3: expression is '9', not a number from 0 to 7" in answer.out
    assert "rows not checked: no official list" in answer.out
    answer = harness("verify", "out", "--manifest", "out/manifest.json", *by_list)  # edition and track are noted there
    assert answer.code == 1
    assert "the content was changed after it was written" in answer.out
    answer = harness("verify", "out/predictions.txt")
    assert answer.code == 2
    answer.refused("verify-no-track")


def test_the_wrong_edition_and_the_wrong_list(harness: Any) -> None:
    submit(harness, "abaw6-expr")
    answer = harness("verify", "out/predictions.txt", *asked("abaw6-au"))
    assert answer.code == 1
    assert "that of abaw5 expr, abaw6 expr, abaw8 expr, abaw10 expr, not" in answer.out
    answer = harness("verify", "out/predictions.txt", *asked("abaw3-expr"))
    assert answer.code == 1
    assert "there is no such folder; this track is handed in as a file a video" in answer.out
    for command in (
        ("verify", "out/predictions.txt"),
        ("submit", "--predictions", GOLDEN / "abaw6-expr/predictions.csv", "--out", "new"),
    ):
        answer = harness(*command, *asked("abaw6-expr"), "--list", list_of(GOLDEN / "abaw6-va"))
        assert answer.err.count("\n") == 1
        answer.refused("list-header-of-other-track", name="expr", whose=Part("abaw6 va"))
    assert not Path("new").exists()


def test_two_submissions_side_by_side(harness: Any) -> None:
    submit(harness, "abaw6-va")
    shutil.copytree("out", "older")
    older = Path("older/predictions.txt")
    older.write_text(older.read_text().replace("0.400000,-0.750000", "0.500000,-0.750000"))
    answer = harness("verify", "out", *asked("abaw6-va"), "--list", list_of(GOLDEN / "abaw6-va"), "--against", older)
    assert answer.code == 0
    assert "1 of 10 rows differ" in answer.out
    assert "valence: CCC between them 0.99" in answer.out


@pytest.mark.parametrize(
    ("args", "refusal"),
    [
        ((), refused("submit-what")),
        (("run", "--predictions", "p.csv"), refused("submit-what")),
        (("--predictions", "p.csv", "--track", "va"), refused("submit-predictions-options")),
        (("--predictions", "p.csv", "--track", "va", "--out", "o"), refused("predictions-unreadable", file="p.csv")),
        (("--predictions", "p.csv", "--track", "vaa", "--out", "o"), refused("track-unknown", track="vaa")),
        (("nowhere",), refused("run-not-a-run", folder="nowhere")),
        (("nowhere", "--runs", "r"), refused("submit-run-options")),
    ],
)
def test_commands_that_make_no_sense(args: tuple[str, ...], refusal: Refusal, harness: Any) -> None:
    answer = harness("submit", *args)
    assert answer.code == 2
    refusal.check(answer.error)
    assert answer.err.count("\n") == 1
    assert list(Path().iterdir()) == []


PLUGIN = """
from zoo import api

PAIN = api.TrackSpec(
    name="pain", answers=(api.Answer("pain", "value", -5.0, low=0.0),), metric="mean_ccc", score_range=(-1.0, 1.0),
    folders=(), headers=(), submission="keyed", submission_header="image_location,pain", data="a set of its own",
    lists=("*PAIN*.txt",), limit=3,
)

@api.hookimpl
def editions():
    return [api.EditionSpec(name="abaw12", venue="a venue", year=2027, tracks=(PAIN,))]
"""


def test_an_edition_of_a_plugin_file_is_handed_in_verified_and_scored(harness: Any) -> None:
    Path("abaw12.py").write_text(PLUGIN)
    Path("pain.csv").write_text("video,frame,pain\nv,1,0.5\nv,3,0.75\n")
    Path("list.txt").write_text("image_location,pain\nv/00001.jpg,\nv/00002.jpg,\nv/00003.jpg,\n")
    asked = ("--track", "pain", "--plugin", "abaw12.py")
    by_list = (*asked, "--edition", "abaw12", "--list", "list.txt")
    answer = harness("submit", "--predictions", "pain.csv", *by_list, "--out", "out")
    assert (answer.code, answer.err) == (0, "")
    assert "abaw12 pain: 1 of 3 allowed\n" in answer.out
    lines = ["image_location,pain", "v/00001.jpg,0.500000", "v/00002.jpg,0.625000", "v/00003.jpg,0.750000"]
    assert Path("out/predictions.txt").read_text().splitlines() == lines
    answer = harness("verify", "out", *by_list, "--manifest", "out/manifest.json")
    assert (answer.code, answer.err) == (0, "")
    assert harness("verify", "out", *asked).code == 3
    assert "abaw12 pain: 1 of 3 allowed\n" in harness("submissions").out  # though the plugin is not named there
    Path("labels.csv").write_text("video,frame,pain\nv,1,0.25\nv,3,0.75\n")
    answer = harness("evaluate", "--predictions", "pain.csv", "--labels", "labels.csv", *asked)
    assert answer.out.startswith("abaw12 pain: mean_ccc ")
    answer = harness("run", *asked)
    answer.refused("track-not-trainable", name="abaw12", name2="pain", data="a set of its own")


@pytest.mark.parametrize("name", ["abaw9-ce", "abaw4-lsd", "abaw5-eri", "abaw10-emi", "abaw11-ah", "abaw10-vd"])
def test_companion_tracks_are_not_trained_on_and_the_way_to_hand_in_is_told(name: str, harness: Any) -> None:
    edition, _, track = name.partition("-")
    answer = harness("run", "--edition", edition, "--track", track, "--encoders", "face")
    assert answer.err.count("\n") == 1
    answer.refused("track-not-trainable", name=edition, name2=track, data=TRACKS[name].data)
    assert list(Path().iterdir()) == []


# --- the ledger -------------------------------------------------------------------------------------------------------


def test_the_ledger_counts_what_differs_and_warns_beyond_the_limit(harness: Any, tmp_path: Path) -> None:
    rows = (GOLDEN / "abaw10-ah" / "predictions.csv").read_text()
    for i in range(6):
        (tmp_path / "p.csv").write_text(rows.replace("0.9,0.1", f"0.{i}5,0.{9 - i}5"))
        answer = harness(
            "submit",
            "--predictions",
            tmp_path / "p.csv",
            *asked("abaw10-ah"),
            "--out",
            "out",
            "--file",
            f"trial-{i % 5}.txt",
            "--runs",
            "here",
        )
        assert answer.code == 0, answer.err
        assert f"abaw10 ah: {i + 1} of 5 allowed" in answer.out
    assert "more than a team may submit" in answer.out
    harness("submit", "--predictions", tmp_path / "p.csv", *asked("abaw10-ah"), "--out", "again", "--runs", "here")
    answer = harness("submissions", "here")
    assert len(answer.out.splitlines()) == 2 + 7 + 1 + 1
    assert "abaw10 ah: 6 of 5 allowed" in answer.out  # the same content twice is one
    made = [json.loads(line) for line in Path("here/submissions.jsonl").read_text().splitlines()]
    digest = hashlib.sha256(Path("out/trial-4.txt").read_bytes()).hexdigest()
    assert made[4]["sha256"] == digest
    assert made[4]["path"] == "out/trial-4.txt"
    assert sorted(path.name for path in Path("out").iterdir())[:2] == ["trial-0.txt", "trial-0.txt.manifest.json"]


def test_the_ledger_survives_many_writers_and_a_line_cut_short(tmp_path: Path) -> None:
    entry = {"edition": "abaw6", "track": "va", "time": "t"}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: ledger.note(tmp_path, entry | {"sha256": f"{i}" * 2000}), range(200)))
    with (tmp_path / ledger.NAME).open("a") as file:
        file.write('{"edition": "abaw6", "tra')
    ledger.note(tmp_path, entry | {"sha256": "last"})
    made, bad = ledger.entries(tmp_path)
    assert len(made) == 201
    assert ledger.used(made, "abaw6", "va") == 201
    assert bad == [f"{tmp_path / ledger.NAME}, line 201: cannot be read and was left out"]
    with refused("ledger-empty"):
        ledger.entries(tmp_path / "nowhere")


# --- on its own -------------------------------------------------------------------------------------------------------


def test_the_verifier_shares_nothing_with_the_writers() -> None:
    code = (
        "import sys, harness.submissions.verifier\n"
        "own = {m for m in sys.modules if m.split('.')[0] in ('harness', 'leaderboards', 'plugins', 'pyarrow')}\n"
        "print(sorted(m for m in own if not m.startswith('harness.submissions.verifier')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['harness', 'harness.submissions']"  # the folders that it lies in


def test_neither_command_needs_torch() -> None:
    code = "import sys\nsys.modules['torch'] = None\nimport harness.cli.commands.submit, harness.cli.commands.verify\n"
    subprocess.run([sys.executable, "-c", code], check=True)
