"""What the user names, and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.cli import app
from harness.predicting.command import predict
from harness.predicting.inputs import Input, find_inputs, split_run
from harness.predicting.marks import CONTAINERS
from harness.predicting.outputs import set_aside_long_names
from harness.predicting.request import Request
from harness.predicting.targets import Target
from tests.support.refusals import Part, refused
from zoo.files import replace


def files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_folders_are_looked_through(tmp_path: Path) -> None:
    files(tmp_path, "b.mp4", "deep/er/a.MKV", "deep/c.jpg", "deep/d.wav", "deep/notes.txt", ".hidden/e.mp4", ".f.mp4")
    found = find_inputs([tmp_path])
    assert [(one.path.name, one.kind) for one in found.files] == [
        ("b.mp4", "video"),
        ("c.jpg", "still image"),
        ("d.wav", "sound"),
        ("a.MKV", "video"),
    ]
    assert not found.problems


def test_every_problem_is_named_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files(tmp_path, "a.mp4", "x/a.avi", "n.txt", "texts/one.txt")
    found = find_inputs([Path(name) for name in ("a.mp4", "x", "none.mp4", "n.txt", "texts", "7")])
    assert [str(one.path) for one in found.files] == ["a.mp4"]
    assert found.cameras == [7]
    codes = [problem.code for problem in found.problems]
    assert codes == ["predict-same-name", "predict-no-file", "predict-not-readable", "predict-folder-empty"]
    assert found.count == 6


def test_a_name_that_cannot_be_written_down_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files(tmp_path, "nl\nx.mp4", "a.mp4", "run\n/record.json")
    seen: list[list[Path]] = []
    monkeypatch.setattr("harness.predicting.command.predict", lambda request: seen.append(list(request.inputs)))
    app(["predict", "nl\nx.mp4", "./a.mp4"], standalone_mode=False)
    found = find_inputs(seen[0])
    assert [one.path.name for one in found.files] == ["a.mp4"]
    assert [problem.code for problem in found.problems] == ["name-unprintable"]
    with refused("name-unprintable"):
        split_run([tmp_path / "run\n"])


def test_a_name_that_is_too_long_for_an_output_stops_no_other(tmp_path: Path) -> None:
    long = "x" * 229
    files(tmp_path, f"{long}.mp4", "a.mp4", f"{long[4:]}.mp4")
    found = find_inputs([tmp_path])
    set_aside_long_names(Request([tmp_path], out=tmp_path / "out"), found)
    assert sorted(len(one.path.stem) for one in found.files) == [1, 225]
    with refused("name-too-long", file=tmp_path / f"{long}.mp4", excess=1):
        raise found.problems[0]
    set_aside_long_names(Request([tmp_path], out=tmp_path / "out", overlay=tmp_path / "seen", form="parquet"), found)
    assert [one.path.stem for one in found.files] == ["a"]
    (tmp_path / "out").mkdir()
    replace(tmp_path / "out" / f"{long[1:]}.csv", lambda part: part.write_text(""))  # the longest that can be written


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    files(tmp_path, "in/a.mp4", "elsewhere/b.mp4", "elsewhere/deep/c.mp4")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "same").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "top").symlink_to("/")
    found = find_inputs([tmp_path / "in"])
    assert [str(one.path.relative_to(tmp_path / "in")) for one in found.files] == [
        "a.mp4",
        "linked/b.mp4",
        "linked/deep/c.mp4",
    ]
    assert not found.problems


def test_what_is_left_out_of_a_folder_is_named(tmp_path: Path) -> None:
    quiet = ("notes.txt", "table.csv", "about.json")
    files(tmp_path, "a.mp4", "unknownfile", *(f"{k}.srt" for k in range(5)), *quiet)
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    (tmp_path / "gone.gif").symlink_to(tmp_path / "gone")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = find_inputs([tmp_path, tmp_path])
    assert [one.path.name for one in found.files] == ["a.mp4"]
    assert not found.problems
    assert [note.replace(f"{tmp_path}/", "") for note in found.notes] == [
        "left out, cannot be predicted (a pipe or a device): 1 (pipe.mp4)",
        "left out, cannot be predicted (not readable): 2 (broken.gif, gone.gif)",
        "left out, cannot be predicted (of no known kind): 1 (unknownfile)",
        "left out, cannot be predicted (text): 6 (0.srt, 1.srt, 2.srt, ...)",
    ]


def test_what_is_left_out_is_said_even_if_nothing_is_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files(tmp_path, "in/unknownfile")
    with refused("predict-folder-empty", folder=tmp_path / "in"):
        predict(Request([tmp_path / "in"], out=tmp_path / "out"))
    assert capsys.readouterr().err.count("unknownfile") == 1


def test_a_run_among_the_inputs_is_the_model(tmp_path: Path) -> None:
    files(tmp_path, "run/record.json", "other/record.json", "videos/a.mp4")
    run, videos = tmp_path / "run", tmp_path / "videos"
    assert split_run([run, videos]) == ([videos], run)
    assert split_run([videos]) == ([videos], None)
    with refused("predict-model-twice", first=run):
        split_run([run, tmp_path / "other", videos])


def overlay(path: Path) -> Target:
    return Target("--overlay", path, tuple(CONTAINERS))


def test_where_overlays_go(tmp_path: Path) -> None:
    one, two = (Input(tmp_path / name, "video") for name in ("a.mp4", "b.mp4"))
    assert overlay(tmp_path / "out.mkv").of(one.path) == tmp_path / "out.mkv"
    assert overlay(tmp_path / "out").of(one.path) == tmp_path / "out" / "a.mp4"
    overlay(tmp_path / "out.mp4").check([one])
    overlay(tmp_path / "out").check([one, two])
    for target, videos in ((tmp_path / "out.mp4", [one, two]), (tmp_path / "a.avi", [one])):
        with refused("predict-target-kind", option="--overlay", path=target):
            overlay(target).check(videos)


def test_where_pages_go(tmp_path: Path) -> None:
    one, two = (Input(tmp_path / name, "video") for name in ("a.mp4", "b.mp4"))
    (tmp_path / "file").write_text("")

    def page(path: Path, folder_for_one: bool = False) -> Target:
        return Target("--report", path, (".html",), folder_for_one)

    page(tmp_path / "a.html").check([one])
    page(tmp_path / "pages").check([one, two])
    page(tmp_path / "pages", folder_for_one=True).check([one])
    assert page(tmp_path / "pages").of(two.path) == tmp_path / "pages" / "b.html"
    for path, videos, wanted in (
        (tmp_path, [one], "a file that ends with .html"),
        (tmp_path / "pages", [one], "a file that ends with .html"),
        (tmp_path / "a.html", [one, two], "a folder"),
        (tmp_path / "file", [one, two], "a folder"),
        (tmp_path / "file" / "a.html", [one], "below a folder"),
    ):
        with refused("predict-target-kind", option="--report", path=path, wanted=Part(wanted)):
            page(path).check(videos)
