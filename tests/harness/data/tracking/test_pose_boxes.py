"""Person boxes by pose: where the pose is seen; elsewhere the rule; made again if the way changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.tracking import detection
from harness.data.tracking.detection import FaceFinder
from harness.data.tracking.person_boxes import all_posed, are_made, how_made, make_boxes, read_boxes
from harness.data.tracking.pose_boxes import Posed, PosedPeople
from tests.support.refusals import refused
from tests.support.squares import spec, still, write_squares


class Half(PosedPeople):
    """Sees the pose of every second frame, as a box around the face."""

    def __init__(self, name: str) -> None:
        self.label, self.build, self.stream, self._finder = f"{name}-7", lambda *_: self, "", None
        self.calls = 0

    def person_box(self, frame: np.ndarray, face: np.ndarray, person: np.ndarray) -> np.ndarray | None:
        assert frame.shape == (240, 320, 3)
        self.calls += 1
        return face - 1.5 if self.calls % 2 else None


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(detection, "PosedPeople", Half)
    write_squares(tmp_path / "v.mp4", [still(80, 60, 50)], n_frames=10)
    return tmp_path


def test_boxes_by_pose_and_by_the_rule(raw: Path) -> None:
    path = raw / "boxes" / "v.parquet"
    assert make_boxes(raw, [("v", raw / "v.mp4")], spec(), 1, False) == []
    rule = read_boxes(path)
    assert how_made(path) == (FaceFinder(spec()).label, None)
    assert rule.posed is None
    assert make_boxes(raw, [("v", raw / "v.mp4")], spec(), 1, False, {"person": "half"}) == []
    posed = read_boxes(path)
    np.testing.assert_array_equal(posed.face, rule.face)
    np.testing.assert_array_equal(posed.person[1::2], rule.person[1::2])
    np.testing.assert_allclose(posed.person[::2], posed.face[::2] - 1.5)
    assert how_made(path) == (FaceFinder(spec(), {"person": "half"}).label, Posed(5, 10))
    assert how_made(path)[0].endswith(" person=half-7")
    assert str(all_posed([path])) == "person boxes by pose: 5 of 10 frames; 5 by body proportions: no pose is seen"
    assert are_made(path, FaceFinder(spec(), {"person": "half"}), raw / "v.mp4")
    assert not are_made(path, FaceFinder(spec()), raw / "v.mp4")


def test_a_frame_without_a_person_is_not_looked_at() -> None:
    half, count = Half("half"), Posed()
    unknown = np.full(4, np.nan, np.float32)
    assert np.isnan(half.box(np.zeros((240, 320, 3), np.uint8), unknown, unknown, count)).all()
    assert (half.calls, count) == (0, Posed(0, 0))


def test_what_is_refused() -> None:
    with refused("detector-person", got="lite0"):
        FaceFinder(spec(), {"person": "lite0"})
