"""The masked helpers and base classes, against loops over clips and frames."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.modules import (
    Build,
    DecisionFusion,
    FeatureFusion,
    FrameEncoder,
    Predictor,
    gather,
    masked_mean,
    recur,
    scatter,
)

LENGTHS = torch.tensor([5, 2, 3])
VALID = torch.arange(5) < LENGTHS.unsqueeze(1)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_gather_takes_the_frames_under_the_mask_in_order():
    x, mask = noise(3, 5, 2, 4), noise(3, 5) > 0
    expected = [x[b, t] for b in range(3) for t in range(5) if mask[b, t]]
    assert torch.equal(gather(x, mask), torch.stack(expected).unsqueeze(1))


def test_scatter_is_the_inverse_of_gather_with_zeros_elsewhere():
    x, mask = noise(3, 5, 4), noise(3, 5) > 0
    assert torch.equal(scatter(gather(x, mask), mask), torch.where(mask.unsqueeze(-1), x, 0.0))
    nothing = torch.zeros(3, 5, dtype=torch.bool)
    assert torch.equal(scatter(gather(x, nothing), nothing), torch.zeros(3, 5, 4))


def test_gather_and_scatter_pass_gradients_to_their_frames_only():
    x, mask = noise(3, 5, 4).requires_grad_(), noise(3, 5) > 0
    scatter(gather(x, mask), mask).sum().backward()
    assert torch.equal(x.grad, mask.unsqueeze(-1).float().expand(3, 5, 4))


def test_gather_and_scatter_keep_shapes_where_there_are_no_numbers():
    x, mask = torch.empty(3, 5, 4, device="meta"), torch.empty(3, 5, dtype=torch.bool, device="meta")
    assert gather(x, mask).shape == (15, 1, 4)
    assert scatter(gather(x, mask), mask).shape == (3, 5, 4)


@pytest.mark.parametrize("dim", [0, 1])
def test_masked_mean_against_a_loop(dim):
    x, mask = noise(3, 5), noise(3, 5) > 0.3
    mask[1] = mask[:, 1] = False
    columns = zip(x.unbind(1 - dim), mask.unbind(1 - dim), strict=True)
    expected = torch.stack([v[m].mean() if m.any() else torch.tensor(0.0) for v, m in columns])
    torch.testing.assert_close(masked_mean(x, mask, dim), expected)
    spoilt = torch.where(mask, x, torch.nan)
    torch.testing.assert_close(masked_mean(spoilt, mask, dim), expected)


def test_masked_mean_with_a_mask_that_is_broadcast():
    x = noise(3, 5, 4)
    expected = torch.stack([x[b, :n].mean(0) for b, n in enumerate(LENGTHS)])
    torch.testing.assert_close(masked_mean(x, VALID.unsqueeze(-1), 1), expected)


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize("layers", [1, 2])
def test_recur_runs_each_clip_as_if_it_were_alone(cell, layers):
    torch.manual_seed(0)
    rnn = cell(4, 3, layers, batch_first=True, bidirectional=True)
    x = noise(3, 5, 4)
    out = recur(rnn, x, VALID)
    for b, n in enumerate(LENGTHS):
        torch.testing.assert_close(out[b, :n], rnn(x[b : b + 1, :n])[0][0])
    assert not out[~VALID].any()
    full = torch.ones(3, 5, dtype=torch.bool)
    torch.testing.assert_close(recur(rnn, x, full), rnn(x)[0])


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"bidirectional": True, "bias": False}])
def test_recur_never_reads_padding_and_learns_as_from_packed_clips(cell, options):
    torch.manual_seed(0)
    rnn = cell(4, 3, batch_first=True, **options)
    x, weight = noise(3, 5, 4), noise(3, 5, 3 * (1 + rnn.bidirectional))
    spoilt = torch.where(VALID.unsqueeze(-1), x, torch.nan).requires_grad_()
    packed = pack_padded_sequence(x.requires_grad_(), LENGTHS.clone(), batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=5)[0]
    found = recur(rnn, spoilt, VALID)
    torch.testing.assert_close(found, expected)
    grads = [
        torch.autograd.grad((out * weight).sum(), [*rnn.parameters(), of])
        for out, of in ((found, spoilt), (expected, x))
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
def test_recur_is_in_float32_where_the_processor_has_no_bfloat16(monkeypatch, layers, given):
    """Such processors have no LSTM in it, and everything else is slower there."""
    monkeypatch.setattr("zoo.layers.masked.computes_bfloat16", lambda _: False)
    rnn = nn.LSTM(4, 3, layers, batch_first=True, bidirectional=True)
    x, full = noise(3, 5, 4).to(given), torch.ones(3, 5, dtype=torch.bool)
    for valid in (VALID, full):
        with torch.autocast("cpu", torch.bfloat16):
            out = recur(rnn, x, valid)
        assert torch.equal(out, recur(rnn, x.float(), valid))


def test_recur_with_a_clip_without_a_valid_frame_and_without_numbers():
    rnn = nn.GRU(4, 3, batch_first=True)
    valid = VALID.clone()
    valid[1] = False
    out = recur(rnn, noise(3, 5, 4), valid)
    assert out.shape == (3, 5, 3)
    assert not out[1].any()
    meta = recur(rnn.to("meta"), torch.empty(3, 5, 4, device="meta"), torch.empty(3, 5, device="meta").bool())
    assert meta.shape == (3, 5, 3)


class Mean(FrameEncoder):
    def __init__(self):
        super().__init__(dim=3, input=None)

    def encode(self, images):
        assert images.dim() == 4
        return images.mean((2, 3))


def test_a_frame_encoder_sees_single_images():
    x = noise(2, 5, 3, 4, 4)
    torch.testing.assert_close(Mean()(x), x.mean((3, 4)))


class Head(nn.Linear):
    """(B, T, dim) -> (B, T, 2)."""

    def __init__(self, dim):
        super().__init__(dim, 2)
        self.out_dim = 2

    def forward(self, x, valid):
        return super().forward(x) * valid.unsqueeze(-1)


def test_a_predictor_is_head_then_output():
    build = Build(Head, width=7)
    predictor = build.predictor(4).eval()
    assert isinstance(predictor, Predictor)
    x = noise(3, 5, 4)
    torch.testing.assert_close(predictor(x, VALID), predictor.output(predictor.head(x, VALID)))
    assert predictor(x, VALID).shape == (3, 5, 7)


def test_the_output_layer_has_the_dropout_it_was_asked_for():
    assert Build(Head, 7, dropout=0.3).output(4)[0].p == 0.3


DIMS = {"face.b": 2, "audio": 3}
FEATURES = {"audio": noise(3, 5, 3), "face.b": noise(3, 5, 2)}  # in another order than the slots
PRESENT = {"audio": noise(3, 5, 1, 1)[..., 0, 0] > 0, "face.b": VALID}


class Sum(DecisionFusion):
    def combine(self, raw, present):
        assert raw.shape == (2, 3, 5, 4)
        assert torch.equal(present, torch.stack([PRESENT["face.b"], PRESENT["audio"]]))
        return raw.sum(0)


def test_a_decision_fusion_has_a_predictor_a_slot_in_the_order_of_the_slots():
    fusion = Sum(DIMS, Build(Head, 4)).eval()
    out = fusion(FEATURES, PRESENT, VALID)
    each = [net(FEATURES[slot], VALID) for slot, net in zip(DIMS, fusion.predictors, strict=True)]
    torch.testing.assert_close(out.raw, each[0] + each[1])
    assert list(out.per_slot) == list(DIMS)
    torch.testing.assert_close(out.per_slot["audio"], each[1])


class Joined(FeatureFusion):
    def fuse(self, features, present, valid):
        return torch.cat([features[slot] for slot in self.slots], -1)


def test_a_feature_fusion_has_one_predictor_on_what_fuse_gives():
    fusion = Joined(DIMS, Build(Head, 4), dim=5).eval()
    out = fusion(FEATURES, PRESENT, VALID)
    joined = torch.cat([FEATURES["face.b"], FEATURES["audio"]], -1)
    torch.testing.assert_close(out.raw, fusion.predictor(joined, VALID))
    assert (out.per_slot, out.aux) == ({}, {})
