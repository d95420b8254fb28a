"""Places365's files, made here as they were published in 2017, give torchvision's own features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from plugins.encoders import encoders, places365
from tests.support.refusals import Part, refused
from zoo.testing import no_network
from zoo.weights.loading import load_pretrained

SPEC = next(spec for spec in encoders() if spec.name == "places365")


def published(folder: Path, answers: int = 365) -> tuple[nn.Module, Path]:
    """A network with random weights and statistics, and its file: the older form, names with module., no counters of
    batches (torch had none then), a score beside them."""
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=answers).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.2)
    state = {f"module.{k}": t for k, t in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    content = {"epoch": 90, "arch": "resnet18", "state_dict": state, "best_prec1": 54.7}
    path = folder / "resnet18_places365.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return net, path


def test_the_features_are_those_of_the_published_network(tmp_path):
    net, path = published(tmp_path)
    encoder = places365.Places365("context", "resnet18")
    given = replace(places365.passport("context", "resnet18"), url=None, path=str(path))
    loaded = load_pretrained(encoder, given)
    pictures = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    net.fc = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval().encode(pictures), net(pictures), rtol=1e-5, atol=1e-6)
    assert loaded.notes == (
        "taken from 'state_dict'",
        "'module.' taken off all names",
        "20 counters of batches, which the file lacks, are 0",
    )


def test_a_file_of_another_network_is_told(tmp_path):
    _, path = published(tmp_path)
    given = replace(places365.passport("context", "resnet50"), url=None, path=str(path))
    with refused("weights-do-not-fit", names=Part("(net.layer1.0.conv1.weight is (64, 64, 3, 3) instead of ")):
        load_pretrained(places365.Places365("context", "resnet50"), given)


@pytest.mark.parametrize(("name", "dim"), [("resnet50", 2048), ("resnet18", 512)])
def test_what_is_known_of_the_files(name, dim):
    with no_network():
        passport = places365.passport("context", name)
    assert passport.url == f"http://places2.csail.mit.edu/models_places365/{name}_places365.pth.tar"
    assert (passport.license, passport.saw, passport.sha256) == ("CC BY", ("Places365-Standard",), None)
    with torch.device("meta"):
        assert places365.Places365("context", name).dim == dim
    assert name in SPEC.names


def test_a_size_that_is_none_is_told():
    with refused("plugin-error", match="'size' of encoder 'places365'"):
        places365.Places365("context", "resnet18", size=0)
