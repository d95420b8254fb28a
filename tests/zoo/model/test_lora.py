"""Adapters of every built-in encoder: zero at the start, equal when merged, and all that is trained."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.refusals import Part, refused
from tests.support.registered import READY, TINY_VIT
from zoo.api import Answer, FrameInput
from zoo.model import lora as lora_module
from zoo.model.lora import attach, is_adapter, layers_of, merge
from zoo.model.model import build_encoder, encode
from zoo.model.probing import example, ones
from zoo.modules import Encoder, FrameEncoder
from zoo.registry.lora import Lora, plan_adapters
from zoo.registry.plan import SlotPlan, make_plan
from zoo.registry.registry import load

pytest.importorskip("peft", reason="peft is an extra (lora)")

ANSWERS = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
RANK = Lora(rank=2, alpha=4, dropout=0.0, targets="auto", rslora=False, dora=False)
SMALL = {"encoder.face.size": 32}
ADAPTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lite0": ("face=lite0", SMALL),
    "timm": ("face=timm:test_vit", {"encoder.face.size": 96}),
    "timm, convolutions": ("face=timm:test_resnet", {"encoder.face.size": 64}),
    "hsemotion": ("face=hsemotion:enet_b0_8_best_vgaf", SMALL),
    "places365": ("context=places365:resnet18", {"encoder.context.size": 32}),
    "checkpoint": ("face=checkpoint:net.pth", {**SMALL, "encoder.face.model": "test_resnet"}),
    "mel_timm": ("audio=mel_timm:test_resnet", {"encoder.audio.seconds": 0.5, "encoder.audio.bands": 40}),
    "ssl": ("audio=ssl:tiny", {"encoder.audio.window": 1.0}),
    "ssl, learned": ("audio=ssl:tiny", {"encoder.audio.window": 1.0, "encoder.audio.layer": "learned"}),
    "hf": (f"face=hf:{TINY_VIT}", {}),
    "fer": ("face=fer", {}),
    "vggish": ("audio=vggish", {}),
}
REFUSES = {
    "melcnn": "audio=melcnn",
    "facemesh": "landmarks=facemesh",
    "blazepose": "pose=blazepose",
    "egemaps": "audio=egemaps",
    "features": f"face=features:{READY}",
}
"""Encoders without pretrained weights, or without any weights that are trained."""


def slot_of(encoders: str, options: dict[str, Any], lora: Lora | None = RANK) -> SlotPlan:
    """Return the plan of one slot whose network is as good as pretrained."""
    name = encoders.partition("=")[0]
    given = {**options, f"encoder.{name}.pretrained": False}
    plan = make_plan(load(), encoders=encoders, fusion="concat", head="gru", answers=ANSWERS, options=given)
    return replace(plan.slots[0], lora=lora)


def built(slot: SlotPlan, seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return build_encoder(slot).eval()


def inputs_of(encoder: Encoder) -> dict[str, Tensor]:
    torch.manual_seed(1)
    given = example(encoder, torch.device("cpu"))
    for name, value in given.items():
        if value.dtype is torch.uint8:
            given[name] = torch.randint(0, 256, value.shape, dtype=torch.uint8)
        elif value.is_floating_point() and name != "times":
            given[name] = torch.randn_like(value) / 10
        elif value.dtype is torch.int32:
            given[name] = torch.randint(3, 8, value.shape, dtype=torch.int32)
    return given


def features(encoder: Encoder, given: dict[str, Tensor]) -> Tensor:
    return encode(encoder, given, ones("cpu"))


def disturb(encoder: nn.Module) -> None:
    """Give every adapter weights that matter, as training would."""
    torch.manual_seed(2)
    for name, parameter in encoder.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    """Assert that two outputs differ by at most ``tolerance``, relative to the largest value."""
    assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())


def test_every_registered_encoder_is_in_the_matrix() -> None:
    names = {key.partition(",")[0] for key in ADAPTS} | set(REFUSES) | {"resemblyzer"}
    assert names == set(load().names("encoders"))


@pytest.mark.parametrize("key", ADAPTS)
def test_an_encoder_starts_as_it_is_and_computes_the_same_when_merged(key: str) -> None:
    slot = slot_of(*ADAPTS[key])
    plain, encoder = built(slot), built(slot)
    given = inputs_of(plain)
    attach(encoder, slot)
    with torch.no_grad():
        before = features(plain, given)
        torch.testing.assert_close(features(encoder, given), before, rtol=0, atol=0)
        disturb(encoder)
        adapted = features(encoder, given)
        assert float((adapted - before).abs().max()) > 1e-3 * float(before.abs().max())
        merge(encoder)
        close(features(encoder, given), adapted)
    assert list(encoder.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("key", ADAPTS)
def test_every_adapter_and_nothing_else_gets_a_gradient(key: str) -> None:
    slot = slot_of(*ADAPTS[key])
    encoder = built(slot)
    attach(encoder, slot)
    disturb(encoder)
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):  # timm begins with scales of 0 at the ends of residual branches
            nn.init.ones_(part.weight)
    features(encoder, inputs_of(encoder)).square().sum().backward()
    own = {"mix"} if key == "ssl, learned" else set()
    for name, parameter in encoder.named_parameters():
        if is_adapter(name) or name in own:
            assert parameter.grad is not None, f"{name} is not reached"
            assert bool(parameter.grad.any()), f"{name} has no effect"
        else:
            assert parameter.grad is None
            assert not parameter.requires_grad


def test_a_recurrent_network_has_no_layers_for_adapters() -> None:
    slot = slot_of("audio=resemblyzer", {})
    with refused("adapt-no-layers", slot="audio", name="resemblyzer", why=Part("LSTM: 1")):
        layers_of(slot, RANK)


@pytest.mark.parametrize("name", REFUSES)
def test_other_encoders_say_why_they_have_none(name: str) -> None:
    slot = REFUSES[name].partition("=")[0]
    with refused("adapt-not-pretrained", name=slot, name2=name):
        plan_of(REFUSES[name], f"{slot}=lora")


def plan_of(encoders: str, *adapt: str, **more: Any) -> Any:
    return make_plan(load(), encoders=encoders, fusion="concat", head="gru", answers=ANSWERS, adapt=adapt, **more)


# --- which layers -----------------------------------------------------------------------------------------------------


class Mixed(FrameEncoder):
    """Layers that are adapted, and one of each kind that is left."""

    def __init__(self) -> None:
        super().__init__(8, FrameInput(4, (0.5,) * 3, (0.5,) * 3))
        self.dense = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.circular = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
        self.parametrised = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fused = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
        self.read = nn.Linear(8, 8)
        self.unused = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, 8)

    def encode(self, images: Tensor) -> Tensor:
        x = self.circular(self.dilated(self.depthwise(self.dense(images)))).flatten(2).transpose(1, 2)
        x = self.fused(self.attn(x, x, x)[0])
        x = nn.functional.linear(self.parametrised(x), self.read.weight)
        return self.last(self.norm(x)).mean(1)


def mixed_encoder(stream: str, argument: str | None) -> Mixed:
    return Mixed()


@pytest.fixture
def mixed() -> SlotPlan:
    slot = slot_of("face=lite0", SMALL)
    return replace(slot, encoder=replace(slot.encoder, build=mixed_encoder), options={})


def test_layers_whose_weights_do_more_than_multiply_are_left_with_the_reason(mixed: SlotPlan) -> None:
    layers = layers_of(mixed, replace(RANK, targets="all"))
    assert layers.ranks == {"dense": 8, "last": 8}
    assert {name for names in layers.left.values() for name in names} == {
        *("depthwise", "dilated", "circular", "parametrised.parametrizations.weight", "read", "unused"),
        *("attn", "attn.out_proj", "fused.self_attn", "fused.self_attn.out_proj", "fused.linear1", "fused.linear2"),
    }
    assert layers.left["grouped convolution"] == ("depthwise",)
    assert layers.left["layer that is not called"] == ("read", "unused")
    assert "grouped convolution: 1 (depthwise)" in str(layers)


def test_targets_choose_layers() -> None:
    slot = slot_of("face=timm:test_vit", {"encoder.face.size": 96})
    every, auto, attention, last = (
        set(layers_of(slot, replace(RANK, targets=t)).ranks) for t in ("all", "auto", "attention", r"blocks\.5\.mlp")
    )
    assert every - auto == {"net.patch_embed.proj"}
    assert {name.rpartition(".")[2] for name in attention} == {"qkv", "proj"}
    assert {name.rpartition(".")[2] for name in auto} == {"qkv", "proj", "fc1", "fc2"}
    assert last == {"net.blocks.5.mlp.fc1", "net.blocks.5.mlp.fc2"}
    with refused("adapt-no-layers", targets="attn2", why=Part("not in targets=attn2")):
        layers_of(slot, replace(RANK, targets="attn2"))
    with refused("adapt-rank", slot="face", rank=65, highest=64):
        layers_of(slot, replace(RANK, rank=65))


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora_module, "find_spec", lambda name: None)
    with refused("peft-missing", slot="face"):
        layers_of(slot_of("face=lite0", SMALL), RANK)


# --- the formula ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rslora", "scale"), [(False, 6 / 3), (True, 6 / 3**0.5)])
def test_a_layer_computes_the_paper_s_formula(mixed: SlotPlan, rslora: bool, scale: float) -> None:
    """W x + b + alpha / rank B A x, or alpha / sqrt(rank), by hand in float64."""
    slot = replace(mixed, lora=Lora(rank=3, alpha=6, dropout=0.0, targets="last", rslora=rslora, dora=False))
    encoder = built(slot).double()
    weight, bias = copy.deepcopy(encoder.last.weight), copy.deepcopy(encoder.last.bias)
    attach(encoder, slot)
    encoder.double()
    disturb(encoder)
    found = dict(encoder.last.named_parameters())
    a, b = found["lora_A.default.weight"], found["lora_B.default.weight"]
    x = torch.randn(5, 8, dtype=torch.float64)
    expected = x @ (weight + scale * b @ a).T + bias
    torch.testing.assert_close(encoder.last(x), expected, rtol=1e-12, atol=1e-12)


def test_dora_starts_as_the_encoder_and_merges(mixed: SlotPlan) -> None:
    """The lengths are those of the loaded weights, so adapters must be added after loading."""
    slot = replace(mixed, lora=Lora(rank=3, alpha=6, dropout=0.0, targets="all", rslora=False, dora=True))
    plain, encoder = built(slot), built(slot)
    given = inputs_of(plain)
    attach(encoder, slot)
    assert sum("lora_magnitude" in name for name, _ in encoder.named_parameters()) == 2
    with torch.no_grad():
        close(features(encoder, given), features(plain, given))
        disturb(encoder)
        adapted = features(encoder, given)
        merge(encoder)
        close(features(encoder, given), adapted)


# --- the text of --adapt ----------------------------------------------------------------------------------------------


def test_options_are_read_and_written_out() -> None:
    text = r"face=lora:rank=4,targets=blocks\.(1|2)\.a{1,2},dropout=.1,dora=true"
    found = plan_adapters([text, "audio=lora"], ["face", "audio"], [])["face"]
    assert found == Lora(4, 8.0, 0.1, r"blocks\.(1|2)\.a{1,2}", False, True)
    assert plan_adapters([f"face={found}"], ["face"], []) == {"face": found}


@pytest.mark.parametrize("alpha", [16.0, 12.3456789, 1e-7, 1 / 3])
def test_numbers_are_written_out_exactly(alpha: float) -> None:
    """The text in config.toml is read again when a run is continued, evaluated or predicts."""
    lora = replace(RANK, alpha=alpha, dropout=0.1234567)
    assert plan_adapters([f"face={lora}"], ["face"], []) == {"face": lora}
    assert "alpha=16," in str(replace(RANK, alpha=16.0))


@pytest.mark.parametrize(
    ("texts", "code", "fields"),
    [
        (["face"], "adapt-text-invalid", {}),
        (["face=lora:"], "adapt-text-invalid", {}),
        (["face=lora:rank"], "adapt-text-invalid", {}),
        (["face=lora:rank=2,rank=3"], "adapt-text-invalid", {}),
        (["fac=lora"], "adapt-unknown-slot", {"slot": "fac", "near": Part("face")}),
        (["face=lora", "face=lora:rank=4"], "adapt-twice", {"slot": "face"}),
        (["audio=lora"], "adapt-and-finetune", {"slot": "audio"}),
        (["face=lorra"], "adapt-method-unknown", {"method": "lorra", "near": Part("lora")}),
        (["face=lora:rnk=4"], "option-unknown", {"name": "rnk", "near": Part("rank")}),
        (["face=lora:rank=big"], "option-type", {"value": "big"}),
        (["face=lora:rank=0"], "option-too-small", {"name": "rank", "value": 0}),
        (["face=lora:rank=nan"], "option-type", {}),
        (["face=lora:alpha=0"], "adapt-number", {"alpha": 0.0}),
        (["face=lora:alpha=inf"], "adapt-number", {}),
        (["face=lora:dropout=1"], "adapt-number", {"dropout": 1.0}),
        (["face=lora:targets=(a"], "adapt-targets-invalid", {"targets": "(a"}),
    ],
)
def test_a_wrong_text_is_refused(texts: list[str], code: str, fields: dict[str, Any]) -> None:
    with refused(code, **fields):
        plan_adapters(texts, ["face", "audio"], ["audio"])


def test_an_encoder_without_weights_is_refused() -> None:
    with refused("adapt-not-pretrained", name="face", name2="timm"):
        plan_of("face=timm:test_vit", "face=lora", options={"encoder.face.pretrained": False})
