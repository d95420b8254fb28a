"""Memory runs out in evaluation and in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.batching.windows import Window
from harness.config.schema import Train
from harness.evaluation.prediction import answers
from harness.runtime import memory
from harness.runtime.distributed import single_process
from harness.training import memory_limits
from tests.harness.batching.test_clips import data
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


@pytest.mark.parametrize("stride", [1, 3])
def test_sizes_are_tried_with_all_the_frames_of_a_clip(stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for 8 frames: of batches of 4 clips of 8 frames, one clip fits, or four of 2 frames."""
    tried: list[int] = []

    def loss(model: object, batch: Batch, mixup: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        tried.append(int(batch.valid.sum()))
        if tried[-1] > 8:
            raise torch.OutOfMemoryError(OUT)
        return torch.zeros((), requires_grad=True), {}

    monkeypatch.setattr(memory_limits, "training_loss", loss)
    videos = data(lengths=(64,) * 4, stride=stride)
    windows = [Window(v, 0, 8 * stride) for v in range(4)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    error = memory_limits.too_large(
        torch.nn.Identity(),  # type: ignore[arg-type]
        videos,
        windows,
        Train(batch=4, clip=8),
        optimizer,
        single_process(CPU),
    )
    assert tried == [16, 8, 16, 8]
    refused("training-no-memory-but", names="train.batch=1 or train.clip=2").check(error)


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
