"""Every fusion and head on all tracks, and every encoder once: two steps and an evaluation on a crumb of the demo set.

That a combination trains says little by itself (a fusion that ignores its second slot would pass): the conformance
checks in tests/zoo/test_everything_registered.py say the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.carried import want
from tests.support.registered import EXTRAS, TINY_VIT
from zoo.api import EncoderSpec
from zoo.registry.registry import load, resolve

TRACKS = ("va", "expr", "au", "mtl")
REGISTRY = load()
SMALL = {
    "timm": "resnet18",
    "mel_timm": "resnet18",
    "ssl": "tiny",
    "places365": "resnet18",
    "hf": str(TINY_VIT),
}  # else the first name there is
STREAM = {"frames": "face", "sound": "audio", "vectors": "face"}
FRAMES = 24  # of each video of the crumb set
STEPS = ("--set", "train.batch=3", "--set", "train.clip=24", "--epochs", 1, "--set", "project.components=16")
Read = Callable[[Path], dict[str, Any]]


def features_folder(program: Any, folder: Path) -> Path:
    """Ready-made features of every video of the crumb set: one random row a frame."""
    folder.mkdir()
    (folder / "features.toml").write_text('name = "noise"\nrate = "frame"\nwidth = 6\n')
    rng = np.random.default_rng(0)
    for video in (program.demo / "cropped_aligned").iterdir():
        np.save(folder / f"{video.name}.npy", rng.normal(size=(FRAMES, 6)).astype(np.float32))
    return folder


def checkpoint_file(program: Any, path: Path) -> Path:
    """A ResNet-50 with seven classes, saved as the seed system saved its own."""
    import timm

    torch.manual_seed(0)
    torch.save({"model_state_dict": timm.create_model("resnet50", num_classes=7).state_dict()}, path)
    return path


MADE = {"features": features_folder, "checkpoint": checkpoint_file}


def slot_of(spec: EncoderSpec, program: Any, tmp_path: Path) -> tuple[str, tuple[str, ...]]:
    """How to name the encoder on the command line, with random weights where the real ones lie behind an address."""
    stream = (spec.streams or (STREAM[spec.kinds[0]],))[0]
    argument = SMALL.get(spec.name, spec.names[0] if spec.names else None)
    if spec.name in MADE:
        argument = str(MADE[spec.name](program, tmp_path / "made.pt"))
    text = f"{stream}={spec.name}" + (f":{argument}" if argument else "")
    if spec.name == "checkpoint":  # at 224 pixels it would take as long as ten others
        return text, ("--set", f"encoder.{stream}.size=64")
    if spec.passport is None or spec.name in MADE:
        return text, ()
    options = {name: option.default for name, option in spec.options.items()}
    passport = resolve(spec.passport)(stream, argument, **options)
    if passport is not None and passport.wheel:
        want(passport, *(("ai_edge_litert",) if passport.wheel.file.endswith(".tflite") else ()))
        return text, ()
    if passport is None or passport.package or passport.path:  # none wanted, or they come with a package
        return text, ()
    return text, ("--set", f"encoder.{stream}.pretrained=false")


def expect_done(folder: Path, record: Read) -> None:
    result = record(folder)["result"]
    assert result["steps"] >= 2
    for kind in ("raw", "post"):
        assert math.isfinite(result["scores"][kind]["main"])
    assert result["submission"]["rows"] > 0
    assert (folder / "predictions" / "test.parquet").is_file()


LIGHT = ("lite0", "features", "melcnn")  # whose features are there already, or cost little


def rows() -> list[tuple[str, str, str, str]]:
    """(encoder, fusion, head, track): every fusion and every head with every track, every encoder once.

    No encoder knows of tracks: when all have had their turn, light ones take theirs again. The longer of the other two
    lists goes round once a track, the shorter one begins again, both one later at every track, so that fusions and
    heads meet other partners there. What all pairs of fusions and heads say by themselves: tests/zoo/model/test_model.py.
    """
    encoders, fusions, heads = (REGISTRY.names(kind) for kind in ("encoders", "fusions", "heads"))
    a_track = max(len(fusions), len(heads), -(-len(encoders) // len(TRACKS)))
    return [
        (
            (*encoders, *LIGHT * a_track * len(TRACKS))[turn * a_track + i],
            fusions[(i + turn) % len(fusions)],
            heads[(i + 2 * turn) % len(heads)],
            track,
        )
        for turn, track in enumerate(TRACKS)
        for i in range(a_track)
    ]


def test_every_block_is_met() -> None:
    made = rows()
    assert {row[0] for row in made} == set(REGISTRY.names("encoders"))
    for place, kind in ((1, "fusions"), (2, "heads")):
        assert {(row[place], row[3]) for row in made} == set(product(REGISTRY.names(kind), TRACKS))


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "fusion", "head", "track"), rows())
def test_combination(program, tmp_path: Path, record: Read, encoder: str, fusion: str, head: str, track: str) -> None:
    for package in EXTRAS.get(("encoders", encoder), ()):
        pytest.importorskip(package, reason=f"{package} is an extra")
    spec = REGISTRY.get("encoders", encoder)
    assert isinstance(spec, EncoderSpec)
    text, sets = slot_of(spec, program, tmp_path)
    others = [stream for stream in ("face", "context", "audio") if stream != text.partition("=")[0]]
    slots = ("--encoders", ",".join([text, *others]), "--fusion", fusion, "--set", "fusion.per_slot=0.2")
    expect_done(program.run(tmp_path, "run", "--track", track, *slots, "--head", head, *STEPS, *sets), record)


@pytest.mark.slow
@pytest.mark.parametrize("loss", REGISTRY.names("losses"))
def test_loss(program, tmp_path: Path, record: Read, loss: str) -> None:
    kinds = {"value": "va", "class": "expr", "binary": "au"}
    track = kinds[REGISTRY.get("losses", loss).kinds[0]]  # type: ignore[attr-defined]
    expect_done(program.run(tmp_path, "run", "--track", track, "--loss", loss, *STEPS), record)


@pytest.mark.slow
@pytest.mark.parametrize("track", TRACKS)
def test_all_post_processors_in_a_row(program, tmp_path: Path, record: Read, track: str) -> None:
    names = ",".join(REGISTRY.names("postprocessors"))
    own = (
        "--encoders",
        "face=fer,audio",
        "--set",
        "encoder.face.scores=true",
    )  # encoder_gate reads an encoder's classes
    folder = program.run(tmp_path, "run", "--track", track, "--post", names, "--fusion", "late", *own, *STEPS)
    expect_done(folder, record)
    assert record(folder)["result"]["post"]["all"]
