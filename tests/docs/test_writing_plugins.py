"""docs/plugins/, followed literally: its files written, its commands run in order, its lists held to the code."""

from __future__ import annotations

import importlib
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from harness import cli
from harness.cli.commands.plugin_new import KINDS
from tests.docs.pages import Block, blocks, read
from tests.support.paths import ROOT
from zoo import api
from zoo.registry.registry import load

PAGES = (
    "index",
    "encoder",
    "augmentation",
    "fusion",
    "head",
    "loss",
    "postprocessor",
    "detector",
    "logger",
    "corpus",
    "stream",
    "edition",
    "hooks",
)
PAGE = "\n".join(read(ROOT / "docs" / "plugins" / f"{name}.md") for name in PAGES)


BLOCKS = blocks(PAGE)
SECTIONS = list(dict.fromkeys(block.section for block in BLOCKS))


class Reader:
    """A reader at a shell: types a command, looks at the exit code."""

    def __init__(self, place: Path, patch: pytest.MonkeyPatch) -> None:
        self.place, self.patch = place, patch
        self.last = ""
        self.skip: tuple[str, ...] = ()

    def follow(self, section: str) -> None:
        for block in BLOCKS:
            if block.section == section:
                self.read(block)

    def read(self, block: Block) -> None:
        if block.language == "python":
            name = re.match(r"# (\w+\.py)\n", block.text).group(1)
            (self.place / name).write_text(block.text)
        elif block.language == "text":
            loose = re.escape(block.text.strip()).replace(r"\-", "-")
            loose = re.sub(r"-?\d+\\\.\d+", r"-?[\\d.e-]+", loose).replace(r"\[20,\ 0\]", r"\[\d+,\ \d+\]")
            assert re.search(loose, self.last), self.last
        elif block.language.split()[0] == "sh":
            for line in block.text.splitlines():
                if not (self.skip and line.startswith(self.skip)):
                    self.type(line, fails="fails" in block.language)
        else:
            assert block.language == "console"  # shown, not run: it installs this project

    def type(self, line: str, fails: bool) -> None:
        program, *arguments = shlex.split(line, comments=True)
        if program == "harness":
            code = self.harness(arguments)
        elif program == "uv":
            assert arguments[:3] == ["pip", "install", "-e"]
            code = self.install(self.place / arguments[3])
        else:
            assert program == "pytest"
            code = self.pytest(arguments)
        assert code == (1 if fails else 0), f"{line}\n{self.last}"

    def harness(self, arguments: list[str]) -> int:
        out, code = io.StringIO(), 0
        self.patch.setattr(sys, "argv", ["harness", *arguments])
        with redirect_stdout(out), redirect_stderr(out):
            try:
                cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
        self.last = out.getvalue()
        return code

    def install(self, folder: Path) -> int:
        """As an installer leaves it, without a network or a build tool: its folder on the path, with a .dist-info."""
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        points = project["entry-points"]["abaw_zoo"]
        lines = [f"{name} = {value}\n" for name, value in points.items()]
        (about / "entry_points.txt").write_text("[abaw_zoo]\n" + "".join(lines))
        self.patch.syspath_prepend(folder)
        importlib.invalidate_caches()
        return 0

    def pytest(self, arguments: list[str]) -> int:
        path = os.pathsep.join([*(str(self.place / a) for a in arguments), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
            cwd=self.place,
            timeout=300,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        self.last = done.stdout + done.stderr
        return done.returncode


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Somebody in an empty folder."""
    place = tmp_path / "newcomer"
    place.mkdir()
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("warnings.showwarning", None)
    monkeypatch.chdir(place)
    yield Reader(place, monkeypatch)
    for name in ("my_head", "my_head.network"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_followed_from_top_to_bottom_it_leads_to_a_ranked_run_of_every_kind(reader):
    ranked = ""
    for section in SECTIONS:
        reader.follow(section)
        ranked = ranked or reader.last  # the end of the first section
    table = [line for line in ranked.splitlines() if line.startswith("| ")]
    assert any("| mine " in line and "my-encoder" in line for line in table)
    assert any("| theirs " in line for line in table)
    assert (reader.place / "runs/mine/weights.safetensors").is_file()
    assert len(list((reader.place / "runs").glob("*/record.json"))) == 13


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_can_be_followed_up_to_training(reader, section):
    reader.skip = ("harness run", "harness pretrain", "harness data", "harness leaderboard", "pytest")
    reader.follow(section)


def test_there_is_a_section_for_every_kind_with_an_example_that_is_checked():
    for kind in api.KINDS:
        title = {"losses": "Loss", "postprocessors": "Post-processor", "corpora": "Corpus"}.get(
            kind, kind.removesuffix("s").capitalize()
        )
        own = [block for block in BLOCKS if block.section == title]
        assert {block.language for block in own} == {"python", "sh"}, title
        assert any("harness plugin check" in block.text for block in own)
        assert any(f"harness {'pretrain' if kind == 'corpora' else 'run'}" in block.text for block in own)
        (example,) = (block.text for block in own if block.language == "python")
        assert f"@api.hookimpl\ndef {kind}():" in example


# --- the list of hooks ------------------------------------------------------------------------------------------------

ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
HOOKS = {row[0].strip("`").removesuffix("()"): row[1:] for row in ROWS if row[0].endswith("()`")}
SPECS = {kind: get_args(get_type_hints(getattr(api.Hooks, kind))["return"])[0] for kind in api.KINDS}


def test_every_hook_is_listed_in_order_with_its_arguments_and_what_it_returns():
    assert tuple(HOOKS) == api.KINDS
    for kind, row in HOOKS.items():
        assert list(inspect.signature(getattr(api.Hooks, kind)).parameters) == ["self"], "the list says: no arguments"
        assert row[0] == f"`{SPECS[kind].__name__}`"


def without_types(call: str) -> str:
    """build(dims: dict[slot, int], build) -> build(dims, build)"""
    while (plain := re.sub(r"\[[^\[\]]*\]", "", call)) != call:
        call = plain
    return re.sub(r": [^,)]*", "", call)


@pytest.mark.parametrize("kind", api.KINDS)
def test_what_is_called_is_what_the_spec_says(kind):
    """The argument lists of the page are those of zoo/api.py, and every call that it names is on the page."""
    said = set(re.findall(r"`((?:build|passport|reader)\([^`]*\))`", HOOKS[kind][1]))
    text = " ".join((SPECS[kind].__doc__ or "").split())
    written = {without_types(call) for call in re.findall(r"``((?:build|passport|reader)\(.*?\))``", text)}
    assert written == {call for call in said if call != "reader(source)"}
    names = {field.name for field in fields(SPECS[kind])}
    assert {call.partition("(")[0] for call in said} == names & {"build", "passport", "reader"}


@pytest.mark.parametrize("kind", api.KINDS)
def test_built_in_blocks_take_the_arguments_that_are_listed(kind):
    called = re.search(r"`(?:build|reader)\(([^`]*)\)`", HOOKS[kind][1])
    if called is None:
        assert kind == "editions"
        return
    wanted = [name for name in called.group(1).split(", ") if name and not name.startswith("**")]
    for entry in load().entries(kind):
        target = entry.spec.reader if kind == "streams" else entry.spec.build
        module, _, name = target.partition(":")
        parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        free = [p for p in parameters if p not in getattr(entry.spec, "options", {})]
        assert free[: len(wanted)] == wanted, entry.name


@pytest.mark.parametrize("kind", KINDS)
def test_the_methods_that_are_listed_are_those_of_the_templates(kind, tmp_path):
    out = io.StringIO()
    from harness.cli.commands.plugin_new import new

    with redirect_stdout(out):
        new(f"listed-{kind}", kind, single_file=True, out=tmp_path)
    (entry,) = (e for e in load([tmp_path / f"listed_{kind}.py"]).entries(KINDS[kind].hook) if e.package == "file")
    for name, arguments in re.findall(r"`(\w+)\(([^`]*)\)`", HOOKS[KINDS[kind].hook][2]):
        if arguments != "...":
            found = list(inspect.signature(getattr(entry.spec.build, name)).parameters)[1:]
            assert found == arguments.split(", ") * bool(arguments), name


def test_the_fields_of_every_spec_are_listed_in_order():
    listed = dict(re.findall(r"^- `(\w+Spec)\((.*)\)`$", PAGE, re.MULTILINE))
    assert listed == {spec.__name__: ", ".join(field.name for field in fields(spec)) for spec in SPECS.values()}
