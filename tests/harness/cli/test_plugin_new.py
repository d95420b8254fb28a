"""`harness plugin new`: what it writes is listed, keeps the rules and trains at once."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.plugin_cases import HOOKS, USES, install
from tests.support.refusals import Part, refused

TWO_STEPS = ("--epochs", 1, "--set", "train.batch=3")  # five training videos of one clip each


def quick(*kinds: str) -> list[object]:
    """Every kind, those that are not named in the long suite only."""
    return [kind if kind in kinds else pytest.param(kind, marks=pytest.mark.slow) for kind in HOOKS]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installed(monkeypatch):
    """Install a package for this test."""
    before = set(sys.modules)

    def now(folder: Path) -> None:
        install(folder)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()

    yield now
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def train(program, kind: str, name: str, *more: object) -> dict:
    """Train two steps on the crumb set with a block of this kind; the record's result."""
    folder = program.run(Path("runs"), "r", *(part.format(name) for part in USES[kind]), *TWO_STEPS, *more)
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "done"
    return record["result"]


def names(program, kind: str, *more: object) -> dict[str, str]:
    """Name -> package of all blocks of this kind."""
    answer = program("list", HOOKS[kind], "--json", *more)
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["problems"] == []
    return {block["name"]: block["package"] for block in found["blocks"]}


@pytest.mark.parametrize("kind", quick("fusion"))
def test_a_single_file_works_at_once(program, kind):
    name, file = f"my-{kind}", f"my_{kind}.py"
    answer = program("plugin", "new", name, "--kind", kind, "--single-file")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"written: {file}\nnext:\n    harness plugin check {file}\n")
    assert os.listdir() == [file]
    assert names(program, kind, "--plugin", file)[name] == "file"
    answer = program("plugin", "check", file)
    assert (answer.code, answer.err) == (0, ""), answer.out
    assert ", 0 failed, " in answer.out
    plugin = ("--plugin", file)
    if kind == "detector":
        crop(program, name, *plugin)
    elif kind == "corpus":
        pretrain(program, name, *plugin)
    else:
        assert -1 <= train(program, kind, name, *plugin)["scores"]["raw"]["main"] <= 1


def crop(program, name: str, *more: object) -> None:
    """Crops that the detector makes of raw videos are trained on."""
    answer = program("data", "crop", program.demo, "--out", "cropped", "--detector", name, "--jobs", 1, *more)
    assert answer.code == 0, answer.err
    assert int(answer.out.partition("a face in ")[2].split()[0]) > 100  # of 240 frames
    answer = program("run", "--data", "cropped", "--out", "runs", "--encoders", "face", *TWO_STEPS)
    assert answer.code == 0, answer.err


def pretrain(program, name: str, *more: object) -> None:
    """A small network learns from the corpus's own sample."""
    answer = program("data", "corpus", name, "faces", "--pictures", 40, *more)
    assert answer.code == 0, answer.err
    net = ("--encoder", "timm:test_resnet", "--set", "encoder.face.pretrained=false", "--set", "encoder.face.size=32")
    answer = program("pretrain", "--corpus", name, "--data", "faces", *net, "--epochs", 1, "--out", "nets", *more)
    assert answer.code == 0, answer.err
    assert "on 8 validation pictures" in answer.out


@pytest.mark.parametrize("kind", quick("encoder"))
def test_a_package_works_once_it_is_installed(program, installed, kind):
    name, module = f"my-{kind}-2", f"my_{kind}_2"
    answer = program("plugin", "new", name, "--kind", kind, "--out", "deep/er")
    assert (answer.code, answer.err) == (0, "")
    folder = Path("deep/er") / name
    assert f"    uv pip install -e {folder}\n    harness plugin check {name}\n" in answer.out
    written = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert written == {
        "pyproject.toml",
        "README.md",
        f"{module}/__init__.py",
        f"{module}/network.py",
        f"tests/test_{module}.py",
    }
    installed(folder.resolve())
    assert names(program, kind)[name] == f"{name} 0.1.0"
    for target in (name, module) if kind == "loss" else (name,):
        answer = program("plugin", "check", target)
        assert (answer.code, answer.err) == (0, ""), answer.out
        assert [line.split() for line in answer.out.splitlines() if "light" in line] == [[module, "light", "passed"]]
    if kind == "detector":
        crop(program, name)
    elif kind == "corpus":
        pretrain(program, name)
    else:
        train(program, kind, name)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "passed"), [("postprocess", 12), ("loss", 15)])
def test_the_package_s_own_tests_pass(program, place, kind, passed):
    """A loss trains to learn, a post-processor does not."""
    program("plugin", "new", f"my-{kind}-3", "--kind", kind)
    folder = place / f"my-{kind}-3"
    install(folder)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        capture_output=True,
        text=True,
        cwd=place,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{passed} passed" in done.stdout


@pytest.mark.parametrize("kind", HOOKS)
def test_what_is_written_is_clean_whatever_it_is_called(program, kind):
    names = ["Tensor", "frame-encoder", "X", "a__b-c-", "user_error"]
    for name in names:
        for flags in ([], ["--single-file"]):
            assert program("plugin", "new", name, "--kind", kind, *flags).code == 0
    lint = ["check", "-q", "--config", str(ROOT / "pyproject.toml"), "--extend-ignore", "TID253,I001,D1"]
    for command in (lint, ["format", "--check", "-q", "--line-length", "120"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *command, "--no-cache", "."]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    for name in names:
        assert program("list", HOOKS[kind], "--plugin", name.replace("-", "_").lower() + ".py").code == 0
    written = [p for p in Path().rglob("*.*") if p.is_file() and p.suffix != ".pyc"]
    assert "$" not in "".join(p.read_text() for p in written)


@pytest.mark.parametrize(
    ("name", "kind", "refusal"),
    [
        ("class", "head", refused("plugin-name-keyword", name="class")),
        ("none", "head", refused("plugin-name-keyword", name="none")),
        ("gru", "head", refused("plugin-name-taken", name="gru", owner="plugins.heads (abaw-zoo 0.1.0)", hook="heads")),
        ("9lives", "head", refused("plugin-name-invalid", name="9lives")),
        ("my encoder", "head", refused("plugin-name-invalid", name="my encoder")),
        ("json", "head", refused("plugin-hides-module", name="json", module="json")),
        ("Torch", "encoder", refused("plugin-hides-module", name="Torch", module="torch")),
        (
            "mine",
            "heads",
            refused(
                "plugin-kind-unknown",
                kind="heads",
                hint=Part("'head'"),
                names=Part("encoder, augmentation, fusion, head, loss, postprocess"),
            ),
        ),
        (
            "mine",
            "stream",
            refused(
                "plugin-kind-unknown",
                names="encoder, augmentation, fusion, head, loss, postprocess, detector, logger, corpus",
            ),
        ),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--single-file",)])
def test_bad_names_are_refused_in_a_line(program, place, name, kind, refusal, flags):
    answer = program("plugin", "new", name, "--kind", kind, *flags)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    refusal.check(answer.error)
    assert answer.err.count("\n") == 1
    assert os.listdir(place) == []


@pytest.mark.parametrize(("flags", "path"), [((), "mine"), (("--single-file",), "mine.py")])
def test_nothing_is_overwritten(program, place, flags, path):
    (place / path).write_text("precious")
    answer = program("plugin", "new", "mine", "--kind", "head", *flags)
    assert answer.code == 2
    answer.refused("plugin-exists", where=path)
    assert (place / path).read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_named(program, place):
    (place / "file").write_text("")
    answer = program("plugin", "new", "mine", "--kind", "head", "--out", "file")
    assert answer.code == 2
    answer.refused("plugin-not-writable", where="file/mine", strerror="Not a directory")


def test_the_templates_come_with_the_package():
    """They lie beside the code, in no folder that a build leaves out."""
    here = files("harness.cli.commands") / "templates"
    assert {p.name for p in here.iterdir() if p.name.endswith(".txt")} == {
        *(f"{kind}.txt" for kind in HOOKS),
        "package_pyproject.txt",
        "package_readme.txt",
        "package_test.txt",
    }
    ignored = (ROOT / ".gitignore").read_text().split()
    assert not {"*.txt", "templates", "templates/", "harness/"} & set(ignored)
