"""A library that cannot be loaded is one line: which, why, what to do. Each in a fresh process with a broken one."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.runtime import machine
from tests.support.paths import ROOT
from tests.support.program import Program
from tests.support.refusals import Part, refused
from zoo.libraries import HEAVY, check_loaded

UNDEFINED = "libtorchaudio.so: undefined symbol: torch_exception_get_what_without_backtrace"
FAULTS = {
    "OSError": f"import ctypes\nraise OSError('/some/where/{UNDEFINED}')",
    "ImportError": "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
    "RuntimeError": "raise RuntimeError('operator torchvision::nms does not exist')",
    "AttributeError": "import numpy\nnumpy.no_such_name",
}


def harness(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, with a folder of broken libraries first on its path."""
    given = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=given, cwd=path, timeout=120)


def broken(folder: Path, name: str, fault: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(fault + "\n")
    return folder


COMMANDS = {
    "torchaudio": ["check", "--encoders", "audio"],  # imported by the plugin
    "timm": ["check", "--encoders", "face"],
    "torch": ["check", "--encoders", "face"],  # by this program, and by everything else
    "av": ["data", "demo", "out"],
}
# Every fault, and a library of each kind: with torch the program ends before it has loaded anything.
QUICK = {("torchaudio", "OSError"), ("av", "ImportError"), *(("torch", fault) for fault in FAULTS)}


@pytest.mark.parametrize(
    ("library", "fault"),
    [
        pytest.param(library, fault, marks=[] if (library, fault) in QUICK else pytest.mark.slow)
        for library in COMMANDS
        for fault in FAULTS
    ],
)
def test_a_library_that_cannot_be_loaded_is_one_line(tmp_path: Path, library: str, fault: str) -> None:
    done = harness(broken(tmp_path, library, FAULTS[fault]), *COMMANDS[library])
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: the library {HEAVY[library]} ")
    assert f"cannot be loaded ({fault}: " in line
    assert "uv sync" in line
    assert "harness env" in line


def test_one_that_is_missing_is_one_line(tmp_path: Path) -> None:
    fault = "raise ModuleNotFoundError(\"No module named 'av'\", name='av')"
    done = harness(broken(tmp_path, "av", fault), "data", "demo", "out")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "the library av " in line


def test_env_names_what_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four libraries in a child; one ends it, and those after it are tried in another."""
    broken(tmp_path, "simplejpeg", FAULTS["OSError"])
    broken(tmp_path, "timm", "import os, signal\nos.kill(os.getpid(), signal.SIGABRT)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    tried, devices = machine.try_imports(("simplejpeg", "timm", "filelock", "tabulate"))
    errors = {one.name: one.error for one in tried}
    assert list(errors) == ["simplejpeg", "timm", "filelock", "tabulate"]
    assert (errors["filelock"], errors["tabulate"], devices) == (None, None, {})
    assert UNDEFINED in str(errors["simplejpeg"])
    assert "signal 6" in str(errors["timm"])
    program = Program(tmp_path / "cache", tmp_path / "none")
    for found, code in ((tried, 1), (tried[2:], 0)):
        monkeypatch.setattr(machine, "try_imports", lambda found=found: (found, machine._devices()))
        told, shown = program("env", "--json"), program("env")
        assert (told.code, shown.code) == (code, code)
        content = json.loads(told.out)
        assert {name: one["error"] for name, one in content["libraries"].items()} == {o.name: o.error for o in found}
        assert content["devices"]["cpu"]["bf16"] in (True, False)
        for said in ("abaw-zoo", "Python", "device cpu", "cache", "extra ray", "tabulate"):
            assert said in shown.out
        broke = [line.partition(" cannot")[0] for line in shown.err.strip().splitlines()]
        assert broke == ["error: simplejpeg", "error: timm"] * code


@pytest.mark.slow
def test_env_tries_every_library_and_names_what_is_broken(tmp_path: Path) -> None:
    broken(tmp_path, "simplejpeg", FAULTS["OSError"])
    broken(tmp_path, "timm", "import os, signal\nos.kill(os.getpid(), signal.SIGABRT)")  # as a bad build may
    done = harness(tmp_path, "env", "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    errors = {name: library["error"] for name, library in told["libraries"].items() if library["error"]}
    assert set(errors) == {"simplejpeg", "timm"}
    assert UNDEFINED in errors["simplejpeg"]
    assert "signal 6" in errors["timm"]
    assert set(told["libraries"]) == set(HEAVY.values())
    assert told["devices"]["cpu"]["bf16"] in (True, False)
    assert [line.partition(" cannot")[0] for line in done.stderr.strip().splitlines()] == [
        "error: timm",
        "error: simplejpeg",
    ]


@pytest.mark.slow
def test_env_where_all_is_well(tmp_path: Path) -> None:
    done = harness(tmp_path, "env")
    assert done.returncode == 0, done.stderr
    for said in ("abaw-zoo", "Python", "device cpu", "cache", "extra ray", "torchaudio"):
        assert said in done.stdout


def test_other_errors_keep_their_traceback() -> None:
    for error in (
        OSError(2, "No such file"),
        RuntimeError("a fault of ours"),
        ModuleNotFoundError("x", name="harness.x"),
    ):
        check_loaded(error)  # says nothing
    with refused("library-not-loaded", message=Part("torch")):
        check_loaded(ModuleNotFoundError("No module named 'torch'", name="torch"))


# --- systems without POSIX (Windows) ----------------------------------------------------------------------------------

POSIX_ONLY = ("fcntl", "resource", "termios", "pwd", "grp", "pty", "tty", "syslog", "posix")
PACKAGES = ("zoo", "plugins", "harness", "leaderboards")


def test_no_module_imports_at_its_level_what_only_posix_has() -> None:
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found += [(path.name, name) for name in names if name.partition(".")[0] in POSIX_ONLY]
    assert found == []


WITHOUT_POSIX = """
import importlib, json, sys
for name in {blocked}:
    sys.modules[name] = None
for name in {names}:
    importlib.import_module(name)
from harness.runtime.memory import peak_mb
peak_mb()
sys.argv[1:] = ["list"]
from harness.cli import main
main()
"""


@pytest.mark.slow
def test_every_module_is_imported_where_there_is_no_posix() -> None:
    """Light ones and heavy ones, in one process in which those imports fail; then the program answers."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if path.stem != "__main__"]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files]
    assert len(names) > 300
    code = WITHOUT_POSIX.format(blocked=POSIX_ONLY[:5], names=names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", timeout=120)
    assert done.returncode == 0, done.stderr
    assert "lite0" in done.stdout
