"""What is imported, from where, and what is not: each in a fresh process."""

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY_POINTS = PROJECT["entry-points"]["abaw_zoo"]

# Packages that take their time, and none of which is needed to print a list.
HEAVY = ("torch", "timm", "torchvision", "torchaudio", "cv2", "pandas", "av", "pyarrow", "sklearn", "scipy")
ZOO = [
    "zoo.api",
    "zoo.tracks",
    "zoo.errors",
    "zoo.registry.suggestions",
    "zoo.registry.slots",
    "zoo.registry.options",
    "zoo.registry.registry",
    "zoo.registry.plan",
]
CLI = ["harness.cli", "harness.config.schema", *ENTRY_POINTS.values()]


def modules(folder: str, pattern: str) -> list[str]:
    """Dotted names of the files under a folder of the checkout."""
    files = (path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / folder).glob(pattern)))
    return [".".join(path.parts).removesuffix(".__init__") for path in files]


def python(code: str, *path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process, with folders first on its path, away from the checkout."""
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=given | environment, cwd="/", timeout=120
    )


@pytest.mark.parametrize("name", ["zoo", "plugins", "harness", "leaderboards"])
def test_the_import_names_mean_this_checkout(name):
    """They are common words: another package of the same name, earlier on the path, would answer instead."""
    done = python(f"import {name}; print({name}.__file__)")
    assert done.returncode == 0, done.stderr
    found = Path(done.stdout.strip())
    assert found == ROOT / name / "__init__.py", f"another {name!r} is installed or the checkout is not: install again"


@pytest.mark.parametrize(("group", "declared"), PROJECT["entry-points"].items())
def test_every_declared_entry_point_is_installed(group, declared):
    found = importlib.metadata.distribution(PROJECT["name"]).entry_points.select(group=group)
    installed = {point.name: point.value for point in found}
    assert installed == declared, "pyproject.toml has changed since the project was installed: install it again"


def fakes(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} is imported, and must not be')\n")
    return folder


@pytest.mark.parametrize("name", sorted({*ZOO, *CLI, *modules("plugins", "*/__init__.py")}))
def test_light_files_need_no_heavy_package(name, tmp_path):
    banned = HEAVY if name == "harness.config.schema" or not name.startswith("zoo.") else (*HEAVY, "numpy")
    done = python(f"import {name}", fakes(tmp_path, banned))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", modules("leaderboards", "**/*.py"))
def test_records_and_tables_need_no_torch(name, tmp_path):
    """Old records must be read for ever, whatever becomes of the networks."""
    done = python(f"import {name}", fakes(tmp_path, HEAVY[:6]))
    assert done.returncode == 0, done.stderr


def test_the_fakes_are_found_first(tmp_path):
    done = python("import torch", fakes(tmp_path, HEAVY))
    assert "torch is imported, and must not be" in done.stderr


def test_the_catalogue_is_read_without_a_heavy_package(tmp_path):
    code = """
import json
from zoo import api
from zoo.registry import registry
found = registry.load()
names = {kind: found.names(kind) for kind in api.KINDS}
print(json.dumps({"problems": [str(p) for p in found.problems], "names": names}))
"""
    done = python(code, fakes(tmp_path, HEAVY))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["problems"] == []
    assert {"face", "body", "context", "audio"} <= set(answer["names"]["streams"])
    assert all(answer["names"].values()), answer["names"]


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"]], ids=" ".join)
def test_help_and_list_answer_without_a_heavy_package(arguments, tmp_path):
    done = python(f"import sys; sys.argv[1:] = {arguments}; import harness.cli as c; c.main()", fakes(tmp_path, HEAVY))
    assert done.returncode == 0, done.stderr
    assert ("run" if arguments == ["--help"] else "lite0") in done.stdout
