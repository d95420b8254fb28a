"""What the user names, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.predicting.inputs import Input, find_inputs, split_run
from harness.predicting.marks import CONTAINERS
from harness.predicting.targets import Target
from tests.support.refusals import Part, refused


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
