"""A file is whole or it is the old one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.io.atomic import append_line, atomic, clear_parts
from harness.io.locks import NAME
from tests.support.refusals import refused
from zoo.files import part_name, replace


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    atomic(path, lambda part: part.write_text("old"))

    def fail(part: Path) -> None:
        part.write_text("ne")
        raise OSError(28, "No space left on device")

    with refused("file-not-written", file="a/file", error="the disk is full"):
        atomic(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    atomic(path, lambda part: part.write_text("new"))
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with refused("file-not-written", file=tmp_path / "a" / "file"):
        atomic(tmp_path / "a" / "file", lambda part: part.write_text("x"))


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".file.123").write_text("half")
    (tmp_path / "file").write_text("whole")
    clear_parts(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_content_is_on_the_disk_before_the_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a power cut may keep the new name and lose what it names."""
    done: list[str] = []
    flush, move = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("flushed"), flush(number)))
    monkeypatch.setattr(os, "replace", lambda part, path: (done.append("named"), move(part, path)))
    replace(tmp_path / "file", lambda part: part.write_text("new"))
    assert done == ["flushed", "named"]
    assert (tmp_path / "file").read_text() == "new"


def test_two_writers_in_one_process_have_parts_of_their_own(tmp_path: Path) -> None:
    """The outer one ends last, and its file stays, whole."""
    path = tmp_path / "file"

    def outer(part: Path) -> None:
        part.write_text("outer")
        replace(path, lambda inner: inner.write_text("the inner one's"))
        assert path.read_text() == "the inner one's"
        assert part.read_text() == "outer"

    replace(path, outer)
    assert path.read_text() == "outer"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert len({part_name(path) for _ in range(100)}) == 100
    assert part_name(path).name.startswith(".")


def test_a_line_after_one_that_was_cut_short_stands_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_line(path, {"a": 1})
    with path.open("ab") as file:
        file.write(b'{"a": 2, "b')
    append_line(path, {"a": 3})
    append_line(path, {"a": "\u00e9"})
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[1] == '{"a": 2, "b'
    assert [json.loads(lines[i]) for i in (0, 2, 3)] == [{"a": 1}, {"a": 3}, {"a": "\u00e9"}]
    assert lines[4:] == [""]


def test_parts_of_a_folder_that_somebody_else_holds_are_left_alone(tmp_path: Path) -> None:
    """A sweep clears a run's folder while another process trains one of its seeds."""
    for name in ("seed-0", "seed-1/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / ".state.ckpt.1-2.part").touch()
    (tmp_path / "seed-0" / NAME).touch()
    clear_parts(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.part")] == ["seed-0/.state.ckpt.1-2.part"]
