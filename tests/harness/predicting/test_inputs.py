"""What the user names, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.predicting.inputs import Input, find_inputs, split_run
from harness.predicting.overlay import check_target, overlay_of
from zoo.errors import UserError


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
    with pytest.raises(UserError, match="named twice"):
        split_run([run, tmp_path / "other", videos])


def test_where_overlays_go(tmp_path: Path) -> None:
    one, two = (Input(tmp_path / name, "video") for name in ("a.mp4", "b.mp4"))
    assert overlay_of(one.path, tmp_path / "out.mkv") == tmp_path / "out.mkv"
    assert overlay_of(one.path, tmp_path / "out") == tmp_path / "out" / "a.mp4"
    check_target(tmp_path / "out.mp4", [one])
    check_target(tmp_path / "out", [one, two])
    for target, videos in ((tmp_path / "out.mp4", [one, two]), (tmp_path, [one]), (tmp_path / "a.mp4", [one])):
        with pytest.raises(UserError) as error:
            check_target(target, videos)
        assert error.value.code == "predict-overlay-kind"
