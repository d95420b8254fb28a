"""Parameters and multiply-adds against sums by hand."""

from __future__ import annotations

import pytest
import torch

from tests.zoo.model.test_model import ANSWERS, COUNTS, REGISTRY, SMALL
from zoo.model import cost as cost_module
from zoo.model.cost import cost, fusion_adds
from zoo.model.model import Model, Regularisation
from zoo.model.shape_check import check
from zoo.registry.plan import make_plan

VA = ANSWERS[:2]
DIMS = {"face": 8, "context": 8}


def plan(encoders: str, fusion: str = "concat", head: str = "lstm", **options):
    return make_plan(REGISTRY, encoders=encoders, fusion=fusion, head=head, answers=VA, options=options)


def test_the_sum_by_hand():
    """ResNet-18 at 112 x 112: 0.486 billion by torchvision's and timm's tables (1.82 at 224, a quarter, no classifier)."""
    made = plan("face=timm:resnet18", **{"head.hidden": 16, "encoder.face.pretrained": False, "encoder.face.size": 112})
    found = cost(made, {"face": 512}, COUNTS[:2], SMALL, Regularisation(), 8)
    adds = found["multiply_adds"]
    assert adds["encoder face"] == pytest.approx(0.486e9, rel=0.03)
    adapter, lstm, output = 512 * 6, 2 * 4 * 16 * (6 + 16), 32 * 2
    assert adds["fusion and heads"] == adapter + lstm + output
    assert adds["total"] == adds["encoder face"] + adds["fusion and heads"]
    model = Model(made, {"face": 512}, COUNTS[:2], SMALL, Regularisation())
    assert found["parameters"] == {"trained": sum(p.numel() for p in model.parameters()), "frozen": 0}


def test_frozen_encoders_are_counted_apart():
    made = plan("face,audio", head="gru")
    found = cost(made, check(made, SMALL)["dims"], COUNTS[:2], SMALL, Regularisation(), 8)
    assert found["parameters"]["frozen"] == pytest.approx(3.4e6, rel=0.03)  # lite0 without its classifier
    assert found["multiply_adds"]["encoder audio"] > 0


def test_an_encoder_is_counted_once_for_all_runs_of_a_process(monkeypatch):
    """What is kept is found by the encoder and the length of the clip."""
    made = plan("face=timm:test_resnet,audio", **{"encoder.face.pretrained": False})
    dims, known = check(made, SMALL)["dims"], {}

    def found(length: int):
        return cost(made, dims, COUNTS[:2], SMALL, Regularisation(), length)

    monkeypatch.setattr(cost_module, "_KNOWN", known)
    first, longer = found(8), found(16)
    assert len(known) == 4
    assert longer["multiply_adds"]["encoder audio"] != first["multiply_adds"]["encoder audio"]  # margins weigh less
    monkeypatch.setattr(cost_module, "_run_encoder", None)
    assert (found(8), found(16)) == (first, longer)


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in ("fusions", "heads") for n in REGISTRY.names(k)])
def test_every_block_is_counted(kind, name):
    chosen = {"fusions": {"fusion": name, "head": "gru"}, "heads": {"head": name}}[kind]
    with torch.device("meta"):
        model = Model(plan("face,context", **chosen), DIMS, COUNTS[:2], SMALL, Regularisation())
    found = fusion_adds(model, DIMS, 4)
    assert found is not None
    assert found > 0


@pytest.mark.parametrize("head", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_recurrent_nets_cost_what_their_steps_cost_one_by_one(head: str, bidirectional: bool) -> None:
    made = plan("face", head=head, **{"head.layers": 2, "head.bidirectional": bidirectional})
    with torch.device("meta"):
        model = Model(made, {"face": 8}, COUNTS[:2], SMALL, Regularisation())
    step_by_step = cost_module._counted(lambda: cost_module._run_fusion(model, {"face": 8}, 6), 6)
    assert step_by_step is not None
    assert fusion_adds(model, {"face": 8}, 6) == step_by_step
    assert not any("forward" in vars(net) for net in model.modules()), "they compute again"
