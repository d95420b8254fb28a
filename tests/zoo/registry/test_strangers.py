"""Packages of other people (tests/strangers): found, listed, skipped when broken, and trained like a built-in."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.commands.explain import code_of
from tests.support.paths import STRANGERS

PLUGIN_FILE = STRANGERS / "single_file.py"
PLUGIN_DIGEST = f"{PLUGIN_FILE.name} sha256 {hashlib.sha256(PLUGIN_FILE.read_bytes()).hexdigest()}"

ASK = """
import json, sys
from zoo import api, registry
from zoo.errors import UserError
try:
    found = registry.load()
except UserError as error:
    print(json.dumps({"code": error.code, **error.fields}))
    sys.exit()
print(json.dumps({
    "entries": {kind: {e.name: [e.plugin, e.package] for e in found.entries(kind)} for kind in api.KINDS},
    "problems": {p.plugin: p.reason for p in found.problems},
    "torch": "torch" in sys.modules,
    "networks": "stranger_blocks.networks" in sys.modules,
}))
"""


def process(*arguments: str, installed: tuple[str, ...] = (), cwd: Path | None = None, cache: Path | None = None):
    """Run a command with strangers installed: their folders are on the path, as an installer would leave them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(STRANGERS / name) for name in installed)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    if cache is not None:
        environment["ABAW_ZOO_CACHE"] = str(cache)
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=cwd or STRANGERS, timeout=300)


def harness(*arguments: str, **given):
    return process(sys.executable, "-m", "harness.cli", *arguments, **given)


def ask(*installed: str) -> dict:
    done = process(sys.executable, "-c", ASK, installed=installed)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def at_home() -> dict:
    """What there is without strangers."""
    return ask()


def test_a_healthy_stranger_is_found_like_a_built_in(at_home):
    found = ask("healthy")
    assert found["entries"]["encoders"]["stranger"] == ["stranger_blocks", "stranger-blocks 1.2.3"]
    assert found["entries"]["heads"]["stranger_head"] == ["stranger_blocks", "stranger-blocks 1.2.3"]
    assert found["problems"] == at_home["problems"] == {}
    assert not found["torch"]
    assert not found["networks"]
    for kind in found["entries"]:
        assert at_home["entries"][kind].items() <= found["entries"][kind].items()


BROKEN = {
    "raises": "ModuleNotFoundError: No module named 'a_package_that_nobody_has' (stranger_raises.py, line 3)",
    "exits": "SystemExit: usage: stranger_exits FILE (stranger_exits.py, line 5)",
    "misspelt": "unknown hook 'encoder': did you mean 'encoders'? the hooks: streams, encoders, ",
    "wrong_kind": "encoders() must return a list of EncoderSpec; it holds a HeadSpec",
    "forgot_return": "encoders() must return a list of EncoderSpec, not NoneType",
    "hook_raises": "ZeroDivisionError: division by zero (stranger_hook_raises.py, line 8)",
    "unmarked": "it registers nothing: mark a hook such as `def encoders()` with @api.hookimpl",
    "arguments": "Argument(s) {'stream'} are declared in the hookimpl but can not be found in the hookspec",
    "name": "encoders() names a block 'my net:1': a name has letters, digits, _ and -, a letter first",
    "gone": "ModuleNotFoundError: No module named 'stranger_gone'",
}


def test_broken_strangers_are_named_and_skipped_and_nobody_else_is_hurt(at_home):
    found = ask("broken", "healthy")
    assert set(found["problems"]) == {f"stranger_{name} (stranger-{name.replace('_', '-')} 0.1)" for name in BROKEN}
    for name, reason in BROKEN.items():
        said = found["problems"][f"stranger_{name} (stranger-{name.replace('_', '-')} 0.1)"]
        assert reason in said
        assert "\n" not in said
    assert found["entries"] == ask("healthy")["entries"], "a broken plugin has registered a part of its blocks"


def test_a_clash_of_installed_packages_names_both():
    assert ask("healthy", "clash") == {
        "code": "block-name-twice",
        "noun": "encoder",
        "name": "stranger",
        "origin": "stranger_blocks (stranger-blocks 1.2.3)",
        "origin2": "stranger_rival (stranger-rival 2.0)",
    }


@pytest.mark.parametrize("path", [("healthy", "broken"), ("broken", "healthy")])
def test_the_order_of_the_path_does_not_matter(path):
    found = ask(*path)
    assert list(found["problems"]) == sorted(found["problems"], key=lambda plugin: plugin.split("(")[1])
    assert list(found["entries"]["encoders"]) == sorted(found["entries"]["encoders"])


# --- the command line -------------------------------------------------------------------------------------------------


def test_list_shows_the_strangers_and_names_the_broken():
    done = harness("list", "--plugin", str(PLUGIN_FILE), installed=("healthy", "broken"))
    assert done.returncode == 0, done.stderr
    for name in ("stranger", "stranger_head", "colours", "smooth_head"):
        assert name in done.stdout.split()
    assert all(f"stranger_{name}" in done.stdout + done.stderr for name in BROKEN)


@pytest.mark.parametrize(
    ("arguments", "installed", "code", "shown"),
    [
        (["--plugin", "absent.py"], (), "plugin-file-missing", "absent.py"),
        (["--plugin", "broken/stranger_raises.py"], (), "plugin-unusable", "'a_package_that_nobody_has'"),
        (["--plugin", "broken/stranger_misspelt.py"], (), "plugin-unusable", "'encoders'"),
        (["--plugin", "clash/stranger_rival.py"], ("healthy",), "block-name-twice", "encoder 'stranger'"),
        ([], ("healthy", "clash"), "block-name-twice", "encoder 'stranger'"),
    ],
)
def test_what_stops_the_program_is_one_line_and_exit_code_2(arguments, installed, code, shown):
    done = harness("list", *arguments, installed=installed)
    assert done.returncode == 2
    assert code_of(done.stderr) == code
    assert shown in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "head", "plugin", "installed", "packages"),
    [
        ("stranger", "stranger_head", [], ("healthy", "broken"), ["stranger-blocks 1.2.3"]),
        ("colours", "smooth_head", ["--plugin", str(PLUGIN_FILE)], (), [PLUGIN_DIGEST]),
    ],
)
def test_a_strangers_blocks_train(program, tmp_path, encoder, head, plugin, installed, packages):
    done = harness(
        "run",
        "--data",
        str(program.demo),
        "--encoders",
        f"face={encoder}",
        "--fusion",
        "concat",
        "--head",
        head,
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "runs"),
        *plugin,
        installed=installed,
        cwd=tmp_path,
        cache=tmp_path / "cache",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = (tmp_path / "runs").glob("*/record.json")
    content = json.loads(record.read_text(encoding="utf-8"))
    assert content["status"] == "done"
    assert content["result"]["combination"] == {"encoders": f"face={encoder}", "fusion": "concat", "head": head}
    assert content["result"]["plugins"] == packages
    assert -1 <= content["result"]["scores"]["raw"]["main"] <= 1
    assert (record.parent / "weights.safetensors").is_file()
