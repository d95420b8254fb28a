"""A file is whole or it is the old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.io.atomic import atomic, clear_parts
from zoo.errors import UserError


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    atomic(path, lambda part: part.write_text("old"))

    def fail(part: Path) -> None:
        part.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"a/file: could not be written .*No space left"):
        atomic(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    atomic(path, lambda part: part.write_text("new"))
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(UserError, match="could not be written"):
        atomic(tmp_path / "a" / "file", lambda part: part.write_text("x"))


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".file.123").write_text("half")
    (tmp_path / "file").write_text("whole")
    clear_parts(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
