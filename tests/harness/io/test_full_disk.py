"""A disk that is really full, and one that is really read-only: an error in a line, and what was there stays.

On small file systems in memory, mounted for the test; skipped where nothing may be mounted. Root ignores the modes of
folders, but not these.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.io.atomic import atomic
from harness.runs.recording import record_run
from leaderboards.record import Record, read
from tests.support.refusals import refused as refused_for
from zoo.errors import FullDiskError
from zoo.files import FULL

SHORT = ("--encoders", "face", "--set", "train.epochs=1", "--set", "train.clip=16")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here: it takes root on Linux")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def full(disk: Path) -> None:
    """Not a byte is left."""
    with (disk / "filler").open("wb", buffering=0) as file:
        block = bytes(1 << 20)
        while block:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]


def read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "filler")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def finished(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one that is finished."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    program.run(runs, "a", *SHORT)
    return runs


BAD = pytest.mark.parametrize("spoil", [full, read_only])
Spoil = Callable[[Path], None]


def refused(answer, disk: Path) -> None:
    """Exit code 2 and one line that names a place on the disk."""
    assert answer.code == 2, answer.err + answer.out
    lines = [line for line in answer.err.splitlines() if line.startswith("error")]
    assert len(lines) == 1, answer.err
    assert str(disk) in lines[0]
    assert "Traceback" not in answer.err


@BAD
def test_the_demo_set(program, disk: Path, spoil: Spoil) -> None:
    spoil(disk)
    refused(program("data", "demo", disk / "demo", "--videos", "2,1,1", "--frames", "12"), disk)
    assert content(disk) == {}


@BAD
def test_boxes(program, disk: Path, spoil: Spoil) -> None:
    data = Path(shutil.copytree(program.demo, disk / "data"))
    shutil.rmtree(data / "openpose")
    next((data / "boxes").glob("*.parquet")).unlink()
    before = content(data)
    spoil(disk)
    refused(program("data", "boxes", data, "--jobs", "1"), disk)
    assert content(data) == before


@BAD
def test_the_tables(program, disk: Path, finished: Path, spoil: Spoil) -> None:
    runs = Path(shutil.copytree(finished, disk / "runs"))
    before = content(disk)
    spoil(disk)
    refused(program("leaderboard", runs), disk)
    refused(program("leaderboard", runs, "--out", disk / "all.html"), disk)
    assert content(disk) == before


@BAD
@pytest.mark.parametrize("again", [True, False])
def test_a_submission(program, disk: Path, finished: Path, spoil: Spoil, again: bool) -> None:
    run = Path(shutil.copytree(finished, disk / "runs")) / "a"
    if not again:
        shutil.rmtree(run / "submission")
    before = content(disk)
    spoil(disk)
    refused(program("submit", run, "--zip"), disk)
    assert content(disk) == before


@pytest.mark.slow
@BAD
def test_a_training(program, disk: Path, finished: Path, spoil: Spoil) -> None:
    runs = Path(shutil.copytree(finished, disk / "runs"))
    before = content(runs / "a")
    spoil(disk)
    refused(program("run", "--data", program.demo, "--out", runs, "--name", "b", *SHORT), disk)
    assert content(runs / "a") == before


@pytest.mark.slow
def test_a_checkpoint_goes_on_where_there_is_room_again(program, disk: Path, finished: Path) -> None:
    """The disk fills up while it is trained: the last checkpoint is whole, and the run ends as if nothing had been."""
    runs = disk / "runs"
    big = ("--data", program.demo, "--out", runs, "--name", "b", "--encoders", "face", "--set", "train.clip=16")
    whole = program.run(disk / "whole", "b", *big[6:], "--set", "train.epochs=4")
    size = (whole / "state.ckpt").stat().st_size
    full(disk)
    os.truncate(disk / "filler", (disk / "filler").stat().st_size - int(1.6 * size))
    refused(program("run", *big, "--set", "train.epochs=4"), disk)
    (disk / "filler").unlink()
    answer = program("run", "--resume", runs / "b")
    assert answer.code == 0, answer.err
    assert hashlib.sha256((runs / "b/weights.safetensors").read_bytes()).hexdigest() == (
        hashlib.sha256((whole / "weights.safetensors").read_bytes()).hexdigest()
    )


def test_the_record_of_a_run_whose_disk_filled_says_so(disk: Path) -> None:
    """Not a byte is left, not even of the file that did not fit: the room for the record was kept."""
    record = Record("r", "running")
    with refused_for("file-not-written", file="history.csv", error="the disk is full"), record_run(record, disk / "r"):
        full(disk)
        atomic(disk / "r" / "history.csv", lambda part: part.write_text("loss"))
    found = read(disk / "r" / "record.json")
    assert found.status == "failed"
    assert "history.csv" in (found.reason or "")
    assert "the disk is full" in (found.reason or "")
    assert [path.name for path in (disk / "r").iterdir()] == ["record.json"]


def test_a_result_that_finds_no_room_is_a_failure_that_says_so(disk: Path) -> None:
    record = Record("r", "running", result={"split": "val"})
    with refused_for("record-not-writable", error="the disk is full"), record_run(record, disk / "r"):
        full(disk)
        record.status, record.result = "done", {"split": "val", "seen": ["x" * 1000] * 1000}
    found = read(disk / "r" / "record.json")
    assert (found.status, found.result) == ("failed", {"split": "val"})
    assert "the disk is full" in (found.reason or "")


def test_a_checkpoint_that_does_not_fit_says_that_the_disk_is_full(disk: Path) -> None:
    """PyTorch says only that its writing failed."""
    full(disk)
    os.truncate(disk / "filler", (disk / "filler").stat().st_size - (1 << 20))
    with refused_for("file-not-written", file="state.ckpt", error="the disk is full"):
        atomic(disk / "state.ckpt", lambda part: torch.save({"a": torch.zeros(1 << 20)}, part))
    assert [path.name for path in disk.iterdir()] == ["filler"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "your quota of the disk is used up"),
        (errno.EFBIG, "it is larger than a file may be here, see ulimit -f"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_why_a_file_cannot_be_written_is_told_apart(tmp_path: Path, number: int, said: str) -> None:
    def write(part: Path) -> None:
        raise OSError(number, os.strerror(number), str(part))

    with refused_for("file-not-written", file="x", error=said) as caught:
        atomic(tmp_path / "x", write)
    assert isinstance(caught.value, FullDiskError) == (number in FULL)


@pytest.mark.slow
@BAD
def test_extraction(program, disk: Path, tmp_path: Path, spoil: Spoil) -> None:
    own = replace(program, cache=disk / "cache")
    own.cache.mkdir()
    spoil(disk)
    refused(own("run", "--data", program.demo, "--out", tmp_path / "runs", *SHORT), disk)
    assert {path.name for path in disk.rglob("*.npy")} == set()


@BAD
def test_a_pack(program, disk: Path, spoil: Spoil) -> None:
    """Nothing half-packed is left, and what was packed before stays and is whole."""
    command = ("data", "pack", program.demo, "--out", disk / "pack", "--jobs", "1", "--streams")
    assert program(*command, "audio").code == 0
    before = content(disk)
    spoil(disk)
    refused(program(*command, "audio,face"), disk)
    assert content(disk) == before


@BAD
def test_an_evaluation(program, disk: Path, finished: Path, spoil: Spoil) -> None:
    run = Path(shutil.copytree(finished, disk / "runs")) / "a"
    before = content(disk)
    spoil(disk)
    refused(program("evaluate", run), disk)
    assert content(disk) == before


@BAD
def test_an_index_that_cannot_be_kept(program, disk: Path, spoil: Spoil) -> None:
    """The annotations are read all the same; that they will be read again is said."""
    own = replace(program, cache=disk / "cache")
    own.cache.mkdir()
    spoil(disk)
    answer = own("data", "index", program.demo, "--track", "va")
    assert answer.code == 0, answer.err
    assert "va: the next command will read all annotations again: " in answer.out
    assert "cannot be written" in answer.out
    assert content(disk) == {}
