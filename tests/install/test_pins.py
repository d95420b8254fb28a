"""What is installed is what the project was tested with: one resolved set, written down by scripts/pin.py."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.runtime import machine
from tests.support.paths import ROOT
from tests.support.scripts import script
from zoo.libraries import HEAVY, MATCHING

CONSTRAINTS = ROOT / "constraints.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PIN = r"[a-z0-9._-]+==[0-9][0-9a-z.+!]*( ; python_full_version [<>]=? '[0-9.]+'( and python_full_version [<>]=? '[0-9.]+')?)?"

pytestmark = pytest.mark.skipif(not CONSTRAINTS.is_file(), reason="this copy is unpinned (scripts/pin.py --unpinned)")


def lines() -> list[str]:
    return [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def test_uv_and_pip_are_given_the_same_names_and_versions() -> None:
    assert PROJECT["tool"]["uv"]["constraint-dependencies"] == lines()


def test_pins_are_names_and_versions_alone() -> None:
    """No host, path or file: neither says where a package came from."""
    everything = lines() + PROJECT["tool"]["uv"]["build-constraint-dependencies"]
    assert [line for line in everything if not re.fullmatch(PIN, line)] == []
    assert len(lines()) > 100


def test_what_is_compiled_for_one_another_is_pinned_exactly() -> None:
    """A range of torchaudio once took a build that did not load beside torch: every sound encoder failed."""
    declared = {Requirement(d).name: str(Requirement(d).specifier) for d in PROJECT["project"]["dependencies"]}
    pinned = dict(line.split("==") for line in lines() if line.partition("==")[0] in MATCHING)
    assert {name: declared[name] for name in MATCHING} == {name: f"=={version}" for name, version in pinned.items()}


def test_the_installed_versions_are_the_pinned_ones() -> None:
    differing = [str(one) for one in machine.differences()]
    assert not differing, f"install again (`uv sync`), or write the new set down (scripts/pin.py): {differing}"


def test_everything_that_the_project_needs_is_pinned() -> None:
    """Also what a dependency asks for: one that is not written down is resolved anew next year."""
    missing = sorted(name for name in closure(machine.PROJECT) if name not in machine.pinned())
    assert not missing, f"not in constraints.txt; run scripts/pin.py: {missing}"


def closure(project: str) -> set[str]:
    """Canonical names of all installed distributions that a project needs here, over all its extras."""
    extras = {"", *(metadata.metadata(project).get_all("Provides-Extra") or ())}
    waiting, found = [(project, frozenset(extras))], set()
    while waiting:
        name, wanted = waiting.pop()
        for text in metadata.requires(name) or ():
            one = Requirement(text)
            if one.marker is not None and not any(one.marker.evaluate({"extra": extra}) for extra in wanted | {""}):
                continue
            try:
                metadata.version(one.name)
            except metadata.PackageNotFoundError:
                continue  # of an extra that is not installed here
            if canonicalize_name(one.name) not in found:
                found.add(canonicalize_name(one.name))
                waiting.append((one.name, frozenset(one.extras)))
    return found


def test_a_difference_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = dict(machine.pinned())
    monkeypatch.setattr(machine, "pinned", lambda: {**real, "torch": "1.0", "not-installed": "1.0"})
    (found,) = machine.differences()
    assert str(found) == f"torch {metadata.version('torch').partition('+')[0]} (tested with 1.0)"


@pytest.mark.parametrize("local", ["+cpu", "+cu130"])
def test_a_build_for_other_devices_is_no_difference(monkeypatch: pytest.MonkeyPatch, local: str) -> None:
    monkeypatch.setattr(machine, "version", lambda name: machine.pinned()[name] + local)
    assert machine.differences() == []


def test_every_library_that_is_tried_is_a_dependency() -> None:
    assert set(HEAVY.values()) <= closure(machine.PROJECT)
    assert [name for name in HEAVY if importlib.util.find_spec(name) is None] == []


# --- the script -------------------------------------------------------------------------------------------------------


def test_an_unpinned_copy_has_ranges_and_no_pins(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run([sys.executable, ROOT / "scripts/pin.py", "--unpinned", "--root", tmp_path], check=True)
    assert not (tmp_path / "constraints.txt").exists()
    left: dict[str, Any] = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))
    assert left["tool"]["uv"] == {
        key: value
        for key, value in PROJECT["tool"]["uv"].items()
        if key not in ("exclude-newer", "constraint-dependencies", "build-constraint-dependencies")
    }
    declared = [Requirement(line) for line in left["project"]["dependencies"]]
    assert [one.name for one in declared if "==" in str(one.specifier)] == []
    assert {one.name for one in declared} == {Requirement(d).name for d in PROJECT["project"]["dependencies"]}
    for one in declared:  # what is pinned lies in the range that the weekly jobs try
        version = machine.pinned()[canonicalize_name(one.name)]
        assert one.specifier.contains(version), one


def test_pinning_again_changes_nothing() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    uv = PROJECT["tool"]["uv"]
    day = uv["exclude-newer"].partition("T")[0]
    module = script("pin")
    again = module.with_block(text, uv["constraint-dependencies"], uv["build-constraint-dependencies"], day)
    assert again == text
    assert str(module.day_of(text)) == day
    assert module.without_block(module.without_block(text)) == module.without_block(text)


@pytest.mark.parametrize(
    ("exported", "pins"),
    [
        ("b==2\na==1.0 ; sys_platform == 'linux'\n", ["a==1.0", "b==2"]),
        (
            "n==1 ; python_full_version < '3.12'\nn==2 ; python_full_version >= '3.12'",
            ["n==1 ; python_full_version < '3.12'", "n==2 ; python_full_version >= '3.12'"],
        ),
        (
            "n==1 ; python_full_version < '3.12' and sys_platform == 'win32'\nn==2 ; python_full_version >= '3.12'",
            ["n==1 ; python_full_version < '3.12'", "n==2 ; python_full_version >= '3.12'"],
        ),
        ("n==1 ; sys_platform == 'linux'\nn==1 ; sys_platform == 'win32'", ["n==1"]),
    ],
)
def test_systems_are_left_out_and_pythons_are_kept(exported: str, pins: list[str]) -> None:
    assert script("pin").pins_of(exported) == pins


@pytest.mark.parametrize("exported", ["x @ https://host/x.whl", "-e ./x", "n==1 ; sys_platform == 'a'\nn==2"])
def test_what_cannot_be_written_as_name_and_version_is_refused(exported: str) -> None:
    with pytest.raises(SystemExit):
        script("pin").pins_of(exported)
