"""People of a raw video, by the names in any text beside it, whatever its encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.affwild2.raw_video_names import raw_people
from tests.support.refusals import refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "talk.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(40))  # looks like a video; nobody opens it
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_encoding_of_a_list_names_both_people(folder: Path, encoding: str, end: str) -> None:
    (folder / "list.txt").write_bytes(end.join(["talk_left", "talk_right/00001.jpg", ""]).encode(encoding))
    assert raw_people(folder) == [(("talk_left", "talk_right"), folder / "talk.mp4")]


def test_notes_in_another_encoding_name_nobody(folder: Path) -> None:
    (folder / "notes.txt").write_bytes("gefilmt für später".encode("latin-1"))
    assert raw_people(folder) == [(("talk",), folder / "talk.mp4")]


def test_a_text_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "notes.txt").symlink_to("nowhere")
    with refused("text-unreadable", file=folder / "notes.txt"):
        raw_people(folder)
