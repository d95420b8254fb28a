"""Two processes at one folder: one wins, the other is told, or waits; a killed holder stops nobody."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.data.synthetic import make_demo
from harness.data.tracking.person_boxes import make_boxes
from harness.io.locks import NAME, file_lock
from harness.io.run_lock import run_lock
from leaderboards.record import read
from tests.support.refusals import Part, refused
from zoo.errors import FullDiskError, UserError
from zoo.registry.registry import load

HOLD = "import sys, time; from pathlib import Path; from harness.io.locks import file_lock\nwith file_lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"


@contextmanager
def held_elsewhere(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def test_the_second_is_told_in_one_line_and_touches_nothing(tmp_path: Path) -> None:
    part = tmp_path / ".state.ckpt.4711"
    part.write_text("half")
    with (
        held_elsewhere(tmp_path / NAME),
        refused("busy", message=Part("at work on this run")),
        run_lock(tmp_path),
    ):
        pytest.fail("both are at work")
    assert part.exists()
    with run_lock(tmp_path):
        assert not part.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_holder_stops_nobody(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path / NAME) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with file_lock(tmp_path / NAME, "busy"):
            pass


def test_without_words_it_waits(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path / NAME) as process:
        waiting = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path / NAME)], stdout=subprocess.PIPE, text=True
        )
        time.sleep(1)
        assert waiting.poll() is None
        process.kill()
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "held\n"
        waiting.kill()
        waiting.wait()
        waiting.stdout.close()


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with refused("folder-not-writable", parent=tmp_path / "runs"), file_lock(tmp_path / "runs" / NAME):
        pass


@pytest.mark.slow
def test_a_run_that_another_process_trains_is_left_alone(program, tmp_path: Path) -> None:
    folder = program.run(tmp_path, "one", "--set", "train.epochs=1")
    known = read(folder / "record.json")
    known.status = "interrupted"
    known.write(folder / "record.json")
    record = (folder / "record.json").read_text()
    with held_elsewhere(folder / NAME):
        answer = program("run", "--resume", folder)
    answer.refused("busy", message=Part("at work on this run"))
    assert (folder / "record.json").read_text() == record


def test_boxes_are_made_by_one_process(program, tmp_path: Path) -> None:
    data = Path(shutil.copytree(program.demo, tmp_path / "data"))
    shutil.rmtree(data / "boxes")
    left = data / "boxes" / ".video104.parquet.4711"
    left.parent.mkdir()
    left.write_text("half")
    video = next((data / "videos").glob("*.mp4"))
    detector = load([]).get("detectors", "centerface")
    with held_elsewhere(data / "boxes" / NAME), refused("busy", message=Part("makes boxes")):
        make_boxes(data, [(video.stem, video)], detector, jobs=1, progress=False)
    assert left.exists()


@pytest.mark.slow
def test_the_demo_set_is_made_once_and_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from harness.data.synthetic import make_demo; "
        "make_demo(Path(sys.argv[1]), videos=(2, 1, 1), frames=12, jobs=1)",
        str(tmp_path / "demo"),
    ]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob(".demo.*.part")):
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    assert list(tmp_path.glob(".demo.*.part"))
    both = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait(120) for one in both] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    make_demo(tmp_path / "demo", videos=(2, 1, 1), frames=12)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, FullDiskError), (errno.EDQUOT, FullDiskError), (errno.EROFS, UserError)]
)
def test_a_lock_that_cannot_be_made_tells_a_full_disk_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[UserError]
) -> None:
    """Work on many files stops at a full disk, and goes on after any other fault of one of them."""

    def fails(self: object, *given: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("filelock.FileLock.acquire", fails)
    with pytest.raises(UserError) as caught, file_lock(tmp_path / ".lock"):
        pass
    assert type(caught.value) is kind
    assert caught.value.code == "folder-not-writable"
    assert caught.value.fields["parent"] == tmp_path
