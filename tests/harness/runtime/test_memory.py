"""Memory runs out in evaluation and in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.evaluation.prediction import answers
from harness.runtime import memory
from tests.harness.evaluation.test_prediction import TRACK, Echo, clips
from tests.support.refusals import Part, Refusal, refused
from zoo.model.model import Batch, Model

OUT = "CUDA out of memory. Tried to allocate 20.00 MiB."
CPU = torch.device("cpu")


class Tight(Echo):
    """Has no memory for more than ``most`` clips at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, batch: Batch):
        if len(batch.valid) > self.most:
            raise torch.OutOfMemoryError(OUT)
        return super().forward(batch)


def test_what_a_lack_of_memory_looks_like() -> None:
    assert memory.out_of_memory(torch.OutOfMemoryError(OUT))
    assert memory.out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert memory.out_of_memory(caught.value)
    assert not memory.out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize("most", [7, pytest.param(3, marks=pytest.mark.slow), 1])
def test_evaluation_goes_on_with_half_the_windows(most: int) -> None:
    wanted = next(answers(Echo(), clips(), TRACK, length=8, batch=8, device=CPU))
    with memory.track_batch_reductions() as noted:
        got = next(answers(Tight(most), clips(), TRACK, length=8, batch=8, device=CPU))
    np.testing.assert_array_equal(got.values["valence"], wanted.values["valence"])
    assert noted == [{"where": "evaluation", "batch": {7: 4, 3: 2, 1: 1}[most]}]


@pytest.mark.parametrize(
    ("full", "refusal"),
    [
        (True, refused("evaluation-no-memory", option="train.evaluation=windows")),
        (False, refused("evaluation-no-memory", option=Part("shorter train.clip"))),
    ],
)
def test_no_memory_for_one_window_is_said(full: bool, refusal: Refusal) -> None:
    with refusal:
        next(answers(Tight(0), clips(), TRACK, length=8, batch=8, device=CPU, full=full))


def test_other_errors_in_evaluation_are_raised() -> None:
    class Broken(Echo):
        def forward(self, batch: Batch):
            raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        next(answers(Broken(), clips(), TRACK, length=8, batch=8, device=CPU))


def limit(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """A machine with memory for ``most`` frames in a training step, and for any evaluation."""
    whole = Model.forward

    def forward(self: Model, batch: Batch):
        if self.training and batch.valid.numel() > most:
            raise torch.OutOfMemoryError(OUT)
        return whole(self, batch)

    monkeypatch.setattr(Model, "forward", forward)


@pytest.mark.parametrize(
    ("most", "said"),
    [
        pytest.param(70, "train.batch=2 or train.clip=12 fits", marks=pytest.mark.slow),
        (24, "train.batch=1 or train.clip=6 fits"),
        pytest.param(3, "nor for one clip or one frame of each", marks=pytest.mark.slow),
    ],
)
def test_training_stops_and_says_what_fits(
    program, tmp_path: Path, record, monkeypatch: pytest.MonkeyPatch, most: int, said: str
) -> None:
    settings = ("--encoders", "face", "--epochs", 1, "--set", "train.batch=4", "--set", "train.clip=24")
    with monkeypatch.context() as patch:
        limit(patch, most)
        answer = program("run", "--data", program.demo, "--out", tmp_path, "--name", "large", *settings)
    assert answer.code == 2
    (line,) = answer.err.strip().splitlines()
    assert "no memory on cpu for a training step with train.batch=4, train.clip=24" in line
    assert said in line
    assert record(tmp_path / "large")["status"] == "failed"
    if most == 70:  # what it says fits does
        with monkeypatch.context() as patch:
            limit(patch, most)
            program.run(tmp_path, "smaller", *settings[:-4], "--set", "train.batch=2", "--set", "train.clip=24")


@pytest.mark.slow
def test_a_halved_evaluation_is_in_the_record(program, tmp_path: Path, record, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Model.forward

    def forward(self: Model, batch: Batch):
        if not self.training and len(batch.valid) > 1:
            raise torch.OutOfMemoryError(OUT)
        return whole(self, batch)

    monkeypatch.setattr(Model, "forward", forward)
    folder = program.run(tmp_path, "tight", "--encoders", "face", "--epochs", 1, "--set", "train.clip=8")
    assert record(folder)["circumstances"]["out_of_memory"] == [{"where": "evaluation", "batch": 1}]
