"""What is found wrong before a training begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from harness.batching.clips import stride_of
from harness.config.schema import RunConfig, Train, with_settings
from harness.runs.preparation import _check_strides
from tests.support.refusals import refused


def test_a_rate_that_takes_less_than_a_frame_of_a_clip() -> None:
    strides = [stride_of(np.arange(40) / 30, 0.5), stride_of(np.arange(40) / 60, 0.5)]
    clips = cast(Any, SimpleNamespace(videos=[SimpleNamespace(name="a"), SimpleNamespace(name="b")], strides=strides))
    _check_strides(clips, Train(fps=0.5, clip=120))
    with refused("stride-of-fps", fps=0.5, stride=120, video="b", clip=64):
        _check_strides(clips, Train(fps=0.5, clip=64))


@pytest.mark.parametrize("name", ["train.fps", "train.lr", "distill.temperature"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_of_the_settings_are_finite(name: str, value: float) -> None:
    with refused("setting-invalid", where="--set"):
        with_settings(RunConfig(), {name: value}, "--set")
