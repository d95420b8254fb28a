"""Two processes that share every batch train the model that one process trains."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.paths import ROOT
from tests.support.two_processes import CASES, main
from zoo.parallel import Share, SharedDropout, dropped, local_rows, share_dropout, sharing, split

QUICK = ["va-uneven", "expr-none", "raw-one-clip"]  # each a way in which shares of a batch differ


PARTS = [name for name in CASES if name.startswith("parts")]


def compare(cases: list[str], folder: Path, adamw: float = 1e-5) -> None:
    """Run the cases in this process and another; each must end where one process ends: weights and answers within 1e-5.

    ``adamw``: how far weights may be apart after five steps of AdamW, which move each by about 1e-2 however small its
    gradient is: where that is little but rounding, so is the step's direction.
    """
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.two_processes", str(folder), "1", *cases]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as other:
        try:
            main(folder, 0, cases)
        finally:
            end = other.communicate(timeout=60)[1]
    assert other.returncode == 0, end[-800:]
    apart = json.loads((folder / "apart.json").read_text())
    assert apart.keys() == set(cases)
    for name, found in apart.items():
        assert found["sgd-moved"] > 1e-3, f"{name}: nothing was learned"
        limits = {"adamw": adamw}
        far = {k: v for k, v in found.items() if not k.endswith("-moved") and v > limits.get(k, 1e-5)}
        assert not far, f"{name}: {far}"


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    compare(QUICK, tmp_path)


@pytest.mark.slow
def test_so_they_do_with_every_fusion_head_loss_and_track(tmp_path: Path) -> None:
    compare([name for name in CASES if name not in QUICK + PARTS], tmp_path, adamw=2e-5)


@pytest.mark.slow
def test_so_they_do_part_by_part(tmp_path: Path) -> None:
    compare(PARTS, tmp_path, adamw=2e-5)


@pytest.mark.parametrize(("rows", "size"), [(16, 3), (2, 4), (1, 2), (7, 7)])
def test_shares_cover_every_row_once(rows: int, size: int) -> None:
    shares = [split(rows, rank, size) for rank in range(size)]
    covered = [row for share in shares if share.count for row in range(rows)[share.rows]]
    assert covered == list(range(rows))
    assert max(share.count for share in shares) - min(share.count for share in shares) <= 1
    assert all(len(range(rows)[share.rows]) >= 1 for share in shares)  # somebody without rows computes one


@pytest.mark.parametrize("shape", [(5, 3, 8), (10, 7), (15, 2, 3)])
@pytest.mark.parametrize("turned", [False, True])
def test_dropout_takes_its_rows_of_the_whole_mask(shape: tuple[int, ...], turned: bool) -> None:
    """Against nn.Dropout on all rows, also where they are frames of five clips or lie otherwise in memory."""
    x = torch.randn(shape)
    x = x.transpose(0, 1).contiguous().transpose(0, 1) if turned else x
    torch.manual_seed(0)
    whole = nn.Dropout(0.5)(x)
    each = shape[0] // 5
    for rank, clips in ((0, slice(0, 2)), (1, slice(2, 5))):
        rows = slice(clips.start * each, clips.stop * each)
        part = x.transpose(0, 1)[:, rows].contiguous().transpose(0, 1) if turned else x[rows]
        torch.manual_seed(0)
        with sharing(Share(rank, (0, 2, 5))):
            torch.testing.assert_close(dropped(part, 0.5), whole[rows])
            after = torch.rand(1)
    torch.manual_seed(0)
    nn.Dropout(0.5)(x)
    assert torch.equal(after, torch.rand(1))  # as many numbers were drawn as by one process


def test_alone_nothing_changes() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    x = torch.randn(3, 4)
    torch.manual_seed(0)
    expected = net(x)
    share_dropout(net)
    assert type(net[1]) is SharedDropout
    torch.manual_seed(0)
    assert torch.equal(net(x), expected)
    assert local_rows(x) is x
