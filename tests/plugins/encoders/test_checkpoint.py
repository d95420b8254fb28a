"""A user's own file: read in every usual form, its names brought to timm's, and told where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from plugins.encoders import checkpoint, encoders
from plugins.encoders.checkpoint import Checkpoint, own_scores, passport
from tests.support.refusals import refused
from zoo.registry.plan import make_plan
from zoo.registry.registry import load as registry
from zoo.weights.loading import Loaded, load_pretrained
from zoo.weights.network_cards import NetworkCard

SPEC = next(spec for spec in encoders() if spec.name == "checkpoint")
NET = "test_resnet"  # timm's smallest, with the names of every resnet


def affectnet(answers: int = 7) -> dict[str, Tensor]:
    torch.manual_seed(0)
    net = timm.create_model(NET, num_classes=answers)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.state_dict()


def put(path: Path, state: Any) -> Path:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def read(path: Path, **options: Any) -> tuple[Checkpoint, Loaded]:
    given = {"model": NET, **options}
    encoder = Checkpoint("face", str(path), **given)
    return encoder, load_pretrained(encoder, passport("face", str(path), **given))


def same(encoder: Checkpoint, state: dict[str, Tensor]) -> bool:
    body = {name: t for name, t in state.items() if not name.startswith("fc.")}
    own = encoder.net.state_dict()
    return own.keys() == body.keys() and all(torch.equal(own[name], body[name]) for name in body)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.pth.tar", "net.safetensors"])
def test_every_form_of_file_is_read(tmp_path, name):
    encoder, loaded = read(put(tmp_path / name, affectnet()))
    assert same(encoder, affectnet())
    assert loaded.notes[-2:] == (
        "its classifier had 7 answers",
        f"{len(affectnet()) - 2} tensors for {NET}, 2 of the classifier left out",
    )


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "model.",
        "backbone.",
        "encoder.",
        "net.",
        "module.backbone.",
        "_orig_mod.model.",
        "module.net.encoder.",
    ],
)
@pytest.mark.parametrize("outside", [True, False])
def test_what_the_names_begin_with_is_taken_off_and_told(tmp_path, prefix, outside):
    """Also where the classifier stands outside: backbone.conv1, fc."""
    state = affectnet()
    renamed = {name if outside and name.startswith("fc.") else prefix + name: t for name, t in state.items()}
    encoder, loaded = read(put(tmp_path / "net.pth", renamed))
    assert same(encoder, state)
    assert any("taken off" in note and prefix.split(".")[-2] in note for note in loaded.notes)
    assert any(note.startswith("its classifier had 7 answers") for note in loaded.notes)


def test_the_seed_systems_file_is_read(tmp_path):
    """torchvision's ResNet-50 with seven answers, saved as model_state_dict."""
    torch.manual_seed(0)
    net = torchvision.models.resnet50(num_classes=7).eval()
    path = put(tmp_path / "net.pth", {"epoch": 3, "model_state_dict": net.state_dict(), "accuracy": 0.6})
    classes = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger")
    encoder, loaded = read(path, model="resnet50", classes=classes)
    pictures = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features, whole = encoder.eval().encode(pictures), net(pictures)
        torch.testing.assert_close(encoder.scores(features), whole, rtol=1e-5, atol=1e-6)
        net.fc = nn.Identity()
        torch.testing.assert_close(features, net(pictures), rtol=1e-5, atol=1e-6)
    assert loaded.notes == (
        "taken from 'model_state_dict'",
        f"its classifier had 7 answers: {', '.join(classes)}",
        "318 tensors for resnet50, 2 of the classifier kept for what it predicts itself",
    )
    assert loaded.record()["classes"] == list(classes)
    assert loaded.record()["seen_affwild2"] is None  # nobody said what it was trained on
    record = read(path, model="resnet50", trained_on=("AffectNet", "Aff-Wild2"))[1].record()
    assert (record["saw"], record["seen_affwild2"]) == (["AffectNet", "Aff-Wild2"], True)


def test_a_class_order_that_does_not_match_is_told(tmp_path):
    path = put(tmp_path / "net.pth", affectnet())
    with refused("plugin-error", match=r"2 classes \(a, b\).* 7 answers"):
        read(path, classes=("a", "b"))


def test_a_classifier_of_several_layers_is_left_out(tmp_path):
    state = {name: t for name, t in affectnet().items() if not name.startswith("fc.")}
    more = {"fc.0.weight": torch.ones(9, 8), "fc.0.bias": torch.ones(9), "fc.3.weight": torch.ones(8, 9)}
    encoder, loaded = read(put(tmp_path / "net.pth", {**state, **more}), classes=tuple("abcdefgh"))
    assert same(encoder, state)
    assert "its classifier had 8 answers: a, b, c, d, e, f, g, h" in loaded.notes
    with refused("scores-no-classifier"):
        encoder.scores(torch.ones(1, encoder.dim))


def test_without_a_classifier_the_order_cannot_be_checked(tmp_path):
    state = {name: t for name, t in affectnet().items() if not name.startswith("fc.")}
    _, loaded = read(put(tmp_path / "net.pth", state), classes=("a",))
    assert "the order of classes could not be checked: the file has no classifier" in loaded.notes


def test_what_lies_beside_the_network_is_left_out_and_told(tmp_path):
    """As Lightning keeps a loss with weights of its own."""
    state = {f"model.{name}": tensor for name, tensor in affectnet().items()} | {"criterion.weight": torch.ones(7)}
    _, loaded = read(put(tmp_path / "net.ckpt", state))
    assert "1 beside 'model.' left out (criterion.weight)" in loaded.notes


def test_strictly_every_name_and_shape_must_match(tmp_path):
    state = affectnet()
    state["layer1.0.conv1.weight"] = torch.ones(1, 2, 3, 3)
    del state["conv1.0.weight"]
    state["extra"] = torch.ones(1)
    names = (
        "1 missing (net.conv1.0.weight); 1 unexpected (net.extra); 1 of the wrong shape "
        "(net.layer1.0.conv1.weight is (1, 2, 3, 3) instead of (32, 32, 3, 3))"
    )
    with refused("weights-do-not-fit", names=names):
        read(put(tmp_path / "net.pth", state))


def test_otherwise_what_does_not_match_is_counted_and_is_the_same_every_time(tmp_path):
    state = affectnet()
    del state["bn1.weight"], state["bn1.bias"]
    state["extra"] = torch.ones(1)
    path = put(tmp_path / "net.pth", state)
    encoder, loaded = read(path, strict=False)
    assert "2 of the network not in the file, left random (bn1.weight, bn1.bias)" in loaded.notes
    assert "1 of the file not in the network, left out (extra)" in loaded.notes
    torch.manual_seed(7)
    again, _ = read(path, strict=False)
    assert all(torch.equal(t, again.state_dict()[name]) for name, t in encoder.state_dict().items())
    assert all(torch.equal(encoder.net.state_dict()[n], t) for n, t in state.items() if n in encoder.net.state_dict())


def test_a_file_of_another_network_is_told_even_then(tmp_path):
    path = put(tmp_path / "net.pth", affectnet())
    with refused("plugin-error", match=r"\d% .*'resnet18'.* 90%"):
        read(path, strict=False, model="resnet18")


def test_a_vits_positions_are_brought_to_the_size(tmp_path):
    torch.manual_seed(0)
    net = timm.create_model("test_vit", num_classes=7)
    encoder, _ = read(
        put(tmp_path / "net.pth", {f"model.{k}": t for k, t in net.state_dict().items()}), model="test_vit", size=96
    )
    assert encoder.input.size == 96
    assert encoder.encode(torch.ones(1, 3, 96, 96)).shape == (1, encoder.dim)
    assert torch.equal(encoder.net.blocks[0].norm1.weight, net.blocks[0].norm1.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "resnet5O"}, "'resnet5O'.* 'resnet50'"),
        ({"std": (0.1, 0.0, 0.1)}, "std over 0"),
        ({"mean": (0.5, 0.5)}, "three numbers each"),
        ({"size": 0}, "size 0"),
    ],
)
def test_options_that_cannot_be_are_told(options, message):
    with refused("plugin-error", match=message):
        Checkpoint("face", "net.pth", **options)


def test_it_needs_a_file():
    with refused("plugin-error", match="face=checkpoint:FILE"):
        passport("face", None)


def test_a_slot_asks_for_it_with_its_digest(tmp_path):
    path = put(tmp_path / "net.pth", affectnet())
    answers = registry().get("editions", "abaw10").tracks[0].answers
    options = {"encoder.face.model": NET, "encoder.face.sha256": "0" * 64, "encoder.face.mean": "0.5,0.5,0.5"}
    plan = make_plan(
        registry(), encoders=f"face=checkpoint:{path}", fusion="late", head="gru", answers=answers, options=options
    )
    slot = plan.slots[0]
    assert slot.frozen
    assert slot.options["mean"] == (0.5, 0.5, 0.5)
    with refused("weights-digest-wrong", what=path, wanted="0" * 64):
        load_pretrained(Checkpoint("face", str(path), model=NET), slot.passport)


def planned(path: Path, options: dict[str, Any]) -> Any:
    """Plan a network whose file says that it was made at 32 pixels and with a mean of 0.5."""
    card = NetworkCard(NET, 32, (0.5,) * 3, (0.5,) * 3)
    save_file(affectnet(), path, card.metadata())
    answers = registry().get("editions", "abaw10").tracks[0].answers
    given = {f"encoder.face.{name}": value for name, value in options.items()}
    return make_plan(
        registry(), encoders=f"face=checkpoint:{path}", fusion="late", head="gru", answers=answers, options=given
    )


@pytest.mark.parametrize(
    ("name", "value"), [("size", 224), ("size", 64), ("model", "resnet50"), ("mean", "0.485,0.456,0.406")]
)
def test_a_given_option_that_contradicts_the_file_is_refused_also_a_default(tmp_path, name, value):
    with refused("option-fixed", name=name, encoder="checkpoint"):
        planned(tmp_path / "net.safetensors", {name: value})


def test_options_that_agree_with_the_file_are_taken(tmp_path):
    plan = planned(tmp_path / "net.safetensors", {"size": "32", "mean": "0.5,0.5,0.5"})
    assert plan.slots[0].passport.fixed["model"] == NET


def test_prefixes_are_taken_off_only_where_it_helps():
    own = {"encoder.conv.weight": torch.ones(1), "conv.weight": torch.ones(1)}
    assert checkpoint.best_prefix(own, own) == ""
    assert checkpoint.best_prefix({"model.conv.weight": torch.ones(1), "x": torch.ones(1)}, own) == "model."


def test_without_classes_it_predicts_nothing_by_itself(tmp_path):
    encoder = Checkpoint("face", str(put(tmp_path / "net.pth", affectnet())), model=NET)
    with refused("plugin-error", match="name the classes of its last layer"):
        encoder.scores(torch.zeros(1, encoder.dim))


def test_valence_and_arousal_are_the_last_of_the_named_classes():
    assert own_scores("face", None, ("happy", "sad", "Valence", "arousal")).values == ("valence", "arousal")
    with refused("plugin-error", match="valence and arousal must come last, got valence, happy"):
        own_scores("face", None, ("valence", "happy"))
