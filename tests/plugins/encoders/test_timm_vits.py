"""Self-supervised ViTs (MAE, DINOv2) from a local file of their own size, at the sizes of faces, against timm itself."""

from __future__ import annotations

from functools import lru_cache

import pytest
import timm
import torch
from safetensors.torch import save_file

from plugins.encoders import timm_models as tm
from tests.support.refusals import Part, refused
from zoo.api import Answer
from zoo.registry.plan import make_plan
from zoo.registry.registry import load as load_registry
from zoo.testing import no_network
from zoo.weights.loading import load_pretrained

MODELS = {"vit_base_patch16_224.mae": (16, 224), "vit_small_patch14_dinov2.lvd142m": (14, 518)}  # patch, own size
QUICK = ("vit_small_patch14_dinov2.lvd142m", 112)  # the other has 86 million weights
CASES = [
    pytest.param(name, size, marks=() if (name, size) == QUICK else pytest.mark.slow)
    for name in MODELS
    for size in (112, 224)
]


@pytest.fixture(scope="module")
def file_of(tmp_path_factory):
    """A file as timm saves one, with random weights, of the model at its own size."""

    @lru_cache
    def make(name):
        torch.manual_seed(0)
        state = timm.create_model(name, pretrained=False, num_classes=0).state_dict()
        state["pos_embed"] = torch.randn_like(state["pos_embed"])  # not the smooth small numbers it begins with
        path = tmp_path_factory.mktemp("vit") / f"{name}.safetensors"
        save_file(state, path)
        return path

    return make


def plan_of(name, path, size):
    options = {"encoder.face.weights": str(path), "encoder.face.size": size}
    answers = (Answer("valence", "value", -5),)
    return make_plan(
        load_registry(), encoders=f"face=timm:{name}", fusion="concat", head="mlp", answers=answers, options=options
    ).slots[0]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_position_embeddings_are_resampled_as_timm_does(file_of, name, size):
    slot = plan_of(name, file_of(name), size)
    assert slot.frozen
    encoder = tm.TimmEncoder("face", name, size=size).eval()
    with no_network():
        load_pretrained(encoder, slot.passport, download=False)
        theirs = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay={"file": str(file_of(name))}, img_size=size, num_classes=0
        ).eval()
    patch, _ = MODELS[name]
    assert encoder.net.pos_embed.shape[1] == (size // patch) ** 2 + 1  # one for the class token
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got, expected = encoder.encode(x), theirs(x)
    assert got.std() > 0.1
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_resampled_embeddings_are_those_of_the_file(file_of):
    """Bicubic with antialiasing from 37 x 37 to 8 x 8, by torch alone; the class token's stays."""
    name = "vit_small_patch14_dinov2.lvd142m"
    encoder = tm.TimmEncoder("face", name, size=112)
    load_pretrained(encoder, plan_of(name, file_of(name), 112).passport, download=False)
    whole = timm.models.load_state_dict(str(file_of(name)))["pos_embed"]
    grid = whole[:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(grid, (8, 8), mode="bicubic", antialias=True)
    expected = torch.cat([whole[:, :1], small.permute(0, 2, 3, 1).flatten(1, 2)], 1)
    torch.testing.assert_close(encoder.net.pos_embed.detach(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "default", "saw", "license"),
    [
        ("vit_base_patch16_224.mae", 224, ("ImageNet-1k",), "cc-by-nc-4.0"),
        ("vit_small_patch14_dinov2.lvd142m", 224, ("LVD-142M",), "apache-2.0"),
    ],
)
def test_default_size_and_passport(name, default, saw, license):
    """MAE's own size; 224 for DINOv2, whose own is 518."""
    with no_network(), torch.device("meta"):
        assert tm.TimmEncoder("face", name).input.size == default
        found = tm.passport("face", name)
    assert (found.saw, found.license) == (saw, license)


def test_a_size_that_cuts_patches_is_refused_before_anything_is_loaded():
    with refused("plugin-error", match="size; .* 518"):
        tm.TimmEncoder("face", "vit_small_patch14_dinov2.lvd142m", size=120)


@pytest.mark.slow
def test_a_file_of_another_vit_names_tensors_and_shapes(file_of):
    """A tiny ViT's file for a small one."""
    slot = plan_of("vit_small_patch16_224", file_of("vit_tiny_patch16_224"), 112)
    encoder = tm.TimmEncoder("face", "vit_small_patch16_224", size=112)
    with refused("weights-do-not-fit", names=Part("net.cls_token is (1, 1, 192) instead of (1, 1, 384)")):
        load_pretrained(encoder, slot.passport, download=False)
