"""`harness plugin check`: the table, what it says of a fault, what it refuses."""

from __future__ import annotations

import sys

import pytest

from tests.support.paths import STRANGERS
from tests.support.plugin_cases import install
from tests.support.refusals import Part, refused

LEAKY = '''
import torch
from torch import nn
from zoo import api

class Leaky(nn.Module):
    """Looks at padding, and has an option that does nothing."""

    def __init__(self, dim, hidden=8, idle=1):
        super().__init__()
        self.out_dim = hidden
        self.net = nn.Linear(dim, hidden)

    def forward(self, x, valid):
        y = self.net(x)
        return (y + y.mean(1, keepdim=True)).tanh()

@api.hookimpl
def heads():
    options = {"hidden": api.Option(8, "features"), "idle": api.Option(1, "nothing")}
    return [api.HeadSpec("leaky", Leaky, options=options, frame_wise=True)]
'''


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty folder to work in, and the path as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def rows(out: str) -> dict[tuple[str, str], str]:
    """(block, rule) -> result, of the table."""
    table = out.split("\n\n")[0].splitlines()[2:]
    return {(line.split()[0], line.split()[1]): line.split(maxsplit=2)[2].rstrip() for line in table}


def test_each_fault_says_what_was_fed_what_came_back_and_why_it_matters(program, place):
    (place / "leaky.py").write_text(LEAKY)
    answer = program("plugin", "check", "leaky.py")
    assert (answer.code, answer.err) == (1, "")
    found = rows(answer.out)
    failed = {rule for (_, rule), result in found.items() if result == "FAILED"}
    assert {"padding", "batch_mates", "options"} <= failed
    assert found["leaky", "shape"] == "passed"
    assert found["leaky", "devices"] in ("passed", "does not apply: there is no CUDA device here")
    parts = {part.splitlines()[0]: part.splitlines()[1:] for part in answer.out.strip().split("\n\n")[1:]}
    (padding,) = (lines for first, lines in parts.items() if first.startswith("leaky breaks the rule 'padding': "))
    asks, fed, got, why = padding
    assert asks == (
        "  the rule: Check that values in the padding, and the amount of padding, change no output at a valid frame."
    )
    assert fed.startswith("  fed: forward(x: (3, 9, 6) float32, ")
    assert fed.endswith(" to 100, valid: (3, 9) bool, 21 of 27 true)")
    assert got.startswith("  came back: ")
    assert "before and" in got
    assert why.startswith("  why it matters: Clips of one batch have different lengths.")
    assert "leaky breaks the rule 'options': option 'idle': 1 or 2 makes no difference" in parts
    passed, wrong, excused = (int(word) for word in answer.out.splitlines()[-1].split() if word.isdigit())
    assert wrong == len(failed)
    assert passed + wrong + excused == len(found)


def test_a_block_that_raises_is_a_fault_like_any_other(program, place):
    text = LEAKY.replace("y = self.net(x)", "y = self.nett(x)")
    (place / "leaky.py").write_text(text)
    answer = program("plugin", "check", "leaky.py")
    assert answer.code == 1
    assert "leaky breaks the rule 'shape': it raises an exception" in answer.out
    assert "  came back: AttributeError: 'Leaky' object has no attribute 'nett'" in answer.out
    assert "Traceback" not in answer.out + answer.err


def test_everything_a_file_registers_is_checked_and_nothing_else(program):
    answer = program("plugin", "check", STRANGERS / "single_file.py")
    assert {block for block, _ in rows(answer.out)} == {"colours", "smooth_head"}


@pytest.mark.slow
def test_a_package_in_a_folder_on_the_path(program, monkeypatch):
    monkeypatch.syspath_prepend(STRANGERS / "healthy")
    for target in ("stranger-blocks", "stranger_blocks"):
        answer = program("plugin", "check", target)
        found = rows(answer.out)
        assert {block for block, _ in found} == {"stranger", "stranger_head", "stranger_blocks"}
        assert found["stranger_blocks", "light"] == "passed"
        # A linear head cannot multiply, so it does not learn the task: the checks say so of a stranger too.
        assert [key for key, result in found.items() if result == "FAILED"] == [("stranger_head", "learns")]
        assert answer.code == 1


def test_a_module_in_this_folder_that_nobody_installed(program, place):
    (place / "leaky_here.py").write_text(LEAKY)
    answer = program("plugin", "check", "leaky_here")
    assert answer.code == 1
    assert rows(answer.out)["leaky_here", "light"] == "FAILED"
    assert "leaky_here is not light: ImportError: the catalogue loads torch" in answer.out
    del sys.modules["leaky_here"]


def test_built_in_blocks_are_a_module_like_any_other(program):
    answer = program("plugin", "check", "plugins.detectors")
    assert (answer.code, answer.err) == (0, "")
    assert rows(answer.out)["centerface", "finds"] == "passed"


ENCODER = """
from torch import nn
from zoo import api
from zoo.modules import FrameEncoder

class Named(FrameEncoder):
    def __init__(self, stream, argument, size=16):
        assert argument in ("small", "large") and size % 16 == 0 and size < 64
        super().__init__(dim=4, input=api.FrameInput(size=size, mean=(0.5,) * 3, std=(0.5,) * 3))
        self.net = nn.Conv2d(3, 4, 4, 4)

    def encode(self, images):
        return self.net(images).mean((2, 3))

@api.hookimpl
def encoders():
    more = {"argument": "a size", NAMES}
    return [api.EncoderSpec("named", Named, options={"size": api.Option(16, "pixels")}, **more)]
"""


def test_an_encoder_that_takes_an_argument(program, place):
    (place / "one.py").write_text(ENCODER.replace("NAMES", ""))
    answer = program("plugin", "check", "one.py")
    assert answer.code == 1
    assert "came back: AssertionError" in answer.out
    answer = program("plugin", "check", "one.py", "--argument", "named:small")
    assert answer.code == 0, answer.out
    (place / "two.py").write_text(ENCODER.replace("NAMES", '"names": ("small", "large")'))
    assert program("plugin", "check", "two.py").code == 0


def test_the_value_that_is_tried_of_an_option(program, place):
    (place / "one.py").write_text(ENCODER.replace("NAMES", '"names": ("small",)').replace("Option(16", "Option(48"))
    answer = program("plugin", "check", "one.py")
    assert [rule for (_, rule), result in rows(answer.out).items() if result == "FAILED"] == ["options"]
    assert program("plugin", "check", "one.py", "--try", "size=32").code == 0
    answer = program("plugin", "check", "one.py", "--try", "size=big")
    answer.refused(
        "option-type", what=Part("'size' of encoder 'named'"), kind="a whole number", value="big", default=48
    )


@pytest.mark.parametrize(
    ("target", "more", "refusal"),
    [
        ("absent.py", (), refused("plugin-file-missing", file="absent.py")),
        ("absent-package", (), refused("plugin-not-found", name="absent-package")),
        (
            "here",
            (),
            refused("plugin-not-found", name="here", folder=Part("`uv pip install -e here`")),
        ),
        ("json", (), refused("plugin-unusable", plugin="json", reason=Part("it registers nothing"))),
        ("numpy", (), refused("plugin-registers-nothing", group="abaw_zoo")),
        ("broken.py", (), refused("plugin-unusable", reason=Part("No module named 'a_package_that_nobody_has'"))),
        ("misspelt.py", (), refused("plugin-unusable", reason=Part("heads"))),
        ("stranger-raises", (), refused("plugin-broken", reason=Part("ModuleNotFoundError"))),
        (
            "fine.py",
            ("--argument", "x"),
            refused("plugin-option-invalid", flag="--argument", text="x", wanted=Part("ENCODER:ARGUMENT")),
        ),
        (
            "fine.py",
            ("--try", "x"),
            refused("plugin-option-invalid", flag="--try", text="x", wanted=Part("OPTION=VALUE")),
        ),
        ("fine.py", ("--try", "hiden=3"), refused("plugin-try-unknown", option="hiden", target="fine.py")),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_exit_code_2(program, place, monkeypatch, target, more, refusal):
    monkeypatch.syspath_prepend(STRANGERS / "broken")
    (place / "here").mkdir()
    (place / "broken.py").write_text("import a_package_that_nobody_has\n")
    (place / "misspelt.py").write_text(LEAKY.replace("def heads", "def head"))
    (place / "fine.py").write_text(LEAKY)
    answer = program("plugin", "check", target, *more)
    assert (answer.code, answer.out) == (2, "")
    refusal.check(answer.error)
    assert answer.err.count("\n") == 1


def test_a_package_that_was_made_and_spoilt(program, place, monkeypatch):
    program("plugin", "new", "spoilt-head", "--kind", "head")
    network = place / "spoilt-head/spoilt_head/network.py"
    network.write_text(network.read_text().replace("x = x * valid.unsqueeze(-1)", "x = x * 1"))
    install(place / "spoilt-head")
    monkeypatch.syspath_prepend(place / "spoilt-head")
    answer = program("plugin", "check", "spoilt-head")
    assert answer.code == 1
    assert {rule for (_, rule), result in rows(answer.out).items() if result == "FAILED"} == {
        "padding",
        "batch_mates",
        "gradient",
    }
