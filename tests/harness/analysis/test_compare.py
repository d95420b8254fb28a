"""`harness compare`: the paired difference, what drives it, and what must not be compared or said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from harness.analysis.compare import compare
from harness.evaluation.prediction_tables import write_predictions
from harness.evaluation.scoring import score_block
from leaderboards.blocks import Result
from leaderboards.intervals import paired
from leaderboards.record import Record
from tests.support.refusals import Refusal, refused
from zoo.api import VideoAnswers
from zoo.registry.tracks import find_track, load_plugins

VA = find_track(load_plugins([]), "va", "abaw10")[1]
RANKING = re.compile(r"better|worse|beat|best|win|superior|outperform|higher|lower|rank|place", re.IGNORECASE)


def block(values: Sequence[float]) -> dict[str, Any]:
    """Scores that are means over groups."""
    x = np.array(values)
    rest = [float(np.delete(x, i).mean()) for i in range(len(x))] if len(x) > 1 else [None]
    return {
        "main": float(x.mean()),
        "low": 0.0,
        "high": 1.0,
        "groups": [f"video{i}" for i in range(len(x))],
        "leave_one_out": rest,
        "parts": {},
    }


def put(folder: Path, values: Sequence[float] | None, post: Sequence[float] | None = None, **changes: Any) -> Path:
    """A finished run whose score is the mean of ``values``; its folder."""
    scores = {kind: block(v) for kind, v in (("raw", values), ("post", post)) if v is not None}
    result: dict[str, Any] = {
        "edition": "abaw10",
        "track": "va",
        "track_version": 1,
        "metric": "mean_ccc",
        "split": "val",
        "seeds": [0, 1],
        "data": {"name": "Aff-Wild2", "fingerprint": "f" * 64},
        "scores": scores,
        "selection_split": None,
    }
    status = changes.pop("status", "done")
    Record(folder.name, status, None, cast(Result, {**result, **changes})).write(folder / "record.json")
    return folder


def noise(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 0.05, n)


def test_the_difference_is_the_later_run_less_the_first(tmp_path: Path) -> None:
    a, b = noise(0, 12), noise(1, 12)
    text = compare([put(tmp_path / "one", a, b), put(tmp_path / "two", b, a)])
    got = [
        paired(x.mean(), block(x)["leave_one_out"], y.mean(), block(y)["leave_one_out"]) for x, y in ((b, a), (a, b))
    ]
    for kind, d, x, y in (("raw", got[0], a, b), ("post-processed", got[1], b, a)):
        (row,) = re.findall(rf"^{kind} +(\S+) +(\S+) +(\S+) +\[(\S+), (\S+)\] +(\S+)", text, re.MULTILINE)
        assert row == (
            f"{x.mean():.4f}",
            f"{y.mean():.4f}",
            f"{d.value:+.4f}",
            f"{d.low:+.4f}",
            f"{d.high:+.4f}",
            f"{d.p:.3f}",
        )
    assert "two and one cannot be distinguished over 12 groups" in text


def test_a_sure_difference_names_the_better_run_whichever_comes_first(tmp_path: Path) -> None:
    a = noise(0, 12)
    runs = [put(tmp_path / "weak", a), put(tmp_path / "strong", a + 0.1 + 0.01 * noise(3, 12))]
    for given in (runs, runs[::-1]):
        assert re.search(r"raw: strong is better than weak by 0\.10\d\d over 12 groups \(p < 0\.001\)", compare(given))


def test_the_groups_that_drive_it_are_named_three_each_way(tmp_path: Path) -> None:
    gains = np.array([0.50, 0.30, 0.20, 0.06, 0.05, 0.05, 0.05, 0.05, 0.00, -0.10, -0.20, -0.30])
    a = noise(0, 12)
    text = compare([put(tmp_path / "one", a), put(tmp_path / "two", a + gains)])
    up, down = re.findall(r"pulled (?:up|down) most by (.*)", text)
    rest = {i: f"video{i} (without it {(gains.sum() - gains[i]) / 11:+.4f})" for i in range(12)}
    assert up == ", ".join(rest[i] for i in (0, 1, 2))
    assert down == ", ".join(rest[i] for i in (11, 10, 9))


def test_a_tie_is_called_one(tmp_path: Path) -> None:
    for n in (4, 12):
        text = compare([put(tmp_path / f"one{n}", noise(0, n)), put(tmp_path / f"two{n}", noise(0, n))])
        assert f"raw: a tie: two{n} and one{n} score the same, whichever group" in text
        assert "pulled" not in text


@pytest.mark.parametrize("groups", [1, 2, 9])
def test_few_groups_give_a_number_and_no_order(tmp_path: Path, groups: int) -> None:
    a = noise(0, groups)
    b = a + 0.2 + 0.001 * noise(1, groups)
    runs = [put(tmp_path / "one", a), put(tmp_path / "two", b)]
    text = compare(runs)
    assert not RANKING.search(text)
    assert f"{b.mean() - a.mean():+.4f}" in text
    assert ("too few to say" if groups > 1 else "one group of videos says nothing") in text


def test_several_runs_are_compared_with_the_first(tmp_path: Path) -> None:
    runs = [put(tmp_path / name, noise(i, 11)) for i, name in enumerate(("one", "two", "three", "four"))]
    text = compare(runs)
    assert "two and one" in text
    assert "three and one" in text
    assert "three and two" not in text
    assert "The 3 p values are not corrected" in text
    assert "by itself" not in compare(runs[:2])


def test_a_record_by_itself_is_as_good_as_its_folder(tmp_path: Path) -> None:
    runs = [put(tmp_path / name, noise(i, 11)) for i, name in enumerate(("one", "two"))]
    moved = [run.rename(tmp_path / f"moved-{run.name}") / "record.json" for run in runs]
    aside = [path.rename(tmp_path / f"{path.parent.name}.json") for path in moved]
    assert compare(aside) == compare([put(tmp_path / n, noise(i, 11)) for i, n in enumerate(("one", "two"))])


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    text = compare([put(tmp_path / day / "run", noise(i, 12)) for i, day in enumerate(("monday", "tuesday"))])
    assert "tuesday/run and monday/run cannot be distinguished" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        (
            {"data": {"name": "other", "fingerprint": "e" * 64}},
            refused("compare-different-tracks", names="data Aff-Wild2 (ffffffff) and other (eeeeeeee)"),
        ),
        ({"edition": "abaw9"}, refused("compare-different-tracks", names="edition abaw10 and abaw9")),
        (
            {"track": "expr", "split": "cv6"},
            refused("compare-different-tracks", names="track va and expr; split val and cv6"),
        ),
        ({"track_version": 2}, refused("compare-different-tracks", names="track version 1 and 2")),
        ({"status": "failed"}, refused("compare-run-not-finished", why="is failed")),
        ({"scores": {}}, refused("compare-run-not-finished", why="scored nothing on val")),
        ({"scores": {"raw": block(noise(0, 11))}}, refused("compare-different-groups")),
        (
            {"scores": {"raw": {"main": 0.5, "groups": block(noise(0, 12))["groups"]}}},
            refused("compare-no-group-scores"),
        ),
        ({"scores": {"raw_with_face": block(noise(0, 12))}}, refused("compare-no-common-score")),
    ],
)
def test_what_is_no_comparison_is_refused(tmp_path: Path, changes: Mapping[str, Any], refusal: Refusal) -> None:
    runs = [put(tmp_path / "one", noise(0, 12)), put(tmp_path / "two", noise(1, 12), **changes)]
    with refusal as caught:
        compare(runs)
    assert "\n" not in str(caught.value)


def test_one_run_and_what_is_no_record_are_refused(tmp_path: Path) -> None:
    with refused("compare-too-few"):
        compare([put(tmp_path / "one", noise(0, 12))])
    with refused("record-invalid"):
        compare([put(tmp_path / "one", noise(0, 12)), tmp_path / "nowhere"])


def test_choices_on_what_is_reported_are_told(tmp_path: Path) -> None:
    chosen = {"selection_split": "val", "n_selections": 30}
    runs = [
        put(tmp_path / "clean", noise(0, 12)),
        put(tmp_path / "old", noise(1, 12), **chosen),
        put(tmp_path / "folds", noise(2, 12), selection_split="next fold", selected_on_reported=False),
        put(tmp_path / "seen", noise(3, 12), selected_on_reported=True, seen=["video1", "video2"], seeds=[3]),
    ]
    text = compare(runs)
    assert re.findall(r"warning: (\w+) chose its epoch or weights( by 30 scores)? on val", text) == [
        ("old", " by 30 scores"),
        ("seen", ""),
    ]
    assert "the starting weights of seen were trained on 2 of the scored videos" in text
    assert "One training each: seen." in text


# --- parts, from the predictions of run folders -----------------------------------------------------------------------


def answered(seed: int, videos: int) -> list[VideoAnswers]:
    rng, labels = np.random.default_rng(seed), np.random.default_rng(99)
    made = []
    for v in range(videos):
        truth = {name: labels.uniform(-1, 1, 20) for name in ("valence", "arousal")}
        guess = {name: np.clip(t + rng.normal(0, 0.5, 20), -1, 1) for name, t in truth.items()}
        made.append(VideoAnswers(f"video{v}", f"video{v}", guess, truth, {}, np.arange(20) / 30))
    return made


def ccc(x: np.ndarray, y: np.ndarray) -> float:
    return float(2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


def test_parts_come_from_the_predictions(tmp_path: Path) -> None:
    sides, runs = [answered(seed, 12) for seed in (0, 1)], []
    for name, videos in zip(("one", "two"), sides, strict=True):
        runs.append(put(tmp_path / name, None, scores={"raw": score_block(VA, videos)}))
        write_predictions(tmp_path / name / "predictions" / "val.parquet", VA, videos)
    text = compare(runs)
    for part in ("valence", "arousal"):
        figures = []
        for videos in sides:
            every = [(v.values[part], v.targets[part]) for v in videos]
            without = [[pair for j, pair in enumerate(every) if j != i] for i in range(12)]
            figures.append([ccc(*map(np.concatenate, zip(*some, strict=True))) for some in (every, *without)])
        (a, *rest_a), (b, *rest_b) = figures
        d = paired(b, rest_b, a, rest_a)
        (row,) = re.findall(rf"^  ccc_{part} +(\S+) +(\S+) +(\S+) +\[(\S+), (\S+)\]", text, re.MULTILINE)
        assert row == (f"{a:.4f}", f"{b:.4f}", f"{d.value:+.4f}", f"{d.low:+.4f}", f"{d.high:+.4f}")
    assert "mean_ccc  " not in text  # the main score is not told twice
    write_predictions(tmp_path / "two" / "predictions" / "val.parquet", VA, answered(2, 12))
    assert "ccc_valence" not in compare(runs)  # not those of the record


def test_the_command(program, tmp_path: Path) -> None:
    runs = [put(tmp_path / name, noise(i, 12)) for i, name in enumerate(("one", "two"))]
    answer = program("compare", *runs)
    assert answer.code == 0, answer.err
    assert answer.out.strip() == compare(runs)
    assert program("compare", runs[0]).code == 2
