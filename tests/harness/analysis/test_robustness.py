"""`harness evaluate --drop each` and `--noise`: a table of what a run is worth when something is amiss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.analysis.robustness import conditions
from harness.cli.runs import noise_levels
from harness.evaluation.input_noise import InputStatistics, Noisy
from tests.support.refusals import refused
from zoo.model.model import Batch
from zoo.modules import FusionOut

QUICK = ("--epochs", 2, "--set", "train.batch=2", "--set", "train.clip=12", "--post", "interpolate,smooth")


def named(slots: list[str], **more: object) -> dict[str, tuple[str, ...]]:
    return {c.name: c.withheld for c in conditions(slots, True, (), **more)}  # type: ignore[arg-type]


def test_each_stream_is_withheld_and_each_slot_stands_alone() -> None:
    assert named(["face", "context"]) == {
        "nothing withheld": (),
        "without face, context alone": ("face",),
        "without context, face alone": ("context",),
    }
    assert named(["face", "audio", "face.b"]) == {
        "nothing withheld": (),
        "without face, audio alone": ("face", "face.b"),
        "without audio": ("audio",),
        "without slot face": ("face",),
        "without slot face.b": ("face.b",),
        "face alone": ("audio", "face.b"),
        "face.b alone": ("face", "audio"),
    }
    assert list(named(["face", "face.b"])) == [
        "nothing withheld",
        "without slot face, face.b alone",
        "without slot face.b, face alone",
    ]
    with refused("drop-one-slot", first="face"):
        conditions(["face"], True, ())
    assert [(c.name, c.noise) for c in conditions(["face"], False, (0.5, 2))] == [
        ("nothing withheld", 0.0),
        ("noise 0.5", 0.5),
        ("noise 2", 2.0),
    ]


def test_noise_levels_are_numbers_over_0() -> None:
    assert noise_levels("0.5,1, 2,1") == [0.5, 1, 2]
    for text in ("", "0", "-1", "1,,2", "a", "nan", "inf"):
        with refused("noise-invalid"):
            noise_levels(text)


class Plain:
    """A model that gives its fusion the features as they are, and answers what it was given."""

    slots = ("face", "audio")

    def features(self, batch: Batch) -> dict[str, torch.Tensor]:
        return dict(batch.features)

    def fuse(self, features: dict[str, torch.Tensor], present: object, valid: object) -> FusionOut:
        return FusionOut(torch.cat([features["face"], features["audio"]], -1))

    def decode(self, raw: torch.Tensor) -> torch.Tensor:
        return raw

    def eval(self) -> None:
        pass


def batch(starts: list[int], video: str = "v", frames: int = 8) -> Batch:
    rng = np.random.default_rng(0)
    whole = {
        "face": torch.from_numpy(rng.normal(2, 3, (20, 4))).float(),
        "audio": torch.from_numpy(rng.normal(size=(20, 2))).float(),
    }
    present = {"face": torch.ones(20, dtype=torch.bool), "audio": torch.arange(20) >= 10}
    cut = [slice(s, s + frames) for s in starts]
    return Batch(
        {k: torch.stack([x[c] for c in cut]) for k, x in whole.items()},
        {},
        {k: torch.stack([x[c] for c in cut]) for k, x in present.items()},
        torch.ones(len(starts), frames) > 0,
        torch.zeros(0),
        torch.zeros(0),
        [(video, s, 0) for s in starts],
    )


def noise_of(level: float, starts: list[int], video: str = "v", **spread: torch.Tensor) -> torch.Tensor:
    given = {"face": torch.ones(4), "audio": torch.ones(2)} | spread
    noisy = Noisy(Plain(), given, level, {"v": 20, "w": 20})  # type: ignore[arg-type]
    clean = batch(starts, video)
    return noisy(clean).raw - Plain().fuse(clean.features, None, None).raw


def test_spread_is_that_of_the_frames_where_the_slot_is_present() -> None:
    watched = InputStatistics(Plain())  # type: ignore[arg-type]
    for starts in ([0, 12], [4]):
        watched(batch(starts))
    rows = torch.cat([batch([s]).features["face"][0] for s in (0, 12, 4)])
    np.testing.assert_allclose(watched.standard_deviations()["face"], rows.numpy().std(0), rtol=1e-5)
    heard = torch.cat([batch([s]).features["audio"][0][batch([s]).present["audio"][0]] for s in (0, 12, 4)])
    assert len(heard) == 10
    np.testing.assert_allclose(watched.standard_deviations()["audio"], heard.numpy().std(0), rtol=1e-5)


def test_a_frame_has_the_same_noise_in_every_window_and_at_every_level() -> None:
    a, b = noise_of(1, [0, 4])
    np.testing.assert_allclose(a[4:], b[:4], atol=1e-6)
    np.testing.assert_allclose(noise_of(2, [0])[0], 2 * a, atol=1e-6)
    np.testing.assert_allclose(noise_of(1, [0]), noise_of(1, [0]))
    assert (noise_of(1, [0], "w")[0] - a)[:, :4].abs().min() > 0
    assert abs(float(a[:, :4].std()) - 1) < 0.4
    wide = noise_of(1, [0], face=torch.tensor([1.0, 1.0, 1.0, 7.0]))[0]
    np.testing.assert_allclose(wide[:, 3], 7 * a[:, 3], atol=1e-5)


def test_where_a_slot_is_absent_there_is_no_noise() -> None:
    a = noise_of(1, [4])[0]  # frames 4 to 11; audio begins at 10
    assert (a[:6, 4:] == 0).all()
    assert (a[6:, 4:] != 0).all()
    assert (a[:, :4] != 0).all()


@pytest.mark.slow
def test_the_table_of_a_run(program, record, tmp_path: Path) -> None:
    folder = program.run(tmp_path, "run", "--encoders", "face,context", "--track", "va", *QUICK)
    answer = program("evaluate", folder, "--drop", "each", "--noise", "0.5,4")
    assert answer.code == 0, answer.err
    path = folder / "robustness" / "drop-each-noise-val.json"
    got = json.loads(path.read_text())
    rows = {row["name"]: row for row in got["conditions"]}
    assert list(rows) == [
        "nothing withheld",
        "without face, context alone",
        "without context, face alone",
        "noise 0.5",
        "noise 4",
    ]
    scores = record(folder)["result"]["scores"]
    assert got["result_sha256"] == record(folder)["result_sha256"]
    base = rows["nothing withheld"]
    for kind in ("raw", "post"):
        assert base[kind]["main"] == pytest.approx(scores[kind]["main"], abs=1e-9)
        for row in list(rows.values())[1:]:
            assert row[kind]["difference"]["value"] == pytest.approx(row[kind]["main"] - base[kind]["main"])
            assert row["frames"] == base["frames"]
    assert rows["noise 4"]["raw"]["main"] != rows["noise 0.5"]["raw"]["main"] != base["raw"]["main"]
    text = path.with_suffix(".md").read_text()
    assert text.count("\n| ") == 6
    assert "Synthetic" in text
    one = program("evaluate", folder, "--drop", "context")
    assert one.code == 0, one.err
    single = json.loads((folder / "predictions" / "val-without-context.scores.json").read_text())
    for kind in ("raw", "post"):
        assert single[kind]["main"] == pytest.approx(rows["without context, face alone"][kind]["main"], abs=1e-9)
    before = path.read_bytes()
    assert program("evaluate", folder, "--noise", "4", "--drop", "each").code == 0
    assert path.read_bytes() != before  # fewer levels
    again = {row["name"]: row for row in json.loads(path.read_text())["conditions"]}
    assert again["noise 4"] == rows["noise 4"]  # the same noise, whatever else is asked for
    mixed = program("evaluate", folder, "--drop", "each", "--drop", "face")
    mixed.refused("drop-table-options")
