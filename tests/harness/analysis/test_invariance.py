"""`harness check --invariance`: small for a sound combination, large for what leaks, and says where."""

from __future__ import annotations

import pytest

ROWS = (
    "batch: 16 clips or 1",
    "padding: some or none",
    "precision: float32 or bfloat16 autocast",
    "precision: float32 or float64",
)

LEAKY = '''
import torch
from torch import nn
from zoo import api

class Leaky(nn.Module):
    """By its name it looks at padding, at the other clips, or rounds to half the bits."""

    def __init__(self, dim, leak="none"):
        super().__init__()
        self.out_dim, self.leak = dim, leak

    def forward(self, x, valid):
        if self.leak == "padding":
            return x + x.mean(1, keepdim=True)
        if self.leak == "batch":
            return x + x[:, :1].mean(0)
        if self.leak == "precision":
            return x.half().to(x.dtype)
        if self.leak == "blank":
            return x + (torch.nan if x.dtype == torch.float64 else 0)
        return x

@api.hookimpl
def heads():
    return [api.HeadSpec("leaky", Leaky, options={"leak": api.Option("none", "what leaks")})]
'''


def table(out: str) -> dict[str, list[str]]:
    """What differs -> size, share, answer, frames."""
    lines = [line for line in out.splitlines() if line.startswith(("batch: ", "padding: ", "precision: "))]
    return {" ".join(line.split()[:-4]): line.split()[-4:] for line in lines}


@pytest.mark.parametrize(
    "flags",
    [
        ("--encoders", "face", "--head", "gru"),
        ("--encoders", "face,audio", "--fusion", "concat", "--head", "mlp", "--track", "mtl"),
        pytest.param(("--encoders", "face,context", "--fusion", "concat", "--track", "expr"), marks=pytest.mark.slow),
    ],
)
def test_a_sound_combination(program, flags):
    answer = program("check", *flags, "--invariance")
    assert (answer.code, answer.err) == (0, "")
    assert "the parts fit together\n\n128 clips of 1 to 64 frames, random weights and features:" in answer.out
    found = table(answer.out)
    assert tuple(found) == ROWS
    shares = {what: float(row[1]) for what, row in found.items()}
    assert max(shares[ROWS[0]], shares[ROWS[1]], shares[ROWS[3]]) < 1e-5
    assert 1e-5 < shares[ROWS[2]] < 0.05


@pytest.mark.parametrize(
    ("leak", "large"),
    [("none", ()), ("batch", ROWS[:2]), ("padding", ROWS[1:2]), ("precision", ROWS[3:]), ("blank", ROWS[3:])],
)
def test_what_leaks_is_seen(program, tmp_path, leak, large):
    file = tmp_path / "leaky.py"
    file.write_text(LEAKY)
    answer = program(
        "check", "--encoders", "face", "--head", "leaky", "--plugin", file, "--set", f"head.leak={leak}", "--invariance"
    )
    assert answer.code == 0, answer.err
    found = table(answer.out)
    assert {what for what, row in found.items() if float(row[1]) > 1e-5} - {ROWS[2]} == set(large)
    for row in (found[what] for what in large):
        assert row[2] in ("valence", "arousal")
        assert 1 <= int(row[3]) <= 64
    if leak == "blank":
        assert found[ROWS[3]][1] == "inf"


@pytest.mark.slow
def test_it_is_repeated_to_the_digit(program):
    once, again = (program("check", "--encoders", "face", "--head", "mlp", "--invariance").out for _ in range(2))
    assert once == again


def test_without_the_flag_nothing_is_measured(program):
    assert "random weights" not in program("check", "--encoders", "face").out
