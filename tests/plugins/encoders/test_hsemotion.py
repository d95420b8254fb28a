"""HSEmotion's files, made here as they are published (whole pickled timm networks), give timm's own features."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from plugins.encoders import encoders, hsemotion
from tests.support.refusals import Part, refused
from zoo.testing import no_network
from zoo.weights.loading import Loaded, load_pretrained

SPEC = next(spec for spec in encoders() if spec.name == "hsemotion")


def published(folder: Path, name: str, *, zipped: bool = True) -> tuple[nn.Module, Path]:
    """A network as HSEmotion builds it, with random weights and statistics, and its file."""
    torch.manual_seed(0)
    model = hsemotion.MODELS[name]
    net = timm.create_model(model.net)
    answers = len(model.classes)
    if hasattr(net, "classifier"):
        net.classifier = nn.Sequential(nn.Linear(net.num_features, answers))
    else:
        net.head.fc = nn.Linear(net.num_features, answers)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.2)
    torch.save(net, folder / f"{name}.pt", _use_new_zipfile_serialization=zipped)
    return net.eval(), folder / f"{name}.pt"


def load(name: str, path: Path, cache: Path) -> tuple[hsemotion.HsEmotion, Loaded]:
    encoder = hsemotion.HsEmotion("face", name, size=64)
    given = replace(hsemotion.passport("face", name), url=None, path=str(path), sha256=None)
    return encoder.eval(), load_pretrained(encoder, given, cache=cache)


@pytest.mark.parametrize(
    ("name", "zipped"),
    [
        ("enet_b0_8_best_vgaf", True),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("enet_b0_8_best_vgaf", False), ("enet_b2_7", True), ("mobilevit_va_mtl", True)]
        ),
    ],
)
def test_the_features_are_those_of_the_pickled_network(tmp_path, name, zipped):
    """Exactly: today's timm made this one. tests/benchmarks/old_timm_pickles.py does so for older releases."""
    net, path = published(tmp_path, name, zipped=zipped)
    encoder, loaded = load(name, path, tmp_path / "cache")
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = net.forward_head(net.forward_features(pictures), pre_logits=True)
        found, whole = encoder.encode(pictures), net(pictures)
    assert found.std() > 0.01
    assert torch.equal(found, expected)
    own, predicted = hsemotion.own_scores("face", name), encoder.scores(found)
    torch.testing.assert_close(predicted[:, : len(own.classes)], whole[:, : len(own.classes)], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(predicted[:, len(own.classes) :], whole[:, len(own.classes) :].clamp(-1, 1))
    assert (*own.classes, *own.values) == hsemotion.MODELS[name].classes
    assert loaded.notes[0].startswith("a whole pickled timm.models.")
    again, _ = load(name, path, tmp_path / "cache")  # from the safetensors that was kept
    assert all(torch.equal(t, again.state_dict()[key]) for key, t in encoder.state_dict().items())
    assert len(list((tmp_path / "cache" / "converted").iterdir())) == 1


def test_a_file_of_another_network_is_told_with_names_and_shapes(tmp_path):
    _, path = published(tmp_path, "enet_b0_8_va_mtl")
    with refused("weights-do-not-fit", names=Part("148 missing (net.blocks.0.1.conv_dw.weight, ")):
        load("enet_b2_8", path, tmp_path / "cache")


def test_a_file_that_asks_for_more_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return exec, ("raise SystemExit",)

    net = timm.create_model("test_efficientnet")
    net.evil = Evil()
    torch.save(net, tmp_path / "net.pt", pickle_module=pickle)
    with refused("weights-hold-objects", error="__builtin__.exec"):
        load("enet_b0_8_best_vgaf", tmp_path / "net.pt", tmp_path / "cache")


@pytest.mark.parametrize("name", hsemotion.MODELS)
def test_what_is_known_of_the_files(name):
    with no_network():
        passport = hsemotion.passport("face", name)
    assert passport.url.endswith(f"/models/affectnet_emotions/{name}.pt")
    assert passport.sha256 is None or len(passport.sha256) == 64
    assert "AffectNet" in passport.saw
    assert not any("wild" in data.lower() for data in passport.saw)
    assert passport.classes[: 7 if name.endswith("_7") else 8] == tuple(
        c for c in hsemotion.EIGHT if c != "Contempt" or not name.endswith("_7")
    )
    assert passport.classes[8:] == (("valence", "arousal") if name.endswith("_mtl") else ())
    size = 260 if "_b2_" in name else 224
    assert passport.input.startswith(f"{size} x {size}")
    with torch.device("meta"):
        encoder = hsemotion.HsEmotion("face", name)
        assert encoder.input.size == size
        assert encoder(torch.empty(1, 2, 3, size, size)).shape == (1, 2, encoder.dim)
    assert encoder.dim == {"enet_b0": 1280, "enet_b2": 1408, "mobilev": 768}[name[:7]]


def test_the_order_of_classes_is_theirs():
    eight = ["Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise"]
    assert hsemotion.passport("face", "enet_b2_8").classes == tuple(eight)
    assert hsemotion.passport("face", "enet_b2_7").classes == tuple(c for c in eight if c != "Contempt")


def test_the_catalogue_names_them_all():
    assert SPEC.names == tuple(hsemotion.MODELS)


def test_a_size_that_is_none_is_told():
    with refused("plugin-error", match="'size' of encoder 'hsemotion'"):
        hsemotion.HsEmotion("face", "enet_b2_8", size=0)
