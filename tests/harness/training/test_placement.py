"""Precision, batch norms, the sharing out of work, and what a record says of cost and speed."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.config.schema import Train
from harness.runtime.distributed import World, single_process
from harness.runtime.precision import autocast
from harness.training.placement import freeze, place
from tests.support.refusals import refused
from tests.zoo.model.test_regularisation import labelled_batch, model
from zoo.model.mixup import Objective

CPU = torch.device("cpu")


def test_bfloat16_networks_float32_losses() -> None:
    """The loss of bfloat16 answers, to the last bit that of float32 arithmetic on them."""
    net, clips = model().eval(), labelled_batch()
    with autocast(CPU, "bf16-mixed"):
        out = net(clips)
        loss, _ = net.loss(out, clips)
    assert out.raw.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    loss = loss.detach()
    out.raw = out.raw.float()
    assert torch.equal(loss, net.loss(out, clips)[0])
    exact = Objective(net)(clips)[0].detach()
    assert 0 < abs(float(loss - exact)) < 0.02 * float(exact)


@pytest.mark.slow
def test_a_run_in_bfloat16_is_close_to_one_in_float32(program, tmp_path: Path, record) -> None:
    sets = [part for text in ("train.epochs=2", "train.clip=8", "train.batch=4") for part in ("--set", text)]
    exact, rough = (
        record(program.run(tmp_path, name, "--encoders", "audio", *sets, "--precision", name))
        for name in ("32", "bf16-mixed")
    )
    mains = [one["result"]["scores"]["raw"]["main"] for one in (exact, rough)]
    assert 0 < abs(mains[0] - mains[1]) < 0.03
    assert rough["result"]["config"]["train"]["precision"] == "bf16-mixed"
    for one in (exact, rough):
        assert one["result"]["multiply_adds"]["total"] > 0
        assert one["result"]["parameters"]["trained"] > 0
        rates = one["circumstances"]["frames_per_second"]
        assert rates["train"] > 0
        assert rates["evaluate"] > 0


class WithNorm(nn.Module):
    """A model with one trained encoder that has a batch norm."""

    adapted: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({"face": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))})
        self.encoders["face"].input = None


def test_frozen_batch_norms_keep_their_statistics() -> None:
    net = WithNorm().train()
    freeze(net, Train(batch_norm="frozen"))  # type: ignore[arg-type]
    net.encoders["face"](torch.randn(2, 3, 5, 5))
    assert not net.encoders["face"][1].running_mean.any()
    freeze(net.train(), Train())  # type: ignore[arg-type]
    net.encoders["face"](torch.randn(2, 3, 5, 5))
    assert net.encoders["face"][1].running_mean.any()


def test_two_processors_cannot_synchronise_batch_norms() -> None:
    with refused("batch-norm-without-gpu"):
        place(WithNorm(), World(CPU, 0, 2), Train())  # type: ignore[arg-type]
    place(WithNorm(), World(CPU, 0, 2), Train(batch_norm="frozen"))  # type: ignore[arg-type]
    place(WithNorm(), single_process(CPU), Train())  # type: ignore[arg-type]


@pytest.mark.parametrize("here", [True, False])
def test_bfloat16_where_the_processor_has_none_is_told(monkeypatch: pytest.MonkeyPatch, here: bool) -> None:
    monkeypatch.setattr("harness.runtime.precision.computes_bfloat16", lambda _: here)
    with warnings.catch_warnings(record=True) as said:
        for precision in ("32", "bf16-mixed"):
            place(WithNorm(), single_process(CPU), Train(precision=precision))  # type: ignore[arg-type]
    assert [str(one.message).partition(":")[0] for one in said] == ["--precision bf16-mixed"] * (not here)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_video_is_dealt_once_and_evenly(size: int) -> None:
    frames = [5000, 20, 300, 4000, 1000, 900, 20]
    hands = [World(CPU, rank, size).shard(frames) for rank in range(size)]
    assert sorted(i for hand in hands for i in hand) == list(range(len(frames)))
    assert max(sum(frames[i] for i in hand) for hand in hands) <= max(5000, sum(frames) / size * 4 / 3)
