"""Odd surroundings of the command line: closed or ASCII streams, links upwards, pipes, no file handles left."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import pytest
import typer

import harness.cli as cli
from harness.cli.options import with_home_paths
from harness.data.affwild2.folder_layout import crop_folders, survey
from harness.data.index.group_tables import read_groups
from harness.io.text_files import read_text
from leaderboards.record import RecordError
from leaderboards.record import read as read_record
from tests.support.program import Program
from tests.support.refusals import Part, refused
from tests.support.signals import time_limit
from tests.support.trees import small_va, write_crops


def test_a_link_to_the_root_is_not_followed(tmp_path: Path) -> None:
    root = small_va(tmp_path / "a" / "data")
    before = survey(root)
    (root / "up").symlink_to(tmp_path)
    for place in (root / "annotations" / "root", root / "cropped_aligned" / "5"):
        place.symlink_to("/")
    after = survey(root)
    assert (after.sets, after.texts, after.videos) == (before.sets, before.texts, before.videos)
    assert set(crop_folders(after, "cropped_aligned")) == set(crop_folders(before, "cropped_aligned"))


def test_links_to_other_folders_are_followed(tmp_path: Path) -> None:
    write_crops(tmp_path / "elsewhere" / "video1", (1,))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cropped_aligned").symlink_to(tmp_path / "elsewhere")
    assert set(crop_folders(survey(tmp_path / "data"), "cropped_aligned")) == {"video1"}


def test_named_pipes_are_never_waited_for(tmp_path: Path) -> None:
    root = small_va(tmp_path / "data")
    before = survey(root)
    for place in (tmp_path / "record.json", root / "notes.txt", root / "clip.mp4"):
        os.mkfifo(place)
    with pytest.raises(RecordError, match="no regular file"):
        read_record(tmp_path / "record.json")
    with refused("text-unreadable", file=root / "notes.txt", strerror=Part("no regular file")):
        read_text(root / "notes.txt")
    assert survey(root) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--track", "va", "--encoders", "audio", "--epochs", "1", "--data", "DEMO", "--list", "PIPE"),
        ("run", "--track", "va", "--encoders", "audio", "--epochs", "1", "--recipe", "PIPE"),
        ("run", "--track", "va", "--encoders", "audio", "--epochs", "1", "--plugin", "PIPE"),
        ("sweep", "--track", "va", "--encoders", "audio", "--data", "DEMO", "--list", "PIPE"),
        ("submit", "--predictions", "PIPE", "--track", "va", "--out", "OUT"),
        ("evaluate", "--predictions", "PIPE", "--labels", "DEMO", "--track", "va"),
        ("evaluate", "--predictions", "PIPE", "--labels", "PIPE", "--track", "va"),
        ("verify", "OUT", "--track", "va", "--manifest", "PIPE"),
        ("data", "doctor", "PIPE"),
        ("data", "crop", "PIPE", "--out", "OUT"),
        ("predict", "PIPE", "--out", "OUT"),
        ("leaderboard", "PIPE"),
    ],
    ids=" ".join,
)
def test_a_pipe_in_place_of_a_file_is_one_line(program: Program, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Each would wait for ever for somebody to write into it; the suite's time limit does not."""
    os.mkfifo(tmp_path / "list.csv")
    places = {"PIPE": str(tmp_path / "list.csv"), "DEMO": str(program.demo), "OUT": str(tmp_path / "out")}
    with time_limit(60):
        answer = program(*[places.get(word, word) for word in arguments])
    assert answer.code == 2, answer
    assert len([line for line in answer.err.splitlines() if line.startswith("error: ")]) == 1, answer.err
    assert not (tmp_path / "out").exists()


def test_a_pipe_in_place_of_a_submission_is_a_finding(program: Program, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "predictions.txt")
    with time_limit(60):
        answer = program("verify", tmp_path / "predictions.txt", "--track", "va")
    assert answer.code == 1
    assert "predictions.txt: it is no regular file" in answer.out


def test_a_pipe_that_is_called_groups_csv_is_an_error(tmp_path: Path) -> None:
    """Without its groups, videos of one person would be in several folds."""
    os.mkfifo(tmp_path / "groups.csv")
    with refused("text-unreadable", file=tmp_path / "groups.csv"):
        read_groups(tmp_path)
    (tmp_path / "groups.csv").unlink()
    (tmp_path / "groups.csv").symlink_to(tmp_path / "gone.csv")
    with refused("text-unreadable", file=tmp_path / "groups.csv"):
        read_groups(tmp_path)


@pytest.mark.parametrize("name", ["a\nb.mp4", "a\x1b[0m.txt", "\udcff.mp4"])
def test_names_that_no_table_can_hold_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with refused("name-unprintable") as error:
        survey(tmp_path)
    assert str(error.value).isascii()


def test_paths_of_every_command_take_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    given: list[object] = []
    app = typer.Typer()

    @app.command()
    def command(
        folder: Annotated[Path, typer.Argument()],
        out: Annotated[Path, typer.Option()] = Path("~/runs"),
        plugin: Annotated[list[Path] | None, typer.Option()] = None,
    ) -> None:
        given.extend([folder, out, plugin])

    with_home_paths(app)
    app(["~/data", "--plugin", "~/a.py", "--plugin", "b.py"], standalone_mode=False)
    assert given == [Path("/home/me/data"), Path("/home/me/runs"), [Path("/home/me/a.py"), Path("b.py")]]
    with refused("name-unprintable"):
        app(["a\x07b"], standalone_mode=False)


def run_with(monkeypatch: pytest.MonkeyPatch, stdout: object, command: object) -> object:
    """What the program ends with, standard output being ``stdout``, its work ``command``."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main replaces it
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(cli, "app", command)
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0


def test_ascii_output_shows_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    assert run_with(monkeypatch, stream, lambda prog_name: print("né ±")) == 0
    assert raw.getvalue() == b"n\\xe9 \\xb1\n"


def test_closed_output_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with(monkeypatch, None, lambda prog_name: print("x")) == 0


class Full(io.TextIOBase):
    """A file that cannot take what it was given, as is told when it is flushed."""

    def __init__(self, number: int) -> None:
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (
            errno.ENOSPC,
            2,
            "error: a file: cannot be written (the disk is full); free some space or write somewhere else\n",
        ),
        (errno.EPIPE, 0, ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, code: int, message: str
) -> None:
    assert run_with(monkeypatch, Full(number), lambda prog_name: None) == code
    assert capsys.readouterr().err == message


def test_too_few_file_handles_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def opens(prog_name: str) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x")

    assert run_with(monkeypatch, io.StringIO(), opens) == 2
    assert "ulimit -n" in capsys.readouterr().err
