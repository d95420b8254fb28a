"""``harness data index``."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np

from tests.support.refusals import Part
from tests.support.trees import VA_HEADER, small_va, write_lines


def row(text: str, name: str) -> list[str]:
    """The cells of a track's row."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return re.split(r"\s{2,}", line.strip())


def test_it_counts_every_track_of_a_folder(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    answer = program("data", "index", program.demo)
    assert answer.code == 0, answer.err
    for name in ("va", "expr", "au"):
        train, val, test = map(int, row(answer.out, name)[3:6])
        assert (train >= 4, val >= 2, test >= 2) == (True, True, True)  # videos, some of which show two people
    assert "kept in" in answer.out
    assert program("data", "index", program.demo).out == answer.out
    assert program("data", "index", program.demo, "--fresh").out == answer.out

    answer = program("data", "index", small_va(tmp_path), "--track", "va")
    assert row(answer.out, "va") == [
        "va",
        "abaw10",
        "annotations/VA_Estimation_Challenge",
        "2",
        "1",
        "1",
        "18",
        "15",
        "18",
        "0",
    ]


def test_it_says_what_files_are_and_what_videos_lack(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    root = small_va(tmp_path)
    (root / "poster.png").touch()
    with av.open(str(root / "video1.mp4"), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(7):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    answer = program("data", "index", root, "--track", "va")
    assert "- left out, not videos (still image): 1 (poster.png)" in answer.out
    assert "- video1.mp4: 7 of 7 frames have no valid time stamp" in answer.out
    assert "video1.mp4: 7 of 7 frames" in program("data", "doctor", root, "--track", "va").out


def test_it_says_what_is_wrong(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    program("data", "index", tmp_path / "none").refused("data-folder-missing", root=tmp_path / "none")
    program("data", "index", tmp_path).refused("data-no-track", no_track=Part("no annotations"))
    root = small_va(tmp_path)
    write_lines(root / "annotations/VA_Estimation_Challenge/Train_Set/video1.txt", VA_HEADER, "0.1,2")
    answer = program("data", "index", root)
    answer.refused("extract-failed", message=Part("video1.txt, line 2", "arousal must be", "got 2"))
    assert "kept in" not in answer.out
