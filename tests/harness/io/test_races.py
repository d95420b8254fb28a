"""Threads and processes at the same files at the same moment, with an empty cache: all end well, none computes twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from harness.io.locks import OneAtATime
from tests.support.loopback import server
from tests.support.media import write_click_video
from tests.support.races import LINES
from tests.support.trees import small_va, write_crops

__all__ = ["server"]
PROCESSES, THREADS = 2, 4
COMPUTED = {
    "probe": 1,
    "hash": 2,
    "folder": 1,
    "features": 1,
    "read_frame_labels": 3,
    "read_test_list": 1,
    "picture_folder": 4,
}


@pytest.mark.parametrize("rounds", [pytest.param(2), pytest.param(50, marks=pytest.mark.slow)])
def test_every_file_that_is_shared(tmp_path: Path, server, rounds: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_click_video(data / "clip.mp4", n_frames=12, click_frame=None)
    write_crops(data / "crops", range(1, 9))
    small_va(data / "tree")
    time.sleep(2.1)  # files that have just been changed are not taken by their times (harness.io.read_cache)
    command = [sys.executable, "-m", "tests.support.races", tmp_path, rounds, THREADS, PROCESSES]
    children = [
        subprocess.Popen(
            [*map(str, command), str(process), server.url("net.pt")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process in range(PROCESSES)
    ]
    said = [child.communicate(timeout=600)[0] for child in children]
    assert [child.returncode for child in children] == [0] * PROCESSES, "\n".join(said)[-4000:]
    for number in range(rounds):
        here = tmp_path / f"round-{number}"
        counts = Counter(path.name.partition(".")[0] for path in (here / "counts").iterdir())
        assert counts == COMPUTED, number
        assert len((here / "ledger.jsonl").read_text().splitlines()) == LINES * THREADS * PROCESSES
        assert left(here) == []
    assert len(server.asked) == rounds


def left(folder: Path) -> list[str]:
    """Half-written files and locks that nobody cleared away."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*") if path.is_file())


def test_threads_that_ask_at_once_share_one_computation() -> None:
    shared, barrier, calls = OneAtATime(), Barrier(4), []

    def compute() -> int:
        calls.append(1)
        time.sleep(0.2)
        return 7

    def ask(_: int) -> int:
        barrier.wait()
        return shared("key", compute)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [7] * 4
    assert len(calls) == 1
    assert shared("key", lambda: 8) == 8  # nothing is kept


def test_threads_that_ask_at_once_share_an_error() -> None:
    shared = OneAtATime()

    def fails() -> int:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            shared("key", fails)


@pytest.mark.slow
def test_the_first_extraction_of_a_set_with_two_faces_a_video(program, tmp_path: Path) -> None:
    """`_left` and `_right` are two entries of one video, read by two threads: 15 empty caches, 15 ends that are well.

    Whether bfloat16 is near enough for the network is no part of the race and stays known (cache/encoders).
    """
    demo, own = tmp_path / "demo", replace(program, cache=tmp_path / "cache")
    for folder in ("videos", "cropped_aligned", "annotations/VA_Estimation_Challenge"):
        for path in (program.demo / folder).rglob("*"):
            if path.is_file() and "video10" in str(path):
                (demo / path.relative_to(program.demo)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, demo / path.relative_to(program.demo))
    faces = {path.name.partition("_")[0] for path in (demo / "cropped_aligned").glob("*_left")}
    assert len(faces) == 2
    time.sleep(2.1)  # files that have just been changed are not taken by their times (harness.io.read_cache)
    for _ in range(15):
        for folder in own.cache.glob("*"):
            if folder.name != "encoders":
                shutil.rmtree(folder)
        answer = own("data", "extract", demo, "--encoders", "face")
        assert answer.code == 0, answer.err
        assert f" slots: {len(list((demo / 'cropped_aligned').iterdir()))} computed" in answer.out
