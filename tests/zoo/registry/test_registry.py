import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.refusals import Part, refused
from zoo import api
from zoo.registry.registry import Entry, Problem, Registry, load, resolve


def write(folder: Path, body: str, name: str = "plugin.py") -> Path:
    path = folder / name
    path.write_text("from zoo import api\n\n" + dedent(body))
    return path


def tiny(name: str) -> str:
    return f"""
        @api.hookimpl
        def encoders():
            return [api.EncoderSpec("{name}", lambda stream, argument: None)]
    """


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    """What is installed is the business of test_strangers.py."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    for name in ("timm", "lite0", "melcnn"):
        registry.add(Entry("encoders", api.EncoderSpec(name, "nowhere:Net"), "plugins.encoders", "abaw-zoo 0.1.0"))
    registry.add(Entry("losses", api.LossSpec("ccc", "nowhere:CCC"), "plugins.losses", "abaw-zoo 0.1.0"))
    return registry


# --- asking -----------------------------------------------------------------------------------------------------------


def test_entries_are_sorted_by_name(registry):
    assert registry.names("encoders") == ["lite0", "melcnn", "timm"]
    assert [entry.name for entry in registry.entries("encoders")] == ["lite0", "melcnn", "timm"]
    assert registry.entries("heads") == []
    assert registry.get("encoders", "timm").name == "timm"
    assert registry.entry("losses", "ccc").origin == "plugins.losses (abaw-zoo 0.1.0)"


def test_an_unknown_name_gets_the_nearest_one(registry):
    with refused("block-unknown", noun="encoder", name="tim", near=Part("'timm'"), kind="encoders", skipped=""):
        registry.get("encoders", "tim")
    with refused("block-unknown", noun="loss", name="hinge", near="", kind="losses", skipped=""):
        registry.get("losses", "hinge")


def test_an_unknown_name_reminds_of_skipped_plugins(registry):
    registry.problems.append(Problem("stranger (stranger 1.0)", "ImportError: no"))
    with refused("block-unknown", name="stranger", skipped=Part("stranger (stranger 1.0)")):
        registry.get("encoders", "stranger")


def test_an_unknown_kind_gets_the_nearest_one(registry):
    with refused("registry-kind-unknown", kind="encoder", hint=Part("encoders")):
        registry.names("encoder")


def test_a_clash_names_both(registry):
    rival = Entry("encoders", api.EncoderSpec("timm", "rival:Net"), "rival", "rival-package 2.0")
    both = {"origin": "plugins.encoders (abaw-zoo 0.1.0)", "origin2": "rival (rival-package 2.0)"}
    with refused("block-name-twice", noun="encoder", name="timm", **both):
        registry.add(rival)
    assert registry.entry("encoders", "timm").plugin == "plugins.encoders"


def test_the_same_name_in_two_kinds_is_no_clash(registry):
    registry.add(Entry("heads", api.HeadSpec("timm", "nowhere:Net"), "rival", "rival 1"))
    assert registry.names("heads") == ["timm"]


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_example_of_the_contract_is_a_plugin(tmp_path):
    """The worked encoder in zoo/api.py, as an author would copy it."""
    text = (api.__doc__ or "").split("is this:\n")[1].split("\n``harness run")[0]
    path = tmp_path / "my_encoder.py"
    path.write_text(dedent(text))
    entry = load([path]).entry("encoders", "tiny")
    assert (entry.plugin, entry.package) == (str(path), "file")

    import torch

    encoder = resolve(entry.spec.build)("face", None, width=5)
    assert encoder(torch.zeros(2, 3, 3, 32, 32)).shape == (2, 3, 5)


def test_a_file_given_twice_is_loaded_once(tmp_path, monkeypatch):
    path = write(tmp_path, tiny("once"))
    monkeypatch.chdir(tmp_path)
    assert load([path, Path("plugin.py")]).names("encoders") == ["once"]


def test_a_file_loaded_again_keeps_its_classes(tmp_path):
    path = write(tmp_path, tiny("kept"))
    first, second = (load([path]).get("encoders", "kept") for _ in range(2))
    assert first.build.__module__ == second.build.__module__
    assert sys.modules[first.build.__module__].__file__ == str(path)


def test_files_of_one_name_in_two_folders_are_two_plugins(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    files = [write(tmp_path / folder, tiny(f"net-{folder}")) for folder in ("b", "a")]
    assert load(files).names("encoders") == ["net-a", "net-b"]


def test_two_files_that_clash_are_both_named(tmp_path):
    files = [write(tmp_path, tiny("net"), name) for name in ("one.py", "two.py")]
    with refused("block-name-twice", name="net", origin=f"{files[0]} (file)", origin2=f"{files[1]} (file)"):
        load(files)


@pytest.mark.parametrize("name", ["absent.py", "folder", "notes.txt"])
def test_a_file_that_is_no_python_file_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").touch()
    with refused("plugin-file-missing", file=tmp_path / name):
        load([tmp_path / name])


BROKEN = {
    "its code raises": ("1 / 0", "ZeroDivisionError: division by zero (plugin.py, line 3)"),
    "a package is missing": ("import no_such_package", "No module named 'no_such_package' (plugin.py, line 3)"),
    "a syntax error": ("def encoders(:", "SyntaxError: invalid syntax (plugin.py, line 3)"),
    "it ends the program": ("raise SystemExit('usage: plugin')", "SystemExit: usage: plugin (plugin.py, line 3)"),
    "a misspelt hook": (
        "@api.hookimpl\ndef encoder(): return []",
        "unknown hook 'encoder': did you mean 'encoders'? the hooks: streams, encoders, augmentations, fusions",
    ),
    "no hook": ("encoders = []", "it registers nothing: mark a hook such as `def encoders()` with @api.hookimpl"),
    "a hook with arguments": ("@api.hookimpl\ndef heads(dim): return []", "Argument(s) {'dim'} are declared"),
    "a hook that raises": ("@api.hookimpl\ndef heads():\n    return {}['x']", "KeyError: 'x' (plugin.py, line 5)"),
    "no return": ("@api.hookimpl\ndef heads(): pass", "heads() must return a list of HeadSpec, not NoneType"),
    "a generator": ("@api.hookimpl\ndef heads(): yield 1", "heads() must return a list of HeadSpec, not generator"),
    "a wrong kind": (
        "@api.hookimpl\ndef heads(): return [api.FusionSpec('f', 'x:F')]",
        "heads() must return a list of HeadSpec; it holds a FusionSpec",
    ),
    "one name twice": (
        "@api.hookimpl\ndef heads(): return [api.HeadSpec('h', 'x:F'), api.HeadSpec('h', 'x:G')]",
        "heads() returns two blocks with the name 'h'",
    ),
    "a name that cannot be asked for": (
        "@api.hookimpl\ndef heads(): return [api.HeadSpec('a:b', 'x:F')]",
        "heads() names a block 'a:b': a name has letters, digits, _ and -, a letter first",
    ),
    "a value for an option": (
        "@api.hookimpl\ndef heads(): return [api.HeadSpec('h', 'x:F', '', {'width': 16})]",
        "heads() registers 'h', whose options must be Mapping[str, Option], got {'width': 16}",
    ),
    "a list of options": (
        "@api.hookimpl\ndef heads(): return [api.HeadSpec('h', 'x:F', options=['width'])]",
        "whose options must be Mapping[str, Option], got ['width']",
    ),
    "a text for choices": (
        "@api.hookimpl\ndef heads(): return [api.HeadSpec('h', 'x:F', options={'by': api.Option('a', '', 'ab')})]",
        "whose options['by'].choices must be tuple[Any, ...], got 'ab'",
    ),
    "a text for streams": (
        "@api.hookimpl\ndef encoders(): return [api.EncoderSpec('e', 'x:E', streams='face')]",
        "encoders() registers 'e', whose streams must be tuple[str, ...], got 'face'",
    ),
    "a text for kinds": (
        "@api.hookimpl\ndef losses(): return [api.LossSpec('l', 'x:L', kinds='value')]",
        "losses() registers 'l', whose kinds must be tuple[str, ...], got 'value'",
    ),
    "a number to build": ("@api.hookimpl\ndef heads(): return [api.HeadSpec('h', 5)]", "whose build must be "),
    "a text for a share": (
        "@api.hookimpl\ndef augmentations(): return [api.AugmentationSpec('a', 'x:A', p='0.5')]",
        "augmentations() registers 'a', whose p must be float, got '0.5'",
    ),
    "an unknown kind of input": (
        "@api.hookimpl\ndef streams(): return [api.StreamSpec('s', 'x:S', 'frame', (), 'e')]",
        "streams() registers 's', whose kind must be Literal['frames', 'sound', 'text', 'vectors'], got 'frame'",
    ),
    "an edition with a wrong track": (
        "TRACK = api.TrackSpec('t', (), 'f1', (0, 1), 'A', (), '', '')\n"
        "@api.hookimpl\ndef editions(): return [api.EditionSpec('e1', 'v', 2026, (TRACK,))]",
        "editions() registers 'e1', whose tracks[0].folders must be tuple[str, ...], got 'A'",
    ),
}


@pytest.mark.parametrize(("body", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_stops_the_program_with_one_line(tmp_path, body, reason):
    path = write(tmp_path, body)
    with refused("plugin-unusable", plugin=path, reason=Part(reason)) as error:
        load([path])
    assert "\n" not in str(error.value)


def test_a_file_that_failed_can_be_mended_and_loaded(tmp_path):
    path = write(tmp_path, "1 / 0")
    with refused("plugin-unusable", plugin=path):
        load([path])
    write(tmp_path, tiny("mended-at-last"))
    assert load([path]).names("encoders") == ["mended-at-last"]


def test_an_interrupt_is_the_users_and_passes(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        load([write(tmp_path, "raise KeyboardInterrupt")])


# --- targets ----------------------------------------------------------------------------------------------------------


def test_a_target_is_imported_when_it_is_resolved():
    assert resolve("fractions:Fraction.from_float")(0.5) == 0.5
    assert resolve(len) is len


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        ("plugins.encoders", refused("target-invalid")),
        (":Net", refused("target-invalid")),
        ("no_such_module:Net", refused("target-module-missing", name="no_such_module")),
        ("zoo.no_such.deeper:Net", refused("target-module-missing", name="zoo.no_such")),
        ("zoo.api:Net", refused("target-missing", module="zoo.api")),
        ("zoo.api:PROJECT", refused("target-missing", module="zoo.api")),
        ("zoo.api:Option.gone.deeper", refused("target-missing", module="zoo.api")),
    ],
)
def test_a_missing_target_is_named(target, refusal):
    with refusal as error:
        resolve(target)
    assert error.value.fields["target"] == target


def test_a_target_that_needs_a_missing_package_says_which(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    with refused("target-package-missing", target="needs_more:Net", name="a_package_that_nobody_has"):
        resolve("needs_more:Net")


def test_a_fault_inside_a_target_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "is_faulty.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        resolve("is_faulty:Net")
