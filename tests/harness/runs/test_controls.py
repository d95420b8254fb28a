"""Controls on the full demo set: where nothing is to be learned, nothing is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leaderboards.intervals import paired

pytestmark = pytest.mark.slow
Read = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def silent_context(program, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The program with a demo set of usual size whose scenes show a stranger's feelings."""
    from harness.data.synthetic import make_demo

    root = tmp_path_factory.mktemp("controls")
    make_demo(root / "set", shares={"context": 0.0}, progress=False)
    return replace(program, cache=root / "cache", demo=root / "set")


def test_a_slot_without_a_share_does_not_win(silent_context, tmp_path: Path, record: Read) -> None:
    scores = {}
    for slots in ("face", "face,context"):
        folder = silent_context.run(tmp_path, slots.replace(",", "+"), "--encoders", slots)
        scores[slots] = record(folder)["result"]["scores"]["raw"]
    assert scores["face"]["main"] > 0.2  # the faces do show the labels
    assert scores["face"]["groups"] == scores["face,context"]["groups"]
    both, face = scores["face,context"], scores["face"]
    difference = paired(both["main"], both["leave_one_out"], face["main"], face["leave_one_out"])
    assert difference.low <= 0


def test_labels_of_other_videos_teach_nothing(silent_context, tmp_path: Path, record: Read) -> None:
    folder = silent_context.run(tmp_path, "shuffled", "--encoders", "face", "--set", "train.shuffle_labels=true")
    raw = record(folder)["result"]["scores"]["raw"]
    assert abs(raw["main"]) < 0.1 or raw["low"] <= 0 <= raw["high"]
