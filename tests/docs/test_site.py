"""The documentation site: it builds strictly, loads nothing from elsewhere, and its commands and examples run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from harness.config.recipe import default_encoders
from tests.docs.pages import blocks, harness_commands, read
from tests.support.paths import ROOT
from tests.support.program import Program
from tests.support.scripts import script

DOCS = ROOT / "docs"
HAND_WRITTEN = sorted(
    p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md") if p.name not in ("errors.md", "changelog.md")
)
FOLLOWED = [
    p for p in HAND_WRITTEN if not p.startswith("plugins/") and any(b.language == "sh" for b in blocks(read(DOCS / p)))
]
SMALL = ("--set", "train.epochs=1", "--set", "train.clip=16", "--set", "train.min_steps=1")
"""What makes a training short; the command itself stays as the page has it."""
ENDS = {"data": (0, 1), "reproduce": (0, 1), "verify": (0, 3)}
"""Exit codes that are no failure: the doctor advises, another score is reported, no official list was given."""


def test_generated_pages_are_what_the_code_gives() -> None:
    stale = [path.name for path, content in script("docs_pages").pages().items() if read(path) != content]
    assert not stale, f"run `uv run python scripts/docs_pages.py`: {stale}"


@pytest.mark.parametrize("page", ["../README.md", *HAND_WRITTEN])
def test_every_command_has_the_options_that_are_named(page: str) -> None:
    from harness import cli

    program = typer.main.get_command(cli.app)
    for arguments in harness_commands(read(DOCS / page)):
        parse(program, arguments)


def parse(command: Any, arguments: list[str], above: Any = None) -> None:
    """Parse a command line down to its last subcommand, and call nothing."""
    arguments = [word for word in arguments if word != "..."]
    if any(word in ("--help", "--version", "--install-completion") for word in arguments):
        return
    if hasattr(command, "commands"):  # a group, of click or of typer's own copy of it
        name = arguments[0]
        here = typer.Context(command, info_name=command.name, parent=above)
        below = command.get_command(here, name)
        assert below is not None, f"harness {name}: no such command"
        parse(below, arguments[1:], here)
        return
    command.make_context(str(command.name), list(arguments), parent=above)


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"([\w/-]+\.md)", read(ROOT / "mkdocs.yml")))
    assert named == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_the_readme_is_short() -> None:
    text = read(ROOT / "README.md")
    assert len(text.splitlines()) <= 110
    assert len(text.encode()) <= 6_000


# --- as a reader follows it -------------------------------------------------------------------------------------------


@pytest.fixture
def place(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages name: DIR, a data folder; RAW, raw videos with labels; my_video.mp4."""
    from tests.support.paths import SHARED

    place = tmp_path / "reader"
    shutil.copytree(program.demo, place / "DIR", symlinks=True)
    real = SHARED / "real"
    if real.is_dir():
        shutil.copy(real / "videos" / "01-01-03-01-01-02-05.mp4", place / "my_video.mp4")
        for split, count in (("Train_Set", 2), ("Validation_Set", 1)):
            target = place / "RAW" / "EXPR_Set" / split
            target.mkdir(parents=True)
            for labels in sorted((real / "annotations").glob(f"*/{split}/*.txt"))[:count]:
                shutil.copy(labels, target)
                shutil.copy(real / "videos" / f"{labels.stem}.mp4", place / "RAW")
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(program.cache))
    monkeypatch.chdir(place)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("page", FOLLOWED)
def test_every_command_runs_in_the_order_of_the_page(page: str, program: Program, place: Path) -> None:
    text = read(DOCS / page)
    if ("my_video" in text or "RAW" in text) and not (place / "my_video.mp4").exists():
        pytest.skip("the real videos are not beside this checkout (../shared/real)")
    for block in blocks(text):
        for line in block.commands if block.language == "sh" else ():
            command, *arguments = shlex.split(line, comments=True)
            assert command == "harness", line
            short = SMALL if arguments[0] in ("run", "sweep") and "--resume" not in arguments else ()
            answer = program(*arguments, *short)
            assert answer.code in ENDS.get(arguments[0], (0,)), f"{line}\n{answer.out}{answer.err}"


@pytest.mark.slow
def test_the_python_page_runs(place: Path) -> None:
    if not (place / "my_video.mp4").exists():
        pytest.skip("the real videos are not beside this checkout (../shared/real)")
    for block in blocks(read(DOCS / "python.md")):
        if block.language == "python":
            exec(compile(block.text, f"python.md, {block.section}", "exec"), {})
    assert (place / "runs" / "mine" / "record.json").is_file()


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    built = sorted((tmp_path / "site").rglob("*.html"))
    assert len(built) > 40
    for path in built:
        html = read(path)
        loaded = re.findall(r"<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc=[\"']?(https?:)?//", html)
        loaded += re.findall(r"<link\b(?![^>]*rel=[\"']?canonical)[^>]*?\bhref=[\"']?(https?:)?//", html)
        assert not loaded, path.name
        assert "fonts.googleapis" not in html
    for path in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", read(path)), path.name


@pytest.mark.parametrize("recipe", ["default", "demo"])
def test_the_default_encoders_on_the_page_are_those_of_the_recipe(recipe: str) -> None:
    (row,) = (line for line in read(DOCS / "train.md").splitlines() if f"(recipe `{recipe}`)" in line)
    named = default_encoders(recipe)
    assert len({named[stream] for stream in ("portrait", "body", "context", "frame")}) == 1
    assert re.findall(r"`(\w+)`", row)[1:] == [named["face"], named["context"], named["audio"]]
