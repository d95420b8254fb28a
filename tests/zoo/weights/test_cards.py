"""Files of weights are found where their passports say, and their digests compared."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.refusals import Part, refused
from zoo.api import ModelCard
from zoo.weights import loading
from zoo.weights.cards import describe, place, seen_affwild2


def passport(**given) -> ModelCard:
    return ModelCard(**{"name": "net", "sha256": None, "license": "MIT", "source": "a test", **given})


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {"a": torch.arange(6.0)}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def file(tmp_path, state) -> Path:
    torch.save(state, tmp_path / "net.pt")
    return tmp_path / "net.pt"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("length", [8, 12, 64])
def test_a_digest_or_its_beginning_is_compared(file, length):
    assert loading.find(passport(path=str(file), sha256=digest(file)[:length])) == file
    assert loading.find(passport(path=str(file), sha256=digest(file)[:length].upper())) == file
    assert not file.with_name("net.pt.sha256").exists()


def test_a_wrong_digest_names_file_expected_and_found(file):
    with refused("weights-digest-wrong", what=file, wanted="0123456789", got=digest(file)):
        loading.find(passport(path=str(file), sha256="0123456789"))


@pytest.mark.parametrize("bad", ["", "1234567", "not hex at all", "0" * 65])
def test_a_digest_that_is_none_is_refused(file, bad):
    with refused("weights-digest-invalid", expected=bad):
        loading.find(passport(path=str(file), sha256=bad))


def test_without_a_digest_the_first_use_is_recorded_and_compared_ever_after(file):
    ledger = file.with_name("net.pt.sha256")
    first = digest(file)
    for _ in range(2):
        assert loading.find(passport(path=str(file))) == file
        assert ledger.read_text() == f"{first}  net.pt\n"
    with file.open("ab") as more:
        more.write(b"!")
    with refused("weights-changed", file=file, wanted=first, got=digest(file), ledger=ledger):
        loading.find(passport(path=str(file)))
    ledger.unlink()
    assert loading.find(passport(path=str(file))) == file


def test_where_the_folder_cannot_be_written_the_first_use_is_recorded_in_the_cache(file, tmp_path, monkeypatch):
    replace = os.replace

    def refuse(source, target):
        if Path(target).parent == file.parent:
            raise PermissionError(13, "Permission denied", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    loading.find(passport(path=str(file)))
    assert sorted(p.name for p in file.parent.iterdir()) == ["cache", "net.pt"]
    (ledger,) = (tmp_path / "cache" / "weights" / "trusted").iterdir()
    assert ledger.read_text().startswith(digest(file))
    file.write_bytes(b"other")
    with refused("weights-changed", file=file, ledger=ledger):
        loading.find(passport(path=str(file)))


def test_the_digest_of_a_file_is_computed_once_until_it_changes(file, monkeypatch):
    monkeypatch.setattr("zoo.files.TICK", -(10**9))
    calls = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: calls.append(1) or real(*given))
    first = loading.file_sha256(file)
    assert loading.file_sha256(file) == first == digest(file)
    assert len(calls) == 1
    file.write_bytes(b"other")
    assert loading.file_sha256(file) == digest(file) != first
    assert len(calls) == 2


def test_a_file_in_an_installed_package_is_found_without_importing_it(tmp_path, file, monkeypatch):
    package = tmp_path / "site" / "weight_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    file.rename(package / "models" / "net.pt")
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = loading.find(passport(package=("weight_package", "models/net.pt")))
    assert found == package / "models" / "net.pt"
    with refused("weights-package-file-missing", name="net", module="weight_package", inside="net.pt"):
        loading.find(passport(package=("weight_package", "net.pt")))


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inner"])
def test_a_missing_package_says_what_to_do(module):
    with refused("weights-package-missing", module=module, instead=Part("--set encoder.SLOT.weights=FILE")) as error:
        loading.find(passport(package=(module, "net.pt")))
    assert "--set encoder.SLOT.pretrained=false" in error.value.fields["instead"]


def test_a_missing_file_is_named(tmp_path):
    with refused("weights-file-missing", file=tmp_path / "absent.pt", instead=Part("--set encoder.SLOT.weights=FILE")):
        loading.find(passport(path=str(tmp_path / "absent.pt")))


@pytest.mark.parametrize("given", [{}, {"path": "a", "url": "http://b"}])
def test_a_passport_names_one_place(given):
    with refused("card-place"):
        loading.find(passport(**given))


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    assert loading.cache_folder() == tmp_path / "cache" / "weights"
    monkeypatch.delenv("ABAW_ZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert loading.cache_folder() == tmp_path / "xdg" / "abaw-zoo" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loading.cache_folder() == tmp_path / ".cache" / "abaw-zoo" / "weights"


def test_a_record_has_all_that_is_known_and_no_path(file):
    given = passport(
        path=str(file), saw=("Aff-Wild2",), classes=("a", "b"), input="112 x 112", citation="Some 2020", size=3
    )
    record = describe(given, file)
    assert json.loads(json.dumps(record)) == record
    assert str(file.parent) not in json.dumps(record)
    wanted = {"seen_affwild2": True, "classes": ["a", "b"], "input": "112 x 112", "citation": "Some 2020"}
    assert wanted.items() <= record.items()
    assert record["size"] == file.stat().st_size
    assert "rights_known" not in record  # records from before this field stay as they were
    assert describe(replace(given, rights_known=False), file) == {**record, "rights_known": False}


@pytest.mark.parametrize(
    ("saw", "seen"),
    [
        ((), None),
        (("AffectNet", "AFEW"), False),
        (("AffectNet", "Aff-Wild2"), True),
        (("affwild2 (VA set)",), True),
        (("Aff-Wild",), True),
    ],
)
def test_what_has_seen_affwild2_is_known(saw, seen):
    assert seen_affwild2(passport(saw=saw)) is seen


def test_the_place_of_a_file_is_known_before_it_is_there(tmp_path):
    here = tmp_path / "cache" / "weights"
    assert place(passport(url="https://a.b/c/net.pt")) == here / "a.b" / "c" / "net.pt"
    assert place(passport(url="https://a.b/net.pt"), tmp_path) == tmp_path / "a.b" / "net.pt"
    assert place(passport(path="/x/net.pt")) == Path("/x/net.pt")
    assert place(passport(package=("no_such_package", "net.pt"))) is None
    assert place(passport()) is None
