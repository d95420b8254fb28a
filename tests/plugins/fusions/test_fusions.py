"""The registered fusions keep the rules, and the built-in ones compute what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from plugins.fusions.concat import Concat
from plugins.fusions.late import Late
from plugins.heads.mlp import Mlp
from zoo.modules import Build
from zoo.testing import check_light

DIMS = {"face": 3, "face.b": 4, "audio": 2}


def test_the_catalogue_is_light():
    check_light("plugins.fusions")


def build(width: int = 2) -> Build:
    return Build(Mlp, width)


def clips(seed: int = 0, dims: dict[str, int] = DIMS):
    torch.manual_seed(seed)
    features = {slot: torch.randn(2, 5, dim) for slot, dim in dims.items()}
    present = {slot: torch.rand(2, 5) > 0.4 for slot in dims}
    for mask in present.values():
        mask[0, 0], mask[1, 1] = True, False  # all slots at one frame, none at another
    return features, present, torch.ones(2, 5, dtype=torch.bool)


@pytest.mark.parametrize("weights", ["learned", "equal"])
def test_late_averages_the_answers_of_the_slots_present(weights):
    """Against a loop over frames in NumPy, with weights that differ by slot and answer."""
    torch.manual_seed(0)
    fusion = Late(DIMS, build(), weights=weights).eval()
    if weights == "learned":
        nn.init.normal_(fusion.logits)
    features, present, valid = clips()
    with torch.no_grad():
        out = fusion(features, present, valid)
        logits = fusion.logits.numpy()
    share = np.exp(logits)
    for b in range(2):
        for t in range(5):
            slots = [i for i, slot in enumerate(DIMS) if present[slot][b, t]] or range(len(DIMS))
            each = np.array([out.per_slot[slot][b, t].numpy() for slot in DIMS])
            expected = sum(each[i] * share[i] for i in slots) / sum(share[i] for i in slots)
            np.testing.assert_allclose(out.raw[b, t].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_late_starts_as_the_plain_average():
    torch.manual_seed(0)
    learned = Late(DIMS, build())
    equal = Late(DIMS, build(), weights="equal")
    equal.load_state_dict({k: v for k, v in learned.state_dict().items() if k != "logits"})
    one, two = (fusion.eval()(*clips()).raw for fusion in (learned, equal))
    torch.testing.assert_close(one, two)


def test_an_absent_slot_has_no_say_in_late():
    fusion = Late(DIMS, build()).eval()
    features, present, valid = clips()
    features["audio"].requires_grad_()
    present["audio"][0, 2], present["face"][0, 2] = False, True
    fusion(features, present, valid).raw[0, 2].sum().backward()
    assert not features["audio"].grad.any()


def test_late_learns_that_an_answer_lives_in_one_slot():
    """The first answer is right in the face and noise in the voice, the second one the other way round."""
    fusion = Late({"face": 1, "audio": 1}, build())
    target, noise = torch.randn(2, 8, 20, 2, generator=torch.Generator().manual_seed(0))
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(2, 1, 1, 2)
    raw = right * target + (1 - right) * noise
    optimiser = torch.optim.Adam([fusion.logits], 0.1)
    for _ in range(100):
        loss = (fusion.combine(raw, torch.ones(2, 8, 20, dtype=torch.bool)) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert fusion.logits.softmax(0)[right.view(2, 2) > 0].min() > 0.95


def test_concat_is_one_predictor_on_the_slots_in_order():
    fusion = Concat(DIMS, build()).eval()
    features, present, valid = clips()
    joined = torch.cat([features["face"], features["face.b"], features["audio"]], -1)
    out = fusion(features, present, valid)
    torch.testing.assert_close(out.raw, fusion.predictor(joined, valid))
    assert out.per_slot == {}


@pytest.mark.parametrize("fusion", [Late, Concat])
def test_shapes_can_be_found_without_numbers(fusion):
    features, present, valid = clips()
    with torch.device("meta"):
        net = fusion(DIMS, build(7))
    meta = [{k: v.to("meta") for k, v in part.items()} for part in (features, present)]
    assert net(*meta, valid.to("meta")).raw.shape == (2, 5, 7)
