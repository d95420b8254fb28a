"""The assembled network: every built-in combination fits, wrong blocks are found before training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.refusals import Refusal, refused
from zoo import api
from zoo.api import Answer, Counts
from zoo.model import shape_check
from zoo.model.model import AdapterOptions, Batch, Model, Regularisation
from zoo.model.shape_check import check
from zoo.modules import FrameEncoder
from zoo.registry.plan import Block, Plan, SlotPlan, make_plan
from zoo.registry.registry import load

ANSWERS = (
    Answer("valence", "value", -5),
    Answer("arousal", "value", -5),
    Answer("expression", "class", -1, ("a", "b", "c")),
    Answer("AU1", "binary", -1),
    Answer("AU2", "binary", -1),
)
COUNTS = (Counts(9, (1,) * 20), Counts(9, (1,) * 20), Counts(9, (3, 3, 3)), Counts(9, (6, 3)), Counts(9, (6, 3)))
REGISTRY = load()
SMALL = AdapterOptions("pca", 4, 6, 0.0)


def plan(encoders: str = "face,context", fusion: str = "late", head: str = "gru") -> Plan:
    return make_plan(REGISTRY, encoders=encoders, fusion=fusion, head=head, answers=ANSWERS)


def batch(clips: int = 3, frames: int = 5, dims: dict[str, int] | None = None) -> Batch:
    torch.manual_seed(1)
    dims = dims or {"face": 8, "context": 8}
    on = torch.ones(clips, frames, dtype=torch.bool)
    labelled = torch.ones(clips, frames, len(ANSWERS), dtype=torch.bool)
    return Batch(
        {s: torch.randn(clips, frames, d) for s, d in dims.items()},
        {},
        dict.fromkeys(dims, on),
        on,
        torch.zeros(clips, frames, len(ANSWERS)),
        labelled,
    )


def model(**more: Any) -> Model:
    torch.manual_seed(0)
    return Model(plan(), {"face": 8, "context": 8}, COUNTS, SMALL, **more)


class _Stub(FrameEncoder):
    def __init__(self, stream: str, argument: str | None, dim: int = 10) -> None:
        super().__init__(dim=dim, input=api.FrameInput(8, (0.5,) * 3, (0.5,) * 3))

    def encode(self, images: Tensor) -> Tensor:
        return images.new_zeros(len(images), self.dim)


def stub(slot: SlotPlan, dim: int = 10, build: Callable[..., nn.Module] = _Stub, **options: object) -> SlotPlan:
    """The slot with an encoder that computes nothing; real ones are checked in tests/plugins/encoders."""
    stream = replace(slot.stream, kind="frames")
    spec = api.EncoderSpec("stub", build)
    return replace(slot, stream=stream, encoder=spec, options={"dim": dim, **options}, frozen=False, passport=None)


def combinations() -> list[Any]:
    """Every head with a fusion that averages and one that attends, every fusion with a head that looks at other
    frames and one that does not. A head and a fusion meet through zoo.modules.Build alone, so that the other pairs
    are left to the long suite."""
    quick = ({"late", "transformer"}, {"gru", "mlp"})
    pairs = [(fusion, head) for fusion in REGISTRY.names("fusions") for head in REGISTRY.names("heads")]
    marks = {True: [], False: [pytest.mark.slow]}
    return [pytest.param(f, h, id=f"{f}-{h}", marks=marks[f in quick[0] or h in quick[1]]) for f, h in pairs]


@pytest.mark.parametrize(("fusion", "head"), combinations())
def test_every_combination_fits(fusion: str, head: str) -> None:
    tried = plan("face,body,audio", fusion, head)
    found = check(replace(tried, slots=tuple(map(stub, tried.slots, (6, 10, 4)))), SMALL)
    assert found["dims"] == {"face": 6, "body": 10, "audio": 4}
    assert found["raw"] == 2 + 3 + 2


def test_the_default_encoders_fit() -> None:
    assert check(plan("face,body,audio"), SMALL)["dims"] == {"face": 1280, "body": 1280, "audio": 64}


class _Counted(_Stub):
    built = 0

    def __init__(self, stream: str, argument: str | None, dim: int = 10, words: Any = None) -> None:
        super().__init__(stream, argument, dim)
        type(self).built += 1


def test_an_encoder_is_tried_once_for_all_runs_of_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def builds(**given: Any) -> int:
        _Counted.built = 0
        slot = stub(good.slots[0], build=_Counted, **{k: v for k, v in given.items() if k != "argument"})
        slot = replace(slot, slot=replace(slot.slot, argument=given.get("argument")))
        for _ in range(2):
            assert check(replace(good, slots=(slot,)), SMALL)["dims"] == {"face": slot.options["dim"]}
        return _Counted.built - again

    monkeypatch.setattr(shape_check, "_TRIED", {})
    good, again = plan("face"), 2  # slots that are trained are built for the model as well
    assert builds() == 1
    assert builds() == 0
    assert builds(dim=11) == 1
    assert builds(dim=11, argument="a name") == 1
    assert builds(words=["not hashable"]) == 2
    for changing in ({"argument": str(tmp_path)}, {"words": str(tmp_path)}):
        assert builds(**changing) == 2


def test_decode_gives_the_answers_in_their_order() -> None:
    net = model().eval()
    decoded = net.decode(net(batch()).raw)
    assert decoded.shape == (3, 5, 7)
    assert decoded[..., :2].abs().max() <= 1
    torch.testing.assert_close(decoded[..., 2:5].sum(-1), torch.ones(3, 5))
    assert ((decoded[..., 5:] >= 0) & (decoded[..., 5:] <= 1)).all()


def test_an_absent_slot_and_unlabelled_frames_get_no_gradient() -> None:
    net, clips = model().eval(), batch()
    present = {"face": clips.present["face"], "context": torch.zeros_like(clips.present["context"])}
    clips = replace(clips, present=present, features={k: v.requires_grad_() for k, v in clips.features.items()})
    loss, _ = net.loss(net(clips), clips)
    loss.backward()
    assert clips.features["face"].grad is not None
    assert clips.features["face"].grad.abs().sum() > 0
    assert clips.features["context"].grad is None or clips.features["context"].grad.abs().sum() == 0
    nothing = replace(clips, labelled=torch.zeros_like(clips.labelled))
    loss, _ = net.loss(net(nothing), nothing)
    assert loss.item() == 0
    loss.backward()


def test_modality_dropout_drops_whole_slots_and_never_the_last() -> None:
    net = model(regularisation=Regularisation(modality_dropout=0.9))
    on = torch.ones(2000, 3, dtype=torch.bool)
    partly = on.clone()
    partly[:1000] = False
    torch.manual_seed(0)
    clips = replace(
        batch(2000, 3),
        present={"face": on, "context": partly},
        valid=on,
        labelled=torch.ones(2000, 3, len(ANSWERS), dtype=torch.bool),
    )
    kept = net.drop(clips).present
    assert kept["face"][:1000].all()  # the only one present
    per_clip = torch.stack([kept["face"], kept["context"]])[:, 1000:]
    assert torch.equal(per_clip.any(-1), per_clip.all(-1))
    assert per_clip.any(0).all()
    both = per_clip[:, :, 0].all(0).float().mean().item()
    assert 0.05 < both < 0.16  # one is spared, the other kept with 10 %


def test_answers_are_the_same_alone_and_in_a_batch_and_padded() -> None:
    net, clips = model().eval(), batch()
    whole = net(clips).raw
    alone = net(_rows(clips, slice(0, 1))).raw
    torch.testing.assert_close(whole[:1], alone, atol=1e-6, rtol=1e-5)
    padded = _padded(clips, 4)
    torch.testing.assert_close(net(padded).raw[:, :5], whole, atol=1e-6, rtol=1e-5)


def _rows(clips: Batch, rows: slice) -> Batch:
    return Batch(
        {k: v[rows] for k, v in clips.features.items()},
        {},
        {k: v[rows] for k, v in clips.present.items()},
        clips.valid[rows],
        clips.target[rows],
        clips.labelled[rows],
    )


def _padded(clips: Batch, by: int) -> Batch:
    def pad(x: Tensor, value: float) -> Tensor:
        return torch.cat([x, torch.full_like(x[:, :1].repeat_interleave(by, 1), value)], 1)

    features = {k: pad(v, 7.0) for k, v in clips.features.items()}
    return Batch(
        features,
        {},
        {k: pad(v, 0) for k, v in clips.present.items()},
        pad(clips.valid, 0),
        pad(clips.target, 0),
        pad(clips.labelled, 0),
    )


class _Liar(_Stub):
    def encode(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


class _Undeclared(nn.Module):
    def __init__(self, stream: str, argument: str | None) -> None:
        super().__init__()


class _ShortHead(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim + 1
        self.net = nn.Linear(dim, dim)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return self.net(x)


@pytest.mark.parametrize(
    ("build", "refusal"),
    [
        (_Liar, refused("block-shape", who="encoder 'liar'", found="(2, 3, 3)")),
        (_Undeclared, refused("encoder-declares-nothing", name="liar", name2="face")),
    ],
)
def test_an_encoder_that_is_not_what_it_says_is_found(build: type, refusal: Refusal) -> None:
    good = plan("face")
    slot = replace(good.slots[0], encoder=api.EncoderSpec("liar", build), options={}, frozen=False, passport=None)
    for _ in range(2):  # what failed is not remembered as tried
        with refusal:
            check(replace(good, slots=(slot,)), SMALL)


def test_a_head_that_is_not_what_it_says_is_found() -> None:
    good = plan("face")
    with refused("block-shape", who="head 'short'", found="(2, 3, 6)"):
        check(replace(good, head=Block(api.HeadSpec("short", _ShortHead), {})), SMALL)
