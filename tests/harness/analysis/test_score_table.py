"""`harness evaluate --predictions`: any edition's score of a table, against other people's sums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score

from tests.support.refusals import Part, Refusal, refused
from tests.support.submission_cases import registered

TRACKS = registered()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def harness(tmp_path: Path) -> Any:
    from tests.support.program import Program

    return Program(tmp_path / "cache", tmp_path / "none")


def scored(harness: Any, name: str, table: pd.DataFrame, labels: pd.DataFrame | None = None) -> dict[str, float]:
    """Line -> number of what is printed; the score itself is ``main``."""
    edition, _, track = name.partition("-")
    table.to_parquet("table.parquet", index=False)
    more: tuple[object, ...] = ()
    if labels is not None:
        labels.to_csv("labels.csv", index=False)
        more = ("--labels", "labels.csv")
    answer = harness("evaluate", "--predictions", "table.parquet", "--edition", edition, "--track", track, *more)
    assert (answer.code, answer.err) == (0, "")
    first, *rest = answer.out.splitlines()
    assert first.startswith(f"{edition} {track}: {TRACKS[name].metric} ")
    parts = {line.rsplit(maxsplit=1)[0]: float(line.rsplit(maxsplit=1)[1]) for line in rest if "never" not in line}
    return {"main": float(first.split(",")[0].rsplit(maxsplit=1)[1]), **parts}


@pytest.mark.parametrize("name", ["abaw10-ah", "abaw8-ah"])
def test_ambivalence_of_videos_and_of_frames(name: str, harness: Any) -> None:
    rng = np.random.default_rng(1)
    p, true = rng.random(40), rng.integers(2, size=40)
    rows = {"video": [f"{i // 4}/v{i}.mp4" for i in range(40)]}
    if name == "abaw8-ah":
        rows = {"video": [f"{i // 4}/v.mp4" for i in range(40)], "frame": [1 + i % 4 for i in range(40)]}
    labels = pd.DataFrame({**rows, "ambivalence": true, "group": [str(i // 4) for i in range(40)]})
    labels.loc[3, "ambivalence"] = np.nan  # no label: does not count
    found = scored(harness, name, pd.DataFrame({**rows, "p_absence": 1 - p, "p_presence": p}), labels.iloc[::-1])
    here = np.arange(40) != 3
    average = "macro" if name == "abaw10-ah" else "weighted"
    assert found["main"] == pytest.approx(f1_score(true[here], p[here] > 0.5, average=average), abs=5e-5)
    wanted = average_precision_score(true[here], p[here])
    assert found["average precision of presence"] == pytest.approx(wanted, abs=5e-5)


def test_mimicry_is_the_mean_of_correlations(harness: Any) -> None:
    rng = np.random.default_rng(2)
    names = [answer.name for answer in TRACKS["abaw6-emi"].answers]
    ids = [f"{i:05d}" for i in range(30)]
    guess, true = rng.random((30, 6)), rng.random((30, 6))
    table = pd.DataFrame(guess, columns=names).assign(id=range(30))  # numbers have lost their zeros
    labels = pd.DataFrame(true, columns=names).assign(id=ids)
    found = scored(harness, "abaw6-emi", table, labels.sample(frac=1, random_state=0))
    correlations = [np.corrcoef(guess[:, i], true[:, i])[0, 1] for i in range(6)]
    assert found["main"] == pytest.approx(np.mean(correlations), abs=5e-5)


def test_compound_expressions_by_class_numbers_and_labels_in_the_table(harness: Any) -> None:
    rng = np.random.default_rng(3)
    (name,) = (answer.name for answer in TRACKS["abaw7-ce"].answers)
    true, guess = rng.integers(-1, 7, size=200).astype(float), rng.integers(7, size=200)
    table = pd.DataFrame({"video": ["01"] * 100 + ["02"] * 100, "frame": [*range(1, 101)] * 2, name: guess})
    found = scored(harness, "abaw7-ce", table.assign(**{f"{name}_true": true}))
    here = true >= 0  # -1 is no label
    wanted = f1_score(true[here], guess[here], average="macro", labels=range(7))
    assert found["main"] == pytest.approx(wanted, abs=5e-5)


def test_the_score_of_a_runs_own_table_is_that_of_its_record(program: Any, record: Any) -> None:
    run = program.kept("--encoders", "face", "--epochs", 1)
    answer = program("evaluate", "--predictions", run / "predictions" / "val.parquet", "--track", "va")
    raw = record(run)["result"]["scores"]["raw"]
    assert f"mean_ccc {raw['main']:.4f}, 95 % interval {raw['low']:.4f} to {raw['high']:.4f}" in answer.out


@pytest.mark.parametrize(
    ("labels", "refusal"),
    [
        ("id,ambivalence\na,1\nc,0\n", refused("label-without-prediction", which="c", rows=1, file="labels.csv")),
        ("id,ambivalence\na,1\na,0\n", refused("label-row-twice", first="a")),
        (
            "id,ambivalence\na,2\n",
            refused("label-impossible", file="labels.csv", name="ambivalence", name2="ambivalence"),
        ),
        ("id,ambivalence\na,yes\n", refused("labels-not-numbers", name="ambivalence")),
        ("id,ambivalence\na,\nb,-1\n", refused("labels-none", name="ah")),
        ("id,label\na,1\n", refused("labels-column-missing", names="ambivalence", name="ah")),
        ("name,ambivalence\na,1\n", refused("predictions-no-key")),
        ("id;ambivalence\na;1\n", refused("predictions-semicolons")),
        (
            None,
            refused(
                "labels-column-missing",
                names="ambivalence_true",
                name="ah",
                where=Part("--labels FILE"),
            ),
        ),
    ],
)
def test_what_cannot_be_scored(labels: str | None, refusal: Refusal, harness: Any) -> None:
    Path("table.csv").write_text("id,p_absence,p_presence\na,0.2,0.8\nb,0.7,0.3\n")
    more: tuple[object, ...] = ()
    if labels is not None:
        Path("labels.csv").write_text(labels)
        more = ("--labels", "labels.csv")
    answer = harness("evaluate", "--predictions", "table.csv", "--edition", "abaw10", "--track", "ah", *more)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    refusal.check(answer.error)


@pytest.mark.parametrize(
    ("args", "refusal"),
    [
        ((), refused("evaluate-what")),
        (("run", "--predictions", "p.csv"), refused("evaluate-what")),
        (("--predictions", "p.csv"), refused("evaluate-predictions-options")),
        (("--predictions", "p.csv", "--track", "va", "--drop", "face"), refused("evaluate-predictions-options")),
        (("run", "--labels", "l.csv"), refused("evaluate-run-options")),
    ],
)
def test_commands_that_make_no_sense(args: tuple[str, ...], refusal: Refusal, harness: Any) -> None:
    answer = harness("evaluate", *args)
    assert answer.code == 2
    refusal.check(answer.error)
    assert answer.err.count("\n") == 1


def test_labels_of_one_answer_alone_are_refused(harness: Any) -> None:
    rows = {"video": ["a", "a", "b"], "frame": [1, 2, 1]}
    pd.DataFrame({**rows, "valence": [0.1, 0.2, 0.3], "arousal": 0.0}).to_csv("table.csv", index=False)
    pd.DataFrame({**rows, "valence": [0.1, 0.3, 0.2], "arousal": np.nan}).to_csv("labels.csv", index=False)
    answer = harness("evaluate", "--predictions", "table.csv", "--labels", "labels.csv", "--track", "va")
    answer.refused("table-answer-unlabelled", names="arousal")
