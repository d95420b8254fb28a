"""Names that look like people's ids are pointed out; others, and those of Aff-Wild2, are not."""

from __future__ import annotations

import itertools

import pytest

from harness.data.doctor.speakers import speaker_note

CLIPS = [f"{who}_{take:03d}" for who in ("F01", "F02", "M03") for take in range(1, 60)]
RAVDESS = [f"03-01-{e:02d}-01-0{s}-01-{a:02d}" for e, s, a in itertools.product(range(1, 9), (1, 2), range(1, 13))]


@pytest.mark.parametrize(
    ("names", "count", "shown"),
    [
        (CLIPS, 177, "3 values: F01, F02, M03"),
        (RAVDESS, 192, "12 values: 01, 02, 03, ..."),
        ([f"take{i}.spk{i % 4}" for i in range(20)], 20, "4 values: spk0, spk1, spk2, ..."),
        ([f"{who} {word}" for who in ("AB", "CD") for word in ("yes", "no", "why", "so")], 8, "2 values: AB, CD"),
    ],
)
def test_a_part_that_repeats_like_an_id_is_named(names: list[str], count: int, shown: str) -> None:
    note = speaker_note(names)
    assert note.startswith(f"{count} videos count as that many groups")
    assert shown in note
    assert "groups.csv (video,group)" in note


@pytest.mark.parametrize(
    "names",
    [
        [],
        CLIPS[:5],
        [f"{i}-30-1920x1080" for i in range(40)],
        [f"video{i // 4}_{i % 4}" for i in range(40)],
        [f"holiday{i}" for i in range(40)],  # one part: every name is another
        [f"clip_{i}" for i in range(40)],  # one value, and one a video
        [f"{colour}_{i}" for colour in ("red", "green", "blue") for i in range(9)],  # words are no ids
    ],
)
def test_other_names_are_left_in_peace(names: list[str]) -> None:
    assert speaker_note(names) == ""
