"""Training with adapters: what is in training mode, which groups there are, and what a step changes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("peft", reason="peft is an extra (lora)")

from harness.config.schema import RunConfig, Train
from harness.runtime.distributed import single_process
from harness.training import compiling, placement
from harness.training.checks import check_training
from harness.training.freezing import Freezing
from harness.training.optimizers import make_optimizer, running_average
from harness.training.parameter_groups import parameter_groups
from harness.training.recompute import checkpoint_gradients
from tests.support.refusals import refused
from tests.zoo.model.test_model import ANSWERS, COUNTS, REGISTRY, SMALL
from zoo.api import FrameInput
from zoo.model.lora import attach_all, is_adapter, learned_state, load_learned
from zoo.model.model import Batch, Model
from zoo.modules import FrameEncoder
from zoo.registry.lora import Lora
from zoo.registry.plan import Plan, make_plan

FACE = "encoders.face."
LORA = Lora(rank=2, alpha=4, dropout=0.5, targets="auto", rslora=False, dora=False)


class Normed(FrameEncoder):
    """Three blocks with batch norm and dropout, all of which must stay in eval mode."""

    def __init__(self, stream: str, argument: str | None) -> None:
        super().__init__(8, FrameInput(4, (0.5,) * 3, (0.5,) * 3))
        self.stem = nn.Linear(48, 8)
        blocks = [nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)) for _ in range(3)]
        self.blocks = nn.ModuleList(blocks)

    def encode(self, images: Tensor) -> Tensor:
        x = self.stem(images.flatten(1))
        for block in self.blocks:
            x = x + block(x)
        return x


def plan_of(lora: Lora = LORA) -> Plan:
    plan = make_plan(REGISTRY, encoders="face", fusion="concat", head="mlp", answers=ANSWERS)
    slot = plan.slots[0]
    spec = replace(slot.encoder, build=Normed)
    return replace(plan, slots=(replace(slot, encoder=spec, options={}, frozen=False, lora=lora),))


def adapted(lora: Lora = LORA) -> Model:
    torch.manual_seed(0)
    plan = plan_of(lora)
    net = Model(plan, {"face": 8}, COUNTS, SMALL)
    attach_all(net, plan)
    for name, parameter in net.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    return net


def batch() -> Batch:
    torch.manual_seed(1)
    on = torch.ones(2, 3, dtype=torch.bool)
    frames = torch.randint(0, 256, (2, 3, 4, 4, 3), dtype=torch.uint8)
    width = sum(answer.width for answer in ANSWERS)
    return Batch(
        {},
        {"face": {"frames": frames}},
        {"face": on},
        on,
        torch.rand(2, 3, width),
        on.unsqueeze(-1).expand(2, 3, width),
    )


def begun(net: Model, settings: Train, epoch: int = 0) -> Model:
    """Return a model in the modes in which an epoch is trained."""
    freezing = Freezing(net, settings)
    net.train()
    freezing.apply(epoch)
    return net


def loss(net: Model) -> Tensor:
    return net(batch()).raw.square().mean()


def test_all_but_the_adapters_is_in_eval_mode() -> None:
    net = begun(adapted(), Train())
    modes = {name: part.training for name, part in net.encoders.named_modules() if name}
    assert {name for name, trained in modes.items() if trained} == {name for name in modes if is_adapter(name)}
    assert net.fusion.training
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    loss(net)
    assert all(bool((tensor == before[name]).all()) for name, tensor in net.state_dict().items())


def test_adapters_stay_as_they_are_until_they_are_unfrozen() -> None:
    settings = Train(unfreeze=1, frozen_layers=2)
    net = begun(adapted(), settings)
    assert not any(parameter.requires_grad for parameter in net.encoders.parameters())
    assert not any(part.training for part in net.encoders.modules() if isinstance(part, nn.Dropout))
    begun_again = Freezing(adapted(), settings)
    begun_again.apply(1)
    (encoder,) = begun_again.encoders
    trained = {name.split(".")[1] for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained == {"1", "2"}  # layer 0 is the stem, and layer 1 the first block


@pytest.mark.parametrize("settings", [{"frozen_layers": 3}, {"frozen_layers": 3, "unfreeze_every": 1}])
def test_adapters_that_would_never_be_trained_are_refused(settings: dict[str, int]) -> None:
    """Layer 0 is the stem, and layer 1 the first block."""
    low, high = (replace(LORA, targets=rf"blocks\.{block}\.") for block in (0, 2))
    config = RunConfig(train=Train(**settings))  # type: ignore[arg-type]
    check_training(plan_of(high), config)
    with refused("trains-nothing", slot="face", frozen=3):
        check_training(plan_of(low), config)


def test_adapters_have_groups_of_their_own_with_the_encoder_s_rate() -> None:
    net = adapted(replace(LORA, dora=True))
    for settings, rate in ((Train(lr=1e-2), 1e-2), (Train(lr=1e-2, encoder_lr=1e-3), 1e-3)):
        groups = [group for group in parameter_groups(net, settings) if group.encoder]
        names = {name for group in groups for name in group.names}
        assert names == {f"{FACE}{n}" for n, _ in net.encoders["face"].named_parameters() if is_adapter(n)}
        assert {group.lr for group in groups} == {rate}
        undecayed = {name for group in groups if not group.weight_decay for name in group.names}
        assert undecayed == {name for name in names if "lora_magnitude" in name}


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_steps_move_the_adapters_and_leave_the_rest_bit_for_bit(average: str) -> None:
    settings = Train(lr=1e-2, average=average, ema_decay=0.9)
    net = begun(adapted(), settings)
    before = copy.deepcopy(net.state_dict())
    optimizer, mean = make_optimizer(net, settings, parameter_groups(net, settings)), running_average(net, settings)
    for _ in range(5):
        optimizer.zero_grad()
        loss(net).backward()
        optimizer.step()
        mean.update_parameters(net)
    for state in (net.state_dict(), mean.module.state_dict()):
        for name, tensor in state.items():
            if name.startswith(FACE):
                assert bool((tensor != before[name]).any()) == is_adapter(name), name


def test_the_learned_state_is_enough_beside_the_same_base() -> None:
    net = adapted()
    state = learned_state(net)
    assert {name for name in state if name.startswith(FACE)} == {
        f"{FACE}{name}" for name in net.encoders["face"].state_dict() if is_adapter(name)
    }
    other = adapted()
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name in state:
                parameter.add_(1)
    load_learned(other, state)
    torch.testing.assert_close(other.eval()(batch()).raw, net.eval()(batch()).raw, rtol=0, atol=0)
    del state[next(name for name in state if is_adapter(name))]
    with pytest.raises(RuntimeError, match="Missing key"):
        load_learned(other, state)


def gradients(net: Model) -> dict[str, Tensor]:
    torch.manual_seed(3)
    loss(net).backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def test_gradient_checkpointing_keeps_less_and_gives_the_same_gradient() -> None:
    plain, other = begun(adapted(), Train()), adapted()
    checkpoint_gradients(other, Train(grad_checkpoint="encoders"))
    begun(other, Train())
    kept: list[int] = []
    found = []
    for net in (plain, other):
        kept.append(0)

        def keep(x: Tensor) -> Tensor:
            kept[-1] += x.nbytes
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            found.append(gradients(net))
    assert kept[1] < kept[0]
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-6, atol=1e-7)


def test_compiled_adapters_give_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    lora = replace(LORA, dropout=0.0)
    plain, other = begun(adapted(lora), Train()), adapted(lora)
    for net in (plain, other):
        for part in net.fusion.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        net.adapters["face"].eval()
    compiling.compile_model(other)
    begun(other, Train())
    for net in (plain, other):
        net.adapters.eval()
    wanted, found = gradients(plain), gradients(other)
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def test_norms_of_adapted_encoders_need_no_gpu_in_several_processes() -> None:
    net: Any = adapted()
    assert placement._norms(net) == []


class Convolved(Normed):
    """A dense convolution of 3 x 3."""

    def __init__(self, stream: str, argument: str | None) -> None:
        super().__init__(stream, argument)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def encode(self, images: Tensor) -> Tensor:
        return super().encode(self.conv(images))


def test_dora_trains_convolutions_in_the_layout_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are laid out with channels last; peft takes views of DoRA's weights, which that layout does not give."""
    monkeypatch.setitem(globals(), "Normed", Convolved)
    net = adapted(replace(LORA, dora=True, targets="all"))
    placement.place(net, single_process(torch.device("cpu")), Train())
    loss(begun(net, Train())).backward()
    found = {name for name, p in net.named_parameters() if is_adapter(name) and "conv" in name and p.grad is not None}
    assert any("magnitude" in name for name in found)
