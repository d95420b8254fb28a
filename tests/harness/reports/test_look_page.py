"""`harness data look`: pictures as they are drawn in training."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.refusals import refused


def pictures(page: Path) -> list[tuple[str, np.ndarray]]:
    """Return (name of the draw, uint8 picture) of every picture of a page, in order."""
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"[^>]* alt="([^"]+)"', page.read_text())
    return [(name, cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), 1)) for text, name in found]


def drawn(program, out: Path, *more: object) -> list[tuple[str, np.ndarray]]:
    answer = program("data", "look", program.demo, "--clips", 2, "--draws", 2, "--out", out, *more)
    assert answer.code == 0, answer.err
    return pictures(out)


def test_the_page_shows_each_clip_as_it_is_and_as_it_is_drawn(program, tmp_path: Path) -> None:
    shown = drawn(program, tmp_path / "a.html", "--augment", "face=flip", "--set", "augment.face.flip.p=1")
    assert [name for name, _ in shown[:9]] == ["as it is"] * 3 + ["epoch 1"] * 3 + ["epoch 2"] * 3
    assert len(shown) == 18
    for (_, plain), (_, mirrored) in zip(shown[:3], shown[3:6], strict=True):
        gap = np.abs(plain[:, ::-1].astype(int) - mirrored.astype(int))
        assert gap.mean() < 3  # both are JPEGs
        assert np.abs(plain.astype(int) - mirrored.astype(int)).mean() > gap.mean()


def test_augmentations_of_sound_are_left_out_of_the_page(program, tmp_path: Path) -> None:
    """The options of a run that augments both can be given as they are."""
    both = ("--encoders", "face,audio", "--augment", "face=flip", "--augment", "audio=gain")
    drawn(program, tmp_path / "a.html", *both, "--set", "augment.audio.gain.p=1")
    drawn(program, tmp_path / "b.html", "--encoders", "face", "--augment", "face=flip")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_same_seed_gives_the_same_page_and_another_seed_another(program, tmp_path: Path) -> None:
    crop = ("--augment", "crop")
    pages = [tmp_path / f"{name}.html" for name in "abc"]
    for page, seed in zip(pages, (0, 0, 1), strict=True):
        drawn(program, page, *crop, "--seed", seed)
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert pages[0].read_bytes() != pages[2].read_bytes()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--augment", "face=gain"), refused("augment-kind", name="gain")),
        (("--encoders", "audio"), refused("look-no-pictures")),
        (
            ("--augment", "face=crop", "--set", "augment.face.blur.low=1"),
            refused("look-option-unused", key="augment.face.blur.low"),
        ),
        (("--set", "augment.face.flip.p=2"), refused("option-out-of-range", name="p", value=2.0)),
    ],
)
def test_what_cannot_be_shown_is_refused(program, tmp_path: Path, more, expected) -> None:
    answer = program("data", "look", program.demo, "--out", tmp_path / "a.html", *more)
    assert answer.code == 2
    expected.check(answer.error)
    assert not list(tmp_path.iterdir())
