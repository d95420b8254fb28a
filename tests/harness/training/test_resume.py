"""A run that is killed, or asked to stop, and continued ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

EPOCHS = 60
KILLS = 5
pytestmark = pytest.mark.slow
Read = Callable[[Path], dict[str, Any]]

# A checkpoint after every step, so that kills come inside epochs and while a checkpoint is written.
STEPWISE = "import harness.training.loop; harness.training.loop.SAVE_EVERY = 0.0; from harness.cli import main; main()"
USUAL = "from harness.cli import main; main()"


def launch(program, *args: object, code: str = USUAL) -> subprocess.Popen[bytes]:
    """``harness`` as a process of its own."""
    env = {**os.environ, "ABAW_ZOO_CACHE": str(program.cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def options(program, out: Path, name: str) -> list[object]:
    """A run of many short epochs, some seconds of training."""
    sets = [
        f"train.epochs={EPOCHS}",
        "train.batch=2",
        "train.clip=16",
        "train.validate_every=2",
        "train.select=best",
        "train.patience=0",
    ]
    return [
        "run",
        "--data",
        program.demo,
        "--encoders",
        "face,audio",
        "--out",
        out,
        "--name",
        name,
        "--post",
        "clip",
        *(part for text in sets for part in ("--set", text)),
    ]


def epochs(folder: Path) -> int:
    """Epochs that are finished and safe."""
    path = folder / "history.csv"
    return len(path.read_text().splitlines()) - 1 if path.is_file() else 0


def wait_for_epoch(process: subprocess.Popen[bytes], folder: Path, epoch: int) -> bool:
    """Until an epoch is finished; False where the process ended before."""
    end = time.monotonic() + 120
    while epochs(folder) < epoch and process.poll() is None:
        assert time.monotonic() < end, f"no epoch {epoch} within two minutes"
        time.sleep(0.005)
    return process.poll() is None


@pytest.fixture(scope="module")
def whole(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody interrupts."""
    out = tmp_path_factory.mktemp("whole")
    process = launch(program, *options(program, out, "run"))
    assert process.wait(300) == 0, process.stderr and process.stderr.read()
    return out / "run"


def same(folder: Path, whole: Path, record: Read) -> None:
    """Weights bit for bit, the result, and the history of every epoch."""
    weights, wanted = (load_file(run / "weights.safetensors") for run in (folder, whole))
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in weights.items())
    assert record(folder)["status"] == "done"
    assert record(folder)["result"] == record(whole)["result"]
    assert record(folder)["result_sha256"] == record(whole)["result_sha256"]
    assert (folder / "history.csv").read_text() == (whole / "history.csv").read_text()


def test_kills_change_nothing(program, whole: Path, tmp_path: Path, record: Read) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "run"
    inside = 0
    for kill in range(KILLS):
        args = ["run", "--resume", folder] if kill else options(program, tmp_path, "run")
        process = launch(program, *args, code=STEPWISE if kill % 2 else USUAL)
        before = epochs(folder)
        if kill == 3:  # one at any moment, as likely before the first step as in training
            time.sleep(float(rng.uniform(1, 5)))
        else:
            wait_for_epoch(process, folder, before + int(rng.integers(1, 8)))
            time.sleep(float(rng.uniform(0, 0.05)))
        ended = process.poll()
        process.kill()
        _, err = process.communicate()
        assert ended is None, f"the run ended before it could be killed ({ended}): {err.decode()[-500:]}"
        assert record(folder)["status"] == "running"
        inside += before < epochs(folder) < EPOCHS
    assert inside >= KILLS - 2, "the kills did not come inside training"
    process = launch(program, "run", "--resume", folder)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()[-500:]
    same(folder, whole, record)
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop(program, whole: Path, tmp_path: Path, record: Read, number: signal.Signals) -> None:
    process = launch(program, *options(program, tmp_path, "run"))
    folder = tmp_path / "run"
    assert wait_for_epoch(process, folder, 7)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"--resume" in err
    assert record(folder)["status"] == "interrupted"
    assert 7 <= epochs(folder) < EPOCHS
    process = launch(program, "run", "--resume", folder)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()[-500:]
    same(folder, whole, record)
