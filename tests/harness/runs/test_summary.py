"""Sentences of a run's last words that depend on its figures: each is there where it is true, and only there."""

from __future__ import annotations

from typing import Any

import pytest

from harness.runs.remarks import choice_lines, present_lines, reference_lines, steepness_lines


def result(**more: Any) -> dict[str, Any]:
    return {"scores": {"raw": {"main": 0.5}}, **more}


def test_a_run_that_loses_to_the_plain_reference_says_so() -> None:
    reference: Any = {"main": 0.6, "slots": ["face", "audio"]}
    lines = reference_lines(result(reference=reference))
    assert lines[0].endswith("frozen features (face, audio): 0.6000; the raw score is 0.5000")
    assert lines[1].startswith("warning: this run scores below the plain reference")
    assert len(reference_lines(result(reference={**reference, "main": 0.5}))) == 1
    assert reference_lines(result(reference=None)) == reference_lines({"scores": {}, "reference": reference}) == []


def test_folds_are_compared_with_the_reference_by_their_mean() -> None:
    folds: Any = {"scores": {"raw": {"main": 0.7, "fold_mean": 0.5}}, "reference": {"main": 0.6, "slots": ["face"]}}
    lines = reference_lines(folds)
    assert "the mean of the folds' raw scores is 0.5000" in lines[0]
    assert len(lines) == 2


@pytest.mark.parametrize(("fall", "warned"), [(None, False), (0.05, False), (0.1251, True), (0.3, True)])
def test_a_loss_that_was_still_falling_is_warned_of(fall: float | None, warned: bool) -> None:
    lines = steepness_lines(result(late_fall=fall))
    assert bool(lines) == warned
    assert steepness_lines(result()) == []  # a record of before it was measured


def test_absent_classes_are_named_beside_the_score_without_them() -> None:
    block: Any = {"main": 0.4, "over_present": 0.5, "absent": ["Fear", "AU26"]}
    (line,) = present_lines({"scores": {"raw": block, "raw_with_face": block}})
    assert line.startswith("raw: 0.5000 with F1 over the classes in the labels; Fear, AU26 are absent and count")
    block["over_present"] = 0.4
    assert present_lines({"scores": {"raw": block}}) == []
    assert present_lines(result()) == []


@pytest.mark.parametrize(
    ("selected", "said"),
    [
        (["epoch"], "the epoch was chosen by 7 scores on the same validation videos"),
        (["learning rate"], "the learning rate was lowered by 7 scores on the same validation videos"),
        (["epoch", "learning rate"], "the epoch was chosen and the learning rate was lowered by 7 scores"),
        (None, "the epoch was chosen by 7 scores"),
    ],
)
def test_whatever_validation_scores_decided_is_told(selected: list[str] | None, said: str) -> None:
    more: Any = {} if selected is None else {"selected": selected}
    made: Any = {"selection_split": "val", "n_selections": 7, **more}
    (line,) = choice_lines(made)
    assert line.startswith(said)
    assert line.endswith("the score is optimistic")
