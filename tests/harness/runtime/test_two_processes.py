"""`harness run --devices 2`: the result of one process, and what happens when one of two dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.support.signals import heed_ctrl_c

pytestmark = pytest.mark.slow
Read = Callable[[Path], dict[str, Any]]


def launch(
    program, *args: object, by: Sequence[str] = (), variables: Mapping[str, object] | None = None
) -> subprocess.Popen[str]:
    """A run in a session of its own, started ``by`` some other program or with what that sets in the environment."""
    more = {name: str(value) for name, value in (variables or {}).items()}
    env = {**os.environ, "ABAW_ZOO_CACHE": str(program.cache), "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, *by, "-m", "harness.cli", "run", *map(str, args)]
    return subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )


def options(program, out: Path, name: str, epochs: int) -> list[object]:
    """A frozen face, a trained sound encoder; the last batch of an epoch may be of one clip."""
    sets = [f"train.epochs={epochs}", "train.batch=3", "train.clip=8", "train.patience=0"]
    return [
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


def finished(process: subprocess.Popen[str]) -> None:
    err = process.communicate(timeout=300)[1]
    assert process.returncode == 0, err[-1500:]


@pytest.fixture(scope="module")
def alone(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of it."""
    out = tmp_path_factory.mktemp("alone")
    finished(launch(program, *options(program, out, "run", 30)))
    return out / "run"


def same(folder: Path, alone: Path, record: Read) -> None:
    """Weights, history, every frame's answer, the score."""
    weights, wanted = (load_file(run / "weights.safetensors") for run in (folder, alone))
    assert weights.keys() == wanted.keys()
    assert all(torch.allclose(tensor, wanted[name], rtol=1e-3, atol=1e-4) for name, tensor in weights.items())
    for split in ("val", "test"):
        answers, expected = (pd.read_parquet(run / "predictions" / f"{split}.parquet") for run in (folder, alone))
        assert answers[["video", "frame"]].equals(expected[["video", "frame"]])  # each frame once, in order
        pd.testing.assert_frame_equal(answers, expected, rtol=1e-3, atol=1e-4)
    ours, theirs = record(folder), record(alone)
    assert ours["result"]["config"] == theirs["result"]["config"]
    assert ours["result"]["scores"]["raw"]["main"] == pytest.approx(theirs["result"]["scores"]["raw"]["main"], abs=1e-4)


def test_two_processes_give_the_run_of_one(program, alone: Path, tmp_path: Path, record: Read) -> None:
    finished(launch(program, *options(program, tmp_path, "run", 30), "--devices", 2))
    same(tmp_path / "run", alone, record)
    assert record(tmp_path / "run")["circumstances"]["processes"] == 2
    assert not list((tmp_path / "run").rglob(".*"))


@pytest.mark.parametrize(
    "more",
    [
        ("--set", "train.average=ema"),
        ("--set", "train.average=swa"),
        ("--folds", 3, "--set", "train.modality_dropout=0.3"),
    ],
    ids=["ema", "swa", "folds"],
)
def test_averaged_weights_and_folds_of_two_processes(program, tmp_path: Path, record: Read, more) -> None:
    runs = {n: launch(program, *options(program, tmp_path, str(n), 6), *more, "--devices", n) for n in (1, 2)}
    for process in runs.values():
        finished(process)
    one, two = tmp_path / "1", tmp_path / "2"
    members = ["fold-0", "fold-1", "fold-2"] if "--folds" in more else [""]
    for member in members:
        weights, wanted = (load_file(run / member / "weights.safetensors") for run in (two, one))
        assert weights.keys() == wanted.keys()
        assert all(torch.allclose(tensor, wanted[name], rtol=1e-3, atol=1e-4) for name, tensor in weights.items())
    ours, theirs = (record(run)["result"]["scores"]["post"] for run in (two, one))
    assert ours["main"] == pytest.approx(theirs["main"], abs=1e-4)
    assert (ours["frames"], ours["videos"]) == (theirs["frames"], theirs["videos"])


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_torchrun_on_two_machines_gives_the_run_of_one(program, alone: Path, tmp_path: Path, record: Read) -> None:
    """Two launchers that find each other, as on two machines: a process each."""
    where = [
        "--nnodes",
        "2",
        "--nproc-per-node",
        "1",
        "--rdzv-backend",
        "c10d",
        "--rdzv-id",
        "one",
        "--rdzv-endpoint",
        f"127.0.0.1:{free_port()}",
        "--local-addr",
        "127.0.0.1",
    ]
    run = options(program, tmp_path, "run", 30)
    both = [launch(program, *run, "--nodes", 2, by=["-m", "torch.distributed.run", *where]) for _ in range(2)]
    for process in both:
        finished(process)
    same(tmp_path / "run", alone, record)
    assert record(tmp_path / "run")["circumstances"]["processes"] == 2


def test_slurm_tasks_give_the_run_of_one(program, alone: Path, tmp_path: Path, record: Read) -> None:
    """What srun sets for two tasks on one node; that there is no SLURM here, the run cannot know."""
    job = {
        "SLURM_JOB_ID": 1,
        "SLURM_JOB_NAME": "emotions",
        "SLURM_NTASKS": 2,
        "SLURM_NTASKS_PER_NODE": 2,
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NODEID": 0,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
    }
    run = options(program, tmp_path, "run", 30)
    both = [
        launch(program, *run, "--devices", 2, variables={**job, "SLURM_PROCID": i, "SLURM_LOCALID": i})
        for i in range(2)
    ]
    for process in both:
        finished(process)
    same(tmp_path / "run", alone, record)
    assert record(tmp_path / "run")["circumstances"]["processes"] == 2


def test_ctrl_c_stops_all_processes_and_it_goes_on(program, alone: Path, tmp_path: Path, record: Read) -> None:
    process = launch(program, *options(program, tmp_path, "run", 30), "--devices", 2)
    wait_for_epochs(process, tmp_path / "run", 3)
    os.killpg(process.pid, signal.SIGINT)
    err = process.communicate(timeout=60)[1]  # ends when both have closed it
    assert process.returncode == 130, err[-1500:]
    assert "Traceback" not in err
    assert record(tmp_path / "run")["status"] == "interrupted"
    finished(launch(program, "--resume", tmp_path / "run"))
    same(tmp_path / "run", alone, record)


def wait_for_epochs(process: subprocess.Popen[str], run: Path, epochs: int) -> None:
    """Until so many epochs are in the history of a run under way."""
    history, end = run / "history.csv", time.monotonic() + 240
    while not history.is_file() or len(history.read_text().splitlines()) < 1 + epochs:
        assert time.monotonic() < end, f"no epoch {epochs}"
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("victim", ["first", "second"])
def test_a_dead_process_ends_the_job_and_it_goes_on(program, alone: Path, tmp_path: Path, victim, record: Read) -> None:
    process = launch(program, *options(program, tmp_path, "run", 30), "--devices", 2)
    wait_for_epochs(process, tmp_path / "run", 3)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid if victim == "first" else int(child), signal.SIGKILL)
    err = process.communicate(timeout=60)[1]  # ends when both have closed it
    assert process.returncode != 0
    assert "another process of this run exited" in err
    assert "--resume" in err
    assert (tmp_path / "run" / "state.ckpt").is_file()
    assert record(tmp_path / "run")["status"] == ("running" if victim == "first" else "failed")
    finished(launch(program, "--resume", tmp_path / "run"))
    same(tmp_path / "run", alone, record)
