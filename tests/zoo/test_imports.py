"""What is imported, from where, and what is not: each in a fresh process."""

import functools
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
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


def python(code: str, *path: Path, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process, with folders first on its path, away from the checkout."""
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=given, cwd="/", timeout=120)


IN_TURN = """
import importlib, json, sys
said = {}
for name in json.loads(sys.argv[1]):
    for known in [known for known in sys.modules if known.partition(".")[0] in ("zoo", "plugins", "harness", "leaderboards")]:
        del sys.modules[known]
    try:
        said[name] = importlib.import_module(name).__file__
    except BaseException as error:
        said[name] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


@functools.cache
def imported(names: tuple[str, ...], banned: tuple[str, ...]) -> dict[str, str]:
    """Import modules in turn in one fresh process, where some packages raise; the file of each, or what it raised.

    Before each, all modules of this checkout are forgotten, so that each is imported as the first one is.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = python(IN_TURN, fakes(Path(folder), banned), arguments=[json.dumps(names)])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def file_of(name: str) -> str:
    path = ROOT.joinpath(*name.split("."))
    module = path.with_suffix(".py")  # leaderboards.published has a folder of data beside it
    return str(module if module.is_file() else path / "__init__.py")


NAMES = ("zoo", "plugins", "harness", "leaderboards")


@pytest.mark.parametrize("name", NAMES)
def test_the_import_names_mean_this_checkout(name):
    """They are common words: another package of the same name, earlier on the path, would answer instead."""
    assert imported(NAMES, ())[name] == file_of(name), (
        f"another {name!r} is installed or the checkout is not: install again"
    )


@pytest.mark.parametrize(("group", "declared"), PROJECT["entry-points"].items())
def test_every_declared_entry_point_is_installed(group, declared):
    found = importlib.metadata.distribution(PROJECT["name"]).entry_points.select(group=group)
    installed = {point.name: point.value for point in found}
    assert installed == declared, "pyproject.toml has changed since the project was installed: install it again"


def fakes(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} is imported, and must not be')\n")
    return folder


LIGHT = sorted({*ZOO, *CLI, *modules("plugins", "*/__init__.py")})
LIGHTER = tuple(name for name in LIGHT if name.startswith("zoo."))  # needs no numpy either


@pytest.mark.parametrize("name", LIGHT)
def test_light_files_need_no_heavy_package(name):
    same = (LIGHTER, (*HEAVY, "numpy")) if name in LIGHTER else (tuple(n for n in LIGHT if n not in LIGHTER), HEAVY)
    assert imported(*same)[name] == file_of(name)


RECORDS = tuple(modules("leaderboards", "**/*.py"))


@pytest.mark.parametrize("name", RECORDS)
def test_records_and_tables_need_no_torch(name):
    """Old records must be read for ever, whatever becomes of the networks."""
    assert imported(RECORDS, HEAVY[:6])[name] == file_of(name)


def test_one_that_is_not_light_is_found_among_others():
    """Importing in turn in one process hides nothing: zoo.losses imports zoo.modules, which has failed before it."""
    said = imported(("zoo.api", "zoo.modules", "zoo.losses", "zoo.tracks"), HEAVY)
    assert all(said[name] == file_of(name) for name in ("zoo.api", "zoo.tracks"))
    for name in ("zoo.modules", "zoo.losses"):
        assert said[name] == "ImportError: torch is imported, and must not be"


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


def circle(graph: grimp.ImportGraph) -> list[str]:
    """Return modules that import each other in a circle, also inside functions; [] if there are none."""
    try:
        TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_through_others():
    """Imports inside functions count, those for type checkers alone do not: they are never executed."""
    assert circle(grimp.build_graph(*NAMES, cache_dir=None, exclude_type_checking_imports=True)) == []


def test_a_circle_is_found():
    graph = grimp.ImportGraph()
    for importer, imported_module in (("a", "b"), ("b", "c"), ("c", "b")):
        graph.add_import(importer=importer, imported=imported_module)
    assert set(circle(graph)) == {"b", "c"}
