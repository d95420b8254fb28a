"""Every rule for editions can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.conformance import broken, unproved
from zoo import api, testing
from zoo.api import Answer, TrackSpec
from zoo.testing import editions

VALUE = Answer("valence", "value", -5)
UNIT = Answer("AU1", "binary", -1)
PAIR = Answer("ambivalence", "class", -1, classes=("no", "yes"))
THREE = replace(PAIR, classes=("no", "perhaps", "yes"))
SOUND = TrackSpec("t", (VALUE,), "mean_ccc", (-1.0, 1.0), ("VA",), ("valence",), "keyed", "image_location,valence")
TRIAL = TrackSpec("t", (PAIR,), "macro_f1", (0.0, 1.0), (), (), "trials", "", unit="video")
PLAIN = replace(TRIAL, unit="frame", submission="keyed", submission_header="image_location,no,yes")

TRACKS = [
    (SOUND, set()),
    (replace(SOUND, answers=(VALUE, VALUE)), {"answers", "handed_in"}),
    (replace(SOUND, answers=(replace(VALUE, invalid=0.0),)), {"answers"}),
    (replace(SOUND, answers=(VALUE, UNIT, replace(VALUE, name="x"))), {"answers", "metric", "handed_in"}),
    (replace(SOUND, metric="mean_cc"), {"metric", "perfect"}),
    (replace(SOUND, submission="key"), {"handed_in"}),
    (replace(SOUND, unit="video"), {"handed_in"}),
    (replace(SOUND, submission_header=""), {"handed_in"}),
    (replace(SOUND, submission_header="image_location,valence,arousal"), {"handed_in"}),
    (replace(SOUND, submission_header="image_location, valence"), {"handed_in"}),
    (replace(SOUND, other_headers=("image,v,a",)), {"handed_in"}),
    (replace(SOUND, submission="per_video", submission_header="valence"), set()),
    (replace(SOUND, submission="csv", submission_header="Frame,Label"), {"handed_in"}),
    (replace(SOUND, item="[]"), {"handed_in"}),
    (replace(SOUND, file="../predictions.txt"), {"handed_in"}),
    (replace(SOUND, limit=0), {"handed_in"}),
    (TRIAL, set()),
    (replace(TRIAL, submission_header="id,label"), {"handed_in"}),
    (replace(TRIAL, answers=(THREE,)), {"handed_in"}),
    (PLAIN, set()),
    (replace(PLAIN, submission_header="image_location,ambivalence"), set()),
    (replace(PLAIN, submission="csv", submission_header="Frame,Label"), set()),
    (replace(PLAIN, submission="csv", submission_header="Frame,Label", other_headers=("Label",)), {"handed_in"}),
    (replace(SOUND, score_range=(0.0, 100.0)), {"perfect"}),
]


@pytest.mark.parametrize(("track", "rules"), TRACKS)
def test_tracks(track, rules):
    assert broken(testing.edition_checks(api.EditionSpec("e", "here", 2026, (track,)))) == rules


def test_every_rule_is_shown_to_fail():
    assert unproved(editions, TRACKS) == set()


def test_the_first_rule_broken_is_raised():
    with pytest.raises(testing.ConformanceError, match="range of scores ends at 100"):
        testing.check_edition(api.EditionSpec("e", "here", 2026, (TRACKS[-1][0],)))
    with pytest.raises(testing.ConformanceError, match="has 3 fields, the form wants 2"):
        testing.check_edition(api.EditionSpec("e", "here", 2026, (TRACKS[8][0],)))
