"""What a model predicts by itself answers a track by the names of its classes."""

from __future__ import annotations

import pytest
import torch

from tests.support.refusals import Part, refused
from zoo.api import Answer, OwnScores
from zoo.model.own_scores import match
from zoo.registry.class_names import plain

EIGHT = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")
EXPRESSION = Answer("expression", "class", -1, classes=EIGHT)
VALENCE, AROUSAL = Answer("valence", "value", -5), Answer("arousal", "value", -5)
FER = OwnScores(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"))
AFFECTNET = OwnScores(
    ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise"), ("valence", "arousal")
)


def test_probabilities_stand_in_the_tracks_order():
    ready = match("fer", FER, "expr", (EXPRESSION,))
    scores = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    got = ready.decode(scores)
    order = [6, 0, 1, 2, 3, 4, 5]  # neutral, angry, disgust, fear, happy, sad, surprise
    torch.testing.assert_close(got[..., :7], scores.softmax(-1)[..., order])
    assert not got[..., 7].any()
    assert ready.notes == ("the model has no class Other, which is never predicted",)


def test_a_class_that_the_track_lacks_is_left_out_and_said():
    ready = match("hsemotion", AFFECTNET, "mtl", (VALENCE, EXPRESSION, AROUSAL))
    scores = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
    scores[:, 8] = torch.tensor([0.1, -3.0, 2.0, 0.5])
    got = ready.decode(scores)
    assert got.shape == (4, 10)
    torch.testing.assert_close(got[:, 0], torch.tensor([0.1, -1.0, 1.0, 0.5]))
    torch.testing.assert_close(got[:, 9], scores[:, 9].clamp(-1, 1))
    every = scores[:, :8].softmax(-1)
    kept = every[:, [5, 0, 2, 3, 4, 6, 7]]  # without contempt
    torch.testing.assert_close(got[:, 1:8], kept / kept.sum(-1, keepdim=True))
    assert ready.unused == ("Contempt",)
    assert "the track has no class Contempt: the others share its probability" in ready.notes


def test_values_alone_say_nothing_of_classes():
    ready = match("hsemotion", AFFECTNET, "va", (VALENCE, AROUSAL))
    assert ready.notes == ()
    assert ready.columns == ((8,), (9,))


def test_without_a_frame_every_class_is_alike():
    ready = match("hsemotion", AFFECTNET, "mtl", (VALENCE, EXPRESSION))
    torch.testing.assert_close(ready.absent(), torch.tensor([0.0, *[1 / 8] * 8]))


@pytest.mark.parametrize(
    ("own", "answers", "code"),
    [
        (FER, (VALENCE,), "ready-no-answer"),
        (FER, (EXPRESSION, Answer("AU1", "binary", -1)), "ready-no-answer"),
        (OwnScores((), ("valence",)), (EXPRESSION,), "ready-no-answer"),
        (FER, (Answer("compound", "class", -1, classes=("Sadly_Angry", "Sadly_Fearful")),), "ready-no-classes"),
        (OwnScores((), ("valence",)), (Answer("valence", "value", -5, low=0.0),), "ready-no-answer"),
    ],
)
def test_a_track_that_is_not_answered_is_one_line(own, answers, code):
    with refused(code, who="it", name="track"):
        match("it", own, "track", answers)


def test_ways_to_write_a_class():
    assert plain("Happy") == plain("joy") == plain(" Happiness ") == "happiness"
    assert plain("Boredom") == "boredom"
    with refused("ready-no-classes", wanted=Part("violent")):
        match("fer", FER, "vd", (Answer("violence", "class", -1, classes=("non-violent", "violent")),))
