"""No output of `harness predict` replaces a file of the user, and what it wrote before is known."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.predicting import work
from harness.predicting.inputs import find_inputs
from harness.predicting.marks import is_overlay
from harness.predicting.models import About
from harness.predicting.outputs import check_outputs
from harness.predicting.request import Request
from harness.predicting.tables import read_about, write_about
from tests.support.media import write_click_video
from tests.support.program import Program
from tests.support.refusals import Part, refused
from zoo.errors import FullDiskError

RUN = ("--track", "expr", "--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru")
ABOUT = About("a", "run", "0" * 64, "abaw10", "expr", {"torch": "1"}, ("careful",))


def check(*inputs: Path, **options: Any) -> None:
    check_outputs(Request(list(inputs), **options), find_inputs(inputs))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    write_click_video(tmp_path / "in" / "a.mp4", n_frames=6, click_frame=None)
    return tmp_path / "in" / "a.mp4"


def test_an_input_is_not_replaced(video: Path, tmp_path: Path) -> None:
    other, out = video.with_suffix(".mkv"), tmp_path / "out"
    shutil.copy(video, other)  # found first; the .mp4 is refused as a second one of its name, but is there all the same
    assert [file.path for file in find_inputs([video.parent]).files] == [other]
    hard = tmp_path / "hard.mp4"
    os.link(video, hard)
    for inputs, overlay, taken in (
        ([video.parent], video.parent, video),
        ([video], video, video),
        ([video], hard, hard),
        ([other, video], tmp_path / "in", video),
    ):
        with refused("predict-target-kind", option="--overlay", path=taken, wanted=Part("than the inputs")):
            check(*inputs, out=out, overlay=overlay)


def test_a_file_of_the_user_is_not_replaced(video: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    for name in ("a.csv", "about.json", "a.html", "b.mp4", "camera-3.csv"):
        (lab / name).write_text("{}")
    (lab / "a.parquet").mkdir()
    cases: tuple[tuple[str, Path, list[Path], dict[str, Any]], ...] = (
        ("--out", lab / "a.csv", [video], {}),
        ("--out", lab / "a.parquet", [video], {"form": "parquet"}),
        ("--out", lab / "about.json", [video], {"form": "jsonl"}),
        ("--out", lab / "camera-3.csv", [Path("3")], {}),
        ("--overlay", lab / "b.mp4", [video], {"out": tmp_path / "new", "overlay": lab / "b.mp4"}),
        ("--report", lab / "a.html", [video], {"out": tmp_path / "new", "page": lab / "a.html"}),
    )
    for option, path, inputs, options in cases:
        with refused("predict-output-taken", option=option, path=path):
            check(*inputs, **{"out": lab, **options})
    assert (lab / "a.csv").read_text() == "{}"


def test_places_that_cannot_be_written(video: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "below"):
        with refused("predict-target-kind", option="--out", path=out):
            check(video, out=out)
    if Path("/proc").is_dir():
        with refused("predict-target-kind", option="--out", path=Path("/proc/x")):
            check(video, out=Path("/proc/x"))
    for name in ("o.avi", "o.webm", "o.txt"):
        with refused("predict-target-kind", option="--overlay", path=tmp_path / name):
            check(video, out=tmp_path / "out", overlay=tmp_path / name)
    (tmp_path / "v.2").mkdir()
    check(video, out=tmp_path / "out", overlay=tmp_path / "v.2")  # a folder that is there may have any name
    assert not (tmp_path / "out").exists()


def test_entries_of_earlier_tables_are_kept(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text("x")
    write_about(tmp_path, ABOUT, [{"table": "a.csv", "frames": 1}, {"table": "b.csv"}])
    other = replace(ABOUT, model="b", digest="1" * 64)
    write_about(tmp_path, other, [{"table": "b.csv", "frames": 2}])
    for _ in range(2):  # writing again changes nothing
        write_about(tmp_path, other, [{"table": "b.csv", "frames": 2}, {"table": "c.csv"}])
        about = read_about(tmp_path)
        assert about["model"] == "b"
        entries = {entry["table"]: entry for entry in about["inputs"]}
        assert entries["b.csv"] == {"table": "b.csv", "frames": 2}
        assert entries["a.csv"]["about"]["model"] == "a"
        assert entries["a.csv"]["about"]["digest"] == "0" * 64
        assert entries["a.csv"]["about"]["warnings"] == ["careful"]
        assert set(entries) == {"a.csv", "b.csv", "c.csv"}
    (tmp_path / "b.csv").unlink()
    write_about(tmp_path, ABOUT, [{"table": "c.csv"}])
    back = {entry["table"]: entry for entry in read_about(tmp_path)["inputs"]}
    assert back == {"a.csv": {"table": "a.csv", "frames": 1}, "c.csv": {"table": "c.csv"}}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"program": "1", "inputs": 3}', '{"program": "1", "inputs": [1]}'])
def test_an_about_of_another_program_is_not_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "about.json").write_text(text)
    assert read_about(tmp_path) == {}


def test_the_same_command_twice_inside_the_folder(program: Program, video: Path) -> None:
    folder, run = video.parent, program.kept(*RUN)
    command = (
        "predict",
        folder,
        "--model",
        run,
        "--out",
        folder,
        "--overlay",
        folder / "o",
        "--report",
        folder / "p.html",
    )
    for _ in range(2):
        answer = program(*command)
        assert answer.code == 0, answer.err
        assert [entry["table"] for entry in json.loads((folder / "about.json").read_text())["inputs"]] == ["a.csv"]
    assert is_overlay(folder / "o" / "a.mp4")
    assert not is_overlay(video)


def test_an_overlay_without_space_stops_nothing(
    program: Program, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(video, video.with_name("b.mp4"))
    drawn: list[Path] = []

    def full(path: Path, *_: object, **__: object) -> None:
        drawn.append(path)
        raise FullDiskError("file-not-written", file=path, error="the disk is full")

    monkeypatch.setattr(work, "write_overlay", full)
    out, model = tmp_path / "out", ("--model", program.kept(*RUN))
    answer = program("predict", video.parent, *model, "--out", out, "--overlay", tmp_path / "o")
    answer.refused("predict-some-undrawn", count=2, place=f"in {out}")
    assert len(drawn) == 2
    assert sorted(path.name for path in out.iterdir()) == ["a.csv", "about.json", "b.csv"]
    assert len(read_about(out)["inputs"]) == 2
    one = program("predict", video, *model, "--out", out, "--overlay", tmp_path / "o.mp4")
    one.refused("file-not-written", file=tmp_path / "o.mp4")
