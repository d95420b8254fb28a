"""Ctrl-C in `harness predict`: what is finished stays, whole; what is half-written goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pandas as pd
import pytest

from tests.support.media import write_click_video
from tests.support.program import Program
from tests.support.signals import heed_ctrl_c

RUN = ("--track", "expr", "--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru")
VIDEOS, FRAMES = 30, 60
LONGEST = 240  # seconds until the first table: torch is imported before


def until_finished(out: Path, count: int, child: subprocess.Popen[str]) -> None:
    """Wait until so many inputs are finished."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and child.poll() is None:
        if (out / "about.json").is_file() and len(json.loads((out / "about.json").read_text())["inputs"]) >= count:
            return
        time.sleep(0.02)
    child.kill()
    pytest.fail(f"no {count} tables: {child.communicate()}")


@pytest.mark.slow
@pytest.mark.parametrize("later", [0.0, 0.4])
def test_what_is_finished_stays(program: Program, tmp_path: Path, later: float) -> None:
    run, out = program.kept(*RUN), tmp_path / "out"
    (tmp_path / "in").mkdir()
    write_click_video(tmp_path / "in" / "v00.mp4", n_frames=FRAMES, size=(320, 240))
    for i in range(1, VIDEOS):
        (tmp_path / "in" / f"v{i:02}.mp4").hardlink_to(tmp_path / "in" / "v00.mp4")
    command = ["predict", tmp_path / "in", "--model", run, "--out", out, "--overlay", out / "drawn"]
    child = subprocess.Popen(
        [sys.executable, "-m", "harness", *map(str, command)],
        env={**os.environ, "ABAW_ZOO_CACHE": str(program.cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    until_finished(out, 2, child)
    time.sleep(later)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    about = json.loads((out / "about.json").read_text())
    tables = sorted(path.name for path in out.glob("*.csv"))
    assert 2 <= len(tables) < VIDEOS, "it was stopped too late to show anything"
    assert [one["table"] for one in about["inputs"]] == tables
    assert f"{len(tables)} of {VIDEOS} inputs are finished" in err
    assert all(len(pd.read_csv(out / name)) == FRAMES for name in tables)
    for path in (out / "drawn").glob("[!.]*"):
        with av.open(str(path)) as video:
            assert sum(1 for _ in video.decode(video=0)) == FRAMES
    left = [path for path in out.rglob("*") if path.is_file() and path.suffix not in (".csv", ".mp4")]
    assert left == [out / "about.json"]
    assert not list(out.rglob(".*")), "nothing half-written is left"
