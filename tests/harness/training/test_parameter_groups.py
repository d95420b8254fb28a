"""Each parameter's group, learning rate and weight decay; what a step does with them; staged unfreezing."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.layers.grn import GlobalResponseNorm
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from harness.config.schema import RunConfig, Train, load_config
from harness.training.checks import check_training
from harness.training.freezing import Freezing, is_norm, lowest_trained
from harness.training.optimizers import make_optimizer, make_schedule
from harness.training.parameter_groups import group_rows, parameter_groups
from tests.support.refusals import refused
from tests.zoo.model.test_model import ANSWERS, COUNTS, REGISTRY, SMALL
from zoo.api import FrameInput
from zoo.model.encoder_layers import blocks, layer_numbers
from zoo.model.model import Model
from zoo.modules import FrameEncoder
from zoo.registry.plan import Plan, make_plan


class Layered(FrameEncoder):
    """A stem, three blocks with a norm each, a last layer and a table that is never decayed."""

    def __init__(self) -> None:
        super().__init__(8, FrameInput(4, (0.5,) * 3, (0.5,) * 3))
        self.stem = nn.Linear(48, 8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)) for _ in range(3))
        self.last = nn.Linear(8, 8)
        self.table = nn.Parameter(torch.ones(2, 2))
        self.table._no_weight_decay = True  # type: ignore[attr-defined]
        self.kept = nn.Parameter(torch.ones(2, 2), requires_grad=False)

    def encode(self, images: Tensor) -> Tensor:
        x = self.stem(images.flatten(1))
        for block in self.blocks:
            x = block(x)
        return self.last(x) * self.table.sum()


class Summed(Layered):
    """The same with shares of a sum of all its blocks' outputs, a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.zeros(3))
        self.last_layer = ("mix",)


def test_shares_of_a_sum_of_all_layers_belong_to_the_last() -> None:
    """They begin at nothing that was learnt, so the rate of the lowest layer would leave them there."""
    numbers = layer_numbers(Summed())
    assert numbers["mix"] == numbers["last.weight"] == numbers["blocks.2.0.weight"] == 3
    assert (numbers["stem.weight"], numbers["table"], numbers["blocks.0.0.weight"]) == (0, 0, 1)


def tuned() -> Model:
    """A model whose face encoder is pretrained and trained; the context is frozen."""
    torch.manual_seed(0)
    plan = make_plan(REGISTRY, encoders="face,context", fusion="concat", head="mlp", answers=ANSWERS)
    net = Model(plan, {"face": 8, "context": 8}, COUNTS, SMALL)
    net.encoders["face"], net.pretrained = Layered(), ("face",)
    return net


LAYERS = {
    "table": 0, "stem.weight": 0, "stem.bias": 0,
    "blocks.0.0.weight": 1, "blocks.0.0.bias": 1, "blocks.0.1.weight": 1, "blocks.0.1.bias": 1,
    "blocks.1.0.weight": 2, "blocks.1.0.bias": 2, "blocks.1.1.weight": 2, "blocks.1.1.bias": 2,
    "blocks.2.0.weight": 3, "blocks.2.0.bias": 3, "blocks.2.1.weight": 3, "blocks.2.1.bias": 3,
    "last.weight": 3, "last.bias": 3,
}  # fmt: skip
DECAYED = {"stem.weight", "blocks.0.0.weight", "blocks.1.0.weight", "blocks.2.0.weight", "last.weight"}


def test_every_parameter_has_the_group_rate_and_decay_of_its_layer() -> None:
    net, settings = tuned(), Train(lr=1e-2, encoder_lr=1e-3, layer_decay=0.5, weight_decay=0.1)
    found = {name: group for group in parameter_groups(net, settings) for name in group.names}
    encoder = {name.removeprefix("encoders.face."): group for name, group in found.items() if group.encoder}
    assert {name: (g.name, g.lr, g.weight_decay) for name, g in encoder.items()} == {
        name: (
            f"encoder face layer {layer}" + ("" if name in DECAYED else ", no decay"),
            1e-3 * 0.5 ** (3 - layer),
            0.1 if name in DECAYED else 0.0,
        )
        for name, layer in LAYERS.items()
    }
    rest = {name: (group.name, group.lr) for name, group in found.items() if not group.encoder}
    assert rest["fusion.predictor.output.1.weight"] == ("model", 1e-2)
    assert rest["fusion.predictor.output.1.bias"] == ("model, no decay", 1e-2)
    assert set(found) == {name for name, p in net.named_parameters() if p.requires_grad}
    rows = group_rows(net, parameter_groups(net, settings), settings)
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("frozen", "layers"),
    [
        ({"frozen_layers": 2}, {2, 3}),
        ({"norms": "frozen"}, {0, 1, 2, 3}),
        ({"frozen_layers": 1, "unfreeze": 1, "unfreeze_every": 2, "epochs": 4}, {2, 3}),
    ],
)
@pytest.mark.parametrize("rate", [None, 1e-3])
def test_the_record_has_what_some_epoch_trains(frozen: dict, layers: set[int], rate: float | None) -> None:
    """The optimizer has all parameters, the record those that are trained in the last epoch, with or without groups."""
    net, settings = tuned(), Train(encoder_lr=rate, **frozen)
    groups = parameter_groups(net, settings)
    rows = group_rows(net, groups, settings)
    assert {name for group in groups for name in group.names} == {
        n for n, p in net.named_parameters() if p.requires_grad
    }
    freezing = Freezing(net, settings)
    freezing.apply(settings.epochs - 1)
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in net.parameters() if p.requires_grad)
    own = {int(row["name"].split()[3].rstrip(",")) for row in rows if row["name"].startswith("encoder face layer")}
    assert own == (layers if rate else set())


def test_without_settings_there_are_two_groups_as_before() -> None:
    net = tuned()
    groups = parameter_groups(net, Train())
    assert [(group.name, group.lr) for group in groups] == [("model", 3e-4), ("model, no decay", 3e-4)]
    trained = [name for name, p in net.named_parameters() if p.requires_grad]
    assert [name for name in trained if name in groups[0].names] == list(groups[0].names)
    assert sorted(trained) == sorted(groups[0].names + groups[1].names)


def test_a_step_moves_a_layer_by_its_power_of_the_decay() -> None:
    net, settings = tuned(), Train(optimizer="sgd", momentum=0, lr=1.0, encoder_lr=0.1, layer_decay=0.5, weight_decay=0)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = torch.ones_like(p) if p.requires_grad else None
    make_optimizer(net, settings, parameter_groups(net, settings)).step()
    for name, layer in LAYERS.items():
        full = f"encoders.face.{name}"
        expected = before[full] - 0.1 * 0.5 ** (3 - layer)
        torch.testing.assert_close(net.get_parameter(full).detach(), expected, rtol=0, atol=1e-6)
    head = "fusion.predictor.output.1.weight"
    torch.testing.assert_close(net.get_parameter(head).detach(), before[head] - 1.0)


def test_layers_of_timm_are_the_ones_that_timm_gives() -> None:
    """Against timm's own groups, with their ``lr_scale``, for a network with convolutions and one with attention."""
    for name in ("resnet18", "vit_tiny_patch16_224"):
        with torch.device("meta"):
            net = timm.create_model(name, num_classes=0)
        own = layer_numbers(nn.ModuleDict({"net": net}))
        top = max(own.values())
        names = {id(p): n for n, p in net.named_parameters()}
        for group in param_groups_layer_decay(net, layer_decay=0.75):
            for p in group["params"]:
                assert 0.75 ** (top - own[f"net.{names[id(p)]}"]) == pytest.approx(group["lr_scale"])


def test_a_network_without_layers_is_one_layer() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert set(layer_numbers(net).values()) == {0}
    assert blocks(net) == [net]
    layered = Layered()
    assert blocks(layered) == list(layered.blocks)


def rates(settings: Train, total: int, encoder: list[bool]) -> list[list[float]]:
    steps = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 0.1)])
    schedule = make_schedule(steps, settings, total, encoder)
    seen = []
    for _ in range(total):
        seen.append([group["lr"] for group in steps.param_groups])
        steps.step()
        schedule.step()
    return seen


def test_the_rate_of_the_encoder_warms_up_when_it_is_unfrozen() -> None:
    """Ten epochs of two steps: unfrozen at step 4, then rising for a fifth of all steps, under a constant rate."""
    found = rates(Train(schedule="constant", epochs=10, unfreeze=2, encoder_warmup=0.2), 20, [False, True])
    assert [row[0] for row in found] == [1.0] * 20
    rise = [0.025] * 4 + [0.025, 0.05, 0.075] + [0.1] * 13
    assert [row[1] for row in found] == pytest.approx(rise)


def test_under_cosine_both_factors_are_multiplied() -> None:
    plain = rates(Train(schedule="cosine", epochs=10), 20, [False, False])
    own = Train(schedule="cosine", epochs=10, encoder_warmup=0.2)
    assert [row[0] for row in rates(own, 20, [False, True])] == pytest.approx([row[0] for row in plain])
    warm = [min(1.0, (step + 1) / 4) for step in range(20)]
    expected = [row[1] * factor for row, factor in zip(plain, warm, strict=True)]
    assert [row[1] for row in rates(own, 20, [False, True])] == pytest.approx(expected)


STAGES = {0: set(), 1: {3}, 2: {3}, 3: {2, 3}, 4: {2, 3}, 5: {1, 2, 3}, 6: {1, 2, 3}, 7: {1, 2, 3}, 20: {1, 2, 3}}


def test_each_epoch_trains_the_layers_that_are_unfrozen() -> None:
    """One epoch frozen, then one more layer every two epochs, from the top; the lowest layer never."""
    net, settings = tuned(), Train(epochs=30, unfreeze=1, unfreeze_every=2, frozen_layers=1, encoder_lr=1e-3)
    freezing = Freezing(net, settings)
    for epoch, layers in STAGES.items():
        net.train()
        freezing.apply(epoch)
        trained = {name for name, p in net.encoders["face"].named_parameters() if p.requires_grad}
        assert trained == {name for name, layer in LAYERS.items() if layer in layers}, epoch
        assert net.encoders["face"].training == bool(layers)
        norms = [net.encoders["face"].blocks[i][1].training for i in range(3)]
        assert norms == [i + 1 in layers for i in range(3)]
        assert all(p.requires_grad for p in net.fusion.parameters())


def test_all_layers_at_once_and_none_frozen() -> None:
    assert [lowest_trained(Train(), 3, epoch) for epoch in (0, 5)] == [0, 0]
    assert [lowest_trained(Train(unfreeze=2), 3, epoch) for epoch in (0, 1, 2, 3)] == [4, 4, 0, 0]


def test_frozen_norms_keep_weights_and_statistics() -> None:
    net = tuned()
    net.encoders["face"].blocks[0][1] = nn.BatchNorm1d(8)
    Freezing(net.train(), Train(norms="frozen")).apply(0)
    frozen = {name for name, p in net.encoders["face"].named_parameters() if not p.requires_grad}
    assert frozen == {"kept", *(f"blocks.{i}.1.{kind}" for i in range(3) for kind in ("weight", "bias"))}
    assert not net.encoders["face"].blocks[0][1].training
    assert net.encoders["face"].training


@pytest.mark.parametrize(
    "kind",
    [
        timm.layers.RmsNorm,
        timm.layers.RmsNorm2d,
        timm.layers.RmsNormAct2d,
        timm.layers.SimpleNorm,
        timm.layers.EvoNorm2dS0,
        timm.layers.FilterResponseNormTlu2d,
        GlobalResponseNorm,
    ],
)
def test_norms_of_timm_are_frozen_too(kind: type[nn.Module]) -> None:
    net = tuned()
    norm = net.encoders["face"].blocks[0][1] = kind(8)
    Freezing(net.train(), Train(norms="frozen")).apply(0)
    assert not any(p.requires_grad for p in norm.parameters())
    assert not norm.training
    assert net.encoders["face"].blocks[0][0].weight.requires_grad


def test_a_norm_is_what_scales_by_vectors() -> None:
    class NormedLinear(nn.Linear):
        """A linear layer that normalises its rows."""

    class T5LayerNorm(nn.Module):
        """A norm with a class of its own, as transformers has."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))

    assert is_norm(T5LayerNorm())
    others = (NormedLinear(8, 8), timm.layers.ConvNormAct(8, 8), timm.layers.GlobalResponseNormMlp(8), nn.Linear(8, 1))
    assert not any(map(is_norm, others))


def test_a_frozen_layer_neither_moves_nor_decays() -> None:
    net, settings = tuned(), Train(unfreeze=1, lr=0.1, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in net.encoders.named_parameters()}
    steps, freezing = make_optimizer(net, settings, parameter_groups(net, settings)), Freezing(net, settings)
    for epoch in range(2):
        freezing.apply(epoch)
        steps.zero_grad()
        images = torch.rand(2, 1, 3, 4, 4)
        (net.encoders["face"](images).sum() + net.fusion.predictor.output[1].weight.sum()).backward()
        steps.step()
        moved = {n for n, p in net.encoders.named_parameters() if not torch.equal(p.detach(), before[n])}
        assert moved == ({f"face.{name}" for name in LAYERS} if epoch else set())


def config(**train: object) -> RunConfig:
    return RunConfig(train=Train(**train))  # type: ignore[arg-type]


def tuned_plan(encoders: str = "face", **more: object) -> Plan:
    options = {"encoders": encoders, "fusion": "concat", "head": "mlp", "finetune": ["face"], **more}
    return make_plan(REGISTRY, answers=ANSWERS, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "settings", "fields"),
    [
        ("stride-over-clip", {"stride": 65}, {"key": "train.stride", "clip": 64, "stride": 65}),
        ("stride-and-fps", {"stride": 2, "fps": 5.0}, {"stride": 2}),
        ("unfreeze-never", {"unfreeze": 30}, {"epochs": 30, "unfreeze": 30}),
        ("encoder-warmup-schedule", {"encoder_warmup": 0.1, "schedule": "plateau"}, {"schedule": "plateau"}),
        ("accumulate-not-additive", {"accumulate": 2, "mixup": 0.2}, {}),
    ],
)
def test_settings_that_contradict_each_other_are_refused(code: str, settings: dict, fields: dict) -> None:
    with refused(code, **fields):
        Train(**settings)


@pytest.mark.parametrize(
    "setting", ["encoder_lr=0", "encoder_lr=2", "layer_decay=0", "layer_decay=1.5", "accumulate=0"]
)
def test_rates_out_of_range_are_refused(setting: str) -> None:
    with refused("setting-invalid", dotted=f"train.{setting.partition('=')[0]}"):
        load_config(None, {}, [f"train.{setting}"])


@pytest.mark.parametrize(
    ("code", "settings", "fields"),
    [
        ("frozen-layers-all", {"frozen_layers": 17}, {"count": 17, "frozen": 17, "slot": "face"}),
        ("unfreeze-every-never", {"unfreeze_every": 2}, {"count": 17, "epoch": 33, "epochs": 30}),
        ("compile-grad-checkpoint", {"compile": True, "grad_checkpoint": "encoders"}, {"value": "encoders"}),
        ("compile-grad-checkpoint", {"compile": True, "grad_checkpoint": "all"}, {"value": "all"}),
        ("momentum-one-cycle", {"optimizer": "sgd", "schedule": "one_cycle", "momentum": 0.5}, {"momentum": 0.5}),
        ("accumulate-batch-norm", {"accumulate": 2}, {"slot": "face"}),
        ("accumulate-not-additive", {"accumulate": 2, "batch_norm": "frozen"}, {}),
    ],
)
def test_settings_that_do_not_fit_the_encoder_are_refused(code: str, settings: dict, fields: dict) -> None:
    """The network of the default face encoder, timm's EfficientNet-Lite0, has 17 layers and batch norms."""
    with refused(code, **fields):
        check_training(tuned_plan("face=lite0"), config(**settings))


def test_what_fits_is_not_refused() -> None:
    by_layer = {"unfreeze_every": 1, "frozen_layers": 2, "layer_decay": 0.9, "encoder_lr": 1e-5}
    check_training(tuned_plan("face=lite0"), config(**by_layer))
    check_training(tuned_plan("face=lite0"), config(optimizer="sgd", schedule="one_cycle"))
    check_training(tuned_plan("face=lite0"), config(optimizer="sgd", schedule="cosine", momentum=0.5))
    exact = {"accumulate": 2, "accumulation": "exact"}
    check_training(tuned_plan("face=lite0"), config(**exact, batch_norm="frozen"))
    check_training(tuned_plan("face=lite0"), config(**exact, norms="frozen"))
    classes = make_plan(REGISTRY, encoders="face", fusion="concat", head="mlp", answers=ANSWERS[2:])
    check_training(classes, config(accumulate=2))


def test_a_loss_of_the_fusion_itself_does_not_add_up() -> None:
    experts = make_plan(REGISTRY, encoders="face,context", fusion="moe", head="mlp", answers=ANSWERS[2:])
    with refused("accumulate-not-additive", what="fusion 'moe' needs the whole batch"):
        check_training(experts, config(accumulate=2))


def test_settings_for_pretrained_encoders_need_one() -> None:
    frozen = tuned_plan("face=lite0", finetune=[])
    with refused("finetune-setting-unused", setting="layer_decay"):
        check_training(frozen, config(layer_decay=0.5))
    with refused("accumulate-exact-nothing"):
        check_training(frozen, config(accumulate=2, accumulation="exact"))
