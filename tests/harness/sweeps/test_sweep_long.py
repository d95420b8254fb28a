"""Sweeps of several seeds: stopped and gone on with, two at once, and on Ray, all with the records of the one that
nobody disturbs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.signals import heed_ctrl_c

Read = Callable[[Path], dict[str, Any]]

pytestmark = pytest.mark.slow


def launch(program, *args: object) -> subprocess.Popen[bytes]:
    env = {**os.environ, "ABAW_ZOO_CACHE": str(program.cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "harness.cli", *map(str, args)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c)


def long(program, out: Path, *more: object) -> list[object]:
    """Two combinations of two seeds, some seconds each."""
    sets = ["train.batch=2", "train.clip=16", "train.validate_every=2"]
    return [
        "sweep",
        "--data",
        program.demo,
        "--encoders",
        "face;face,context",
        "--fusion",
        "late",
        "--head",
        "gru",
        "--epochs",
        20,
        "--post",
        "clip",
        "--out",
        out,
        "--jobs",
        2,
        "--seeds",
        2,
        *more,
        *(part for text in sets for part in ("--set", text)),
    ]


def digests(out: Path, record: Read) -> dict[str, str]:
    found = {str(p.parent.relative_to(out)): record(p.parent) for p in out.rglob("record.json")}
    assert {content["status"] for content in found.values()} == {"done"}
    return {name: content["result_sha256"] for name, content in found.items()}


@pytest.fixture(scope="module")
def whole(program, tmp_path_factory: pytest.TempPathFactory, record: Read) -> dict[str, str]:
    """The records of the sweep that nobody interrupts."""
    out = tmp_path_factory.mktemp("whole")
    process = launch(program, *long(program, out))
    said, err = process.communicate(timeout=400)
    assert process.returncode == 0, err.decode()[-1000:]
    assert b"[4/4]" in said
    assert b"(sd 0." in said
    return digests(out, record)


def finished(out: Path) -> list[Path]:
    """Records of runs and seeds that are done, in a folder that is being written to."""
    records = [*out.glob("*/record.json"), *out.glob("*/seed-*/record.json")]
    return [path for path in records if '"status": "done"' in path.read_text()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_sweep_goes_on(
    program, whole: dict[str, str], tmp_path: Path, record: Read, number: signal.Signals
) -> None:
    process = launch(program, *long(program, tmp_path))
    end = time.monotonic() + 200
    while time.monotonic() < end and process.poll() is None:
        done = finished(tmp_path)
        begun = list(tmp_path.glob("*/seed-*/history.csv"))
        if len(done) >= 2 and len(begun) > len(done):
            break
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    said, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    if number == signal.SIGINT:
        assert b"run the same command again to continue" in said
    kept = {p: p.stat().st_mtime_ns for p in finished(tmp_path)}
    assert 2 <= len(kept) < 6
    time.sleep(2)  # workers leave when their parent is gone
    process = launch(program, *long(program, tmp_path))
    said, err = process.communicate(timeout=400)
    assert process.returncode == 0, err.decode()[-1000:]
    assert b"2 of 2 combinations are done" in said
    assert {p: p.stat().st_mtime_ns for p in kept} == kept, "finished runs were touched"
    assert digests(tmp_path, record) == whole


def test_two_sweeps_into_one_folder_share_the_work(
    program, whole: dict[str, str], tmp_path: Path, record: Read
) -> None:
    """What the other is at is a row that says so, and no run of its is touched: together all are done, and right."""
    both = [launch(program, *long(program, tmp_path, "--jobs", 1)) for _ in range(2)]
    for process in both:
        said, err = process.communicate(timeout=500)
        assert process.returncode == 0, err.decode()[-1000:]
        other = [line.decode() for line in said.splitlines() if b"failed" in line]
        assert [line for line in other if "another process is at work on this run" not in line] == []
    last = launch(program, *long(program, tmp_path))
    said, _ = last.communicate(timeout=400)
    assert b"2 of 2 combinations are done" in said
    assert digests(tmp_path, record) == whole


def test_ray_gives_the_same_records(program, whole: dict[str, str], tmp_path: Path, record: Read) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    process = launch(program, *long(program, tmp_path, "--launcher", "ray"))
    said, err = process.communicate(timeout=500)
    assert process.returncode == 0, err.decode()[-1000:]
    assert b"raylet" not in said + err
    assert digests(tmp_path, record) == whole
