"""What a killed process leaves goes at the next start; what a living one has stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from harness.io.locks import NAME
from harness.io.read_cache import ReadCache
from harness.io.scratch import YOUNG, scratch
from leaderboards.record import read
from leaderboards.tables import write
from tests.support.paths import ROOT

HOLD = """
import sys, time
from harness.io.scratch import scratch
with scratch("predict") as folder:
    (folder / "face.jpg").write_bytes(b"a face")
    print(folder, flush=True)
    time.sleep(60)
"""
SHORT = ("--encoders", "face", "--set", "train.epochs=1", "--set", "train.clip=16")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this process and those that it starts."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@contextmanager
def started(*command: object, **options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, text=True, **options
    )  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for(there: Callable[[], object], process: subprocess.Popen[str], seconds: float = 240.0) -> None:
    """Until something is there; a process that ends before is a failure."""
    end = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.002)


def age(folder: Path) -> None:
    """Let the temporary folders be older than those that are just being made."""
    for lock in folder.glob(f"*/{NAME}"):
        os.utime(lock, (time.time() - 2 * YOUNG,) * 2)


def test_a_dead_process_leaves_no_faces_and_a_living_one_keeps_its_own(temporary: Path) -> None:
    with started("-c", HOLD) as dead, started("-c", HOLD) as living:
        assert dead.stdout is not None
        assert living.stdout is not None
        left, kept = (Path(process.stdout.readline().strip()) for process in (dead, living))
        os.kill(dead.pid, signal.SIGKILL)
        dead.wait()
        with scratch("predict"):
            assert left.is_dir()  # so young it could be one whose lock is not held yet
        age(temporary)
        with scratch("bench") as own:
            assert not left.parent.exists()
            assert (kept / "face.jpg").is_file()
            assert own.is_dir()
        assert [path.name for path in temporary.iterdir()] == [kept.parent.name]


def test_what_others_put_there_is_left_alone(temporary: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / NAME).touch()
    (temporary / "harness-predict-link").symlink_to(precious)
    (temporary / "harness-predict-mine").mkdir()  # without a lock: nothing that this program makes
    age(temporary)
    os.utime(precious / NAME, (0, 0))
    with scratch("predict"):
        pass
    assert (precious / NAME).exists()
    assert sorted(path.name for path in temporary.iterdir()) == ["harness-predict-link", "harness-predict-mine"]


def test_parts_of_a_memo_go_when_it_is_written_again(tmp_path: Path) -> None:
    source, memo = tmp_path / "source", tmp_path / "x.memo"
    source.write_text("1")
    (tmp_path / ".x.memo.4711-00000000.part").write_text("half")
    (tmp_path / ".y.memo.4711-00000000.part").write_text("of another file")
    cache = ReadCache(memo)
    cache.read(source, "ones", lambda: {"a": np.ones(1)})
    cache.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".y.memo.4711-00000000.part", "source", "x.memo"]


def test_parts_of_the_leaderboard_go_when_it_is_written_again(tmp_path: Path) -> None:
    (tmp_path / ".leaderboard.md.4711-00000000.part").write_text("half")
    write(tmp_path, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leaderboard.csv", "leaderboard.md"]


@pytest.mark.slow
def test_a_killed_ensemble_is_made_anew(program, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed in (0, 1):
        program.run(runs, f"m{seed}", *SHORT, "--seed", str(seed))
    command = ("ensemble", runs / "m0", runs / "m1", "--name", "e", "--out", runs)
    with started("-m", "harness", *command, env={**os.environ, "ABAW_ZOO_CACHE": str(program.cache)}) as process:
        wait_for((runs / "e" / "record.json").is_file, process)
        process.send_signal(signal.SIGSTOP)
        busy = program(*command)
        process.kill()
    busy.refused("busy")
    if read(runs / "e" / "record.json").status == "done":
        pytest.skip("it was faster than the kill")
    answer = program(*command)
    assert answer.code == 0, answer.err
    assert "is made again from the start" in answer.out
    assert read(runs / "e" / "record.json").status == "done"
    assert list((runs / "e").rglob(".*")) == []
    finished = program(*command)
    finished.refused("run-name-taken")
    shutil.rmtree(runs / "e")
    whole = program(*command)
    assert whole.code == 0
