"""A run folder is data: nothing that it names is run, nothing that it wrote is believed, without being compared."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.runs.finished import check_settings, check_written, digests_of
from harness.runs.folder import saved_config
from harness.runs.recorded_plugins import trusted_plugins
from leaderboards.record import read
from tests.support import refusals
from tests.support.paths import STRANGERS

QUICK = ("--epochs", 1, "--post", "clip")
PLUGIN = STRANGERS / "single_file.py"


def flip(path: Path, share: float = 0.5) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1
    path.write_bytes(content)


def changed(folder: Path, **changes: Any) -> None:
    """Write a run's record anew with other status or circumstances, as a program would."""
    record = read(folder / "record.json")
    for key, value in changes.items():
        setattr(record, key, value)
    record.write(folder / "record.json")


def refused(answer: Any, says: str) -> None:
    """The command ended with one line, which says this."""
    assert (answer.code, len(answer.err.strip().splitlines())) == (2, 1), answer.err + answer.out
    assert says in answer.err


@pytest.fixture
def own(program, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    """A finished run that a test may change."""
    return Path(shutil.copytree(program.kept("--encoders", "face", *QUICK), tmp_path / "runs" / "r"))


@pytest.fixture
def data(program, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    """A copy of the crumb set."""
    return Path(shutil.copytree(program.demo, tmp_path / "data", symlinks=True))


def negate(data: Path) -> None:
    """Other labels of the same videos."""
    for path in (data / "annotations" / "VA_Estimation_Challenge").rglob("*.txt"):
        header, *rows = path.read_text().splitlines()
        turned = [",".join(f"{-float(v):g}" if float(v) > -5 else v for v in row.split(",")) for row in rows]
        path.write_text("\n".join([header, *turned]) + "\n")


# --- what a run wrote -------------------------------------------------------------------------------------------------


def test_the_record_has_the_digests_and_the_result_has_none(own: Path) -> None:
    record = read(own / "record.json")
    assert record.circumstances["files"] == digests_of(own)
    assert {"weights.safetensors", "predictions/val.parquet", "predictions/test.post.parquet"} <= set(digests_of(own))
    assert "files" not in record.result
    assert record.circumstances["data"]["absolute"] not in json.dumps(record.result)


USES: dict[str, tuple[tuple[str, ...], str]] = {
    "predict": (("predict", "VIDEO", "--model", "RUN"), "weights.safetensors"),
    "evaluate": (("evaluate", "RUN"), "weights.safetensors"),
    "evaluate --drop": (("evaluate", "RUN", "--drop", "each"), "weights.safetensors"),
    "submit": (("submit", "RUN"), "predictions/test.post.parquet"),
    "compare": (("compare", "RUN", "OTHER"), "predictions/val.parquet"),
    "compare, processed": (("compare", "RUN", "OTHER"), "predictions/val.post.parquet"),
    "ensemble": (("ensemble", "OTHER", "RUN"), "predictions/val.parquet"),
    "ensemble, test": (("ensemble", "OTHER", "RUN"), "predictions/test.parquet"),
}


def line(program, way: tuple[str, ...], own: Path) -> list[object]:  # type: ignore[no-untyped-def]
    """A command on a run and a copy of it."""
    if "OTHER" in way and not (other := own.with_name("other")).exists():
        shutil.copytree(program.kept("--encoders", "face", *QUICK), other)
    video = sorted((program.demo / "videos").rglob("*.mp4"))[0]
    known: dict[str, object] = {"RUN": own, "OTHER": own.with_name("other"), "VIDEO": video}
    out = {"predict": "answers", "ensemble": "merged"}.get(way[0])
    return [*(known.get(part, part) for part in way), *(["--out", own.parent / out] if out else [])]


@pytest.mark.parametrize("name", USES)
def test_a_flipped_bit_in_what_a_run_wrote_is_refused(program, own: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    way, file = USES[name]
    flip(own / file)
    refused(program(*line(program, way, own)), f"{own / file}: the file was changed after it was written")


@pytest.mark.parametrize("name", ["predict", "evaluate", "submit", "compare", "ensemble"])
def test_a_flipped_bit_in_the_record_is_refused(program, own: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    way = line(program, USES[name][0], own)
    flip(own / "record.json")
    refused(program(*way), "record.json: ")


@pytest.mark.parametrize("name", ["predict", "evaluate", "submit", "ensemble"])
def test_other_settings_than_the_records_are_refused(program, own: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    config = own / "config.toml"
    text, changes = re.subn(r"post = \[.+?\]", "post = []", config.read_text(), flags=re.DOTALL)
    assert changes == 1
    config.write_text(text)
    way = USES[name][0]
    if name == "ensemble":
        way = ("ensemble", "RUN", "OTHER")
    refused(program(*line(program, way, own)), "config.toml: the settings were changed after the run was made")


NEWER = {"train.stride": (1, 4), "features.views": (0, 2), "augment": (None, ("face=flip",))}


@pytest.mark.parametrize("key", NEWER)
@pytest.mark.parametrize("in_record", [False, True])
def test_settings_that_a_record_leaves_out_at_their_default_are_compared(own: Path, key: str, in_record: bool) -> None:
    """The record and config.toml disagree, whichever of the two has the default."""
    config, record = saved_config(own), read(own / "record.json")
    check_settings(own, config, record)
    section, _, name = key.rpartition(".")
    if in_record:
        settings = record.result["config"]
        there = NEWER[key][1]
        (settings[section] if section else settings)[name] = list(there) if isinstance(there, tuple) else there
    elif section:
        part = getattr(config, section).model_copy(update={name: NEWER[key][1]})
        config = config.model_copy(update={section: part})
    else:
        config = config.model_copy(update={name: NEWER[key][1]})
    here, there = (str(list(v) if isinstance(v, tuple) else v) for v in NEWER[key][:: -1 if not in_record else 1])
    with refusals.refused("run-settings-changed", said=f"{key} is {here}, the record says {there}"):
        check_settings(own, config, record)


def test_what_0_1_wrote_is_read_with_a_warning(own: Path) -> None:
    changed(own, circumstances={})
    for name in ("weights.safetensors", "predictions/val.parquet"):
        with pytest.warns(UserWarning, match=f"{name}: unverified, an older version wrote no digest of it"):
            check_written(own / name)


def test_an_evaluation_notes_what_it_wrote(program, own: Path) -> None:  # type: ignore[no-untyped-def]
    """Also the way to mend a damaged file of predictions: they are made again, and score the same."""
    before = (own / "predictions" / "val.parquet").read_bytes()
    flip(own / "predictions" / "val.parquet")
    answer = program("evaluate", own)
    assert answer.code == 0, answer.err
    assert (own / "predictions" / "val.parquet").read_bytes() == before
    check_written(own / "predictions" / "val.parquet")


def test_predictions_of_another_score_are_replaced_by_force_alone(program, own: Path) -> None:  # type: ignore[no-untyped-def]
    record = read(own / "record.json")
    score = record.result["scores"]["raw"]["main"]
    record.result["scores"]["raw"]["main"] = score + 0.25
    record.write(own / "record.json")
    before = (own / "predictions" / "val.parquet").stat().st_mtime_ns
    refused(program("evaluate", own), f"the stored predictions score {score + 0.25:.4f} and the new ones {score:.4f}")
    assert (own / "predictions" / "val.parquet").stat().st_mtime_ns == before
    assert program("evaluate", own, "--force").code == 0
    assert (own / "predictions" / "val.parquet").stat().st_mtime_ns > before


# --- where the data were ----------------------------------------------------------------------------------------------


@pytest.fixture
def moved(program, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # type: ignore[no-untyped-def]
    """A run on ``data``, named relative to the folder that it was started in."""
    monkeypatch.chdir(tmp_path)
    answer = program("run", "--data", "data", "--encoders", "face", "--out", "runs", "--name", "r", *QUICK)
    assert answer.code == 0, answer.err
    return tmp_path / "runs" / "r"


def test_another_folder_of_the_same_relative_name_is_not_taken(
    program,  # type: ignore[no-untyped-def]
    moved: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = tmp_path / "there"
    shutil.copytree(data, there / "data", symlinks=True)
    negate(there / "data")
    before = (moved / "predictions" / "val.parquet").read_bytes()
    monkeypatch.chdir(there)
    answer = program("evaluate", moved)
    assert answer.code == 0, answer.err
    assert (moved / "predictions" / "val.parquet").read_bytes() == before
    shutil.move(tmp_path / "data", tmp_path / "away")
    refused(program("evaluate", moved), "the data of this run are no longer there")
    answer = program("evaluate", moved, "--data", tmp_path / "away")  # the new place
    assert answer.code == 0, answer.err
    assert (moved / "predictions" / "val.parquet").read_bytes() == before
    shutil.move(there / "data", tmp_path / "data")
    for command in (("evaluate", moved), ("run", "--resume", moved)):
        changed(moved, status="interrupted" if command[0] == "run" else "done")
        refused(program(*command), f"{tmp_path / 'data'}: not the data of")
    changed(moved, status="done")
    answer = program("evaluate", moved, "--data", tmp_path / "data")  # other data, named: files of their own
    assert answer.code == 0, answer.err
    assert (moved / "predictions" / "evaluated-data.parquet").is_file()
    assert (moved / "predictions" / "val.parquet").read_bytes() == before


def test_data_that_are_moved_with_the_run_are_found(
    program,  # type: ignore[no-untyped-def]
    moved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    for name in ("data", "runs"):
        shutil.move(tmp_path / name, new / name)
    monkeypatch.chdir("/")
    assert program("submit", new / "runs" / "r").code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert program("evaluate", new / "runs" / "r").code == 0


# --- what is continued ------------------------------------------------------------------------------------------------


def relabelled(data: Path, run: Path) -> None:
    negate(data)


def recropped(data: Path, run: Path) -> None:
    crops = sorted(next(p for p in sorted((data / "cropped_aligned").iterdir()) if p.is_dir()).glob("*.jpg"))
    shutil.copyfile(crops[0], crops[1])


def reset(data: Path, run: Path) -> None:
    config = run / "config.toml"
    config.write_text(config.read_text().replace("weight_decay = 0.01", "weight_decay = 0.02"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (relabelled, "the labels of "),
        (recropped, "the face of "),
        (reset, "train.weight_decay was 0.01, is 0.02"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    program,  # type: ignore[no-untyped-def]
    moved: Path,
    data: Path,
    change: Callable[[Path, Path], None],
    says: str,
) -> None:
    (moved / "record.json").unlink()  # which would say it first, of labels and settings
    change(data, moved)
    answer = program("run", "--resume", moved)
    assert answer.code == 2, answer.out
    assert "state.ckpt: the checkpoint belongs to a different training: " in answer.err
    assert says in answer.err


def test_a_damaged_checkpoint_is_refused(program, moved: Path) -> None:  # type: ignore[no-untyped-def]
    changed(moved, status="interrupted")
    flip(moved / "state.ckpt", 0.9)
    answer = program("run", "--resume", moved)
    assert (answer.code, "state.ckpt" in answer.err) == (2, True), answer.err


# --- plugins ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strange(program, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:  # type: ignore[no-untyped-def]
    """A run with a plugin file, made by somebody else: the file that its config.toml names leaves a trace."""
    root = tmp_path_factory.mktemp("strange")
    plugin = Path(shutil.copy(PLUGIN, root / "single_file.py"))
    slots = "face=colours,face.b"
    folder = program.run(root, "r", "--plugin", plugin, "--encoders", slots, "--set", "train.batch=2", *QUICK)
    shutil.copytree(folder, root / "other")
    trace = root / "trace"
    plugin.write_text(f"from pathlib import Path\nPath({str(trace)!r}).touch()\n")
    return folder, trace


COMMANDS = {
    "predict": ("predict", "VIDEO", "--model", "RUN"),
    "submit": ("submit", "RUN"),
    "evaluate": ("evaluate", "RUN"),
    "reproduce": ("reproduce", "RUN"),
    "compare": ("compare", "RUN", "OTHER"),
    "ensemble": ("ensemble", "RUN", "OTHER"),
    "recipe": ("run", "--recipe", "CONFIG"),
    "resume": ("run", "--resume", "RUN"),
}


@pytest.mark.parametrize("named", [False, True], ids=["not named", "another one named"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_folder_runs_no_code(
    program,  # type: ignore[no-untyped-def]
    strange: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    named: bool,
) -> None:
    folder, trace = strange
    run = Path(shutil.copytree(folder, tmp_path / "runs" / "r"))
    if name == "resume":
        changed(run, status="interrupted")
    video = sorted((program.demo / "videos").rglob("*.mp4"))[0]
    known = {"RUN": run, "OTHER": folder.with_name("other"), "VIDEO": video, "CONFIG": run / "config.toml"}
    monkeypatch.chdir(tmp_path)
    more = ["--plugin", folder.with_name("single_file.py")] if named and name != "recipe" else []
    answer = program(*[known.get(part, part) for part in COMMANDS[name]], *more)
    says = (
        "is not that of a plugin file of"
        if more
        else "if you trust"
        if name == "recipe"
        else "the plugin file single_file"
    )
    refused(answer, says)
    assert not trace.exists()


def test_a_plugin_that_is_named_and_the_recorded_one_is_used(
    program,  # type: ignore[no-untyped-def]
    strange: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    run = Path(shutil.copytree(strange[0], tmp_path / "r"))
    answer = program("evaluate", run, "--plugin", PLUGIN)
    assert answer.code == 0, answer.err
    assert program("compare", run, strange[0].with_name("other"), "--plugin", PLUGIN).code == 0
    os.remove(run / "record.json")
    with refusals.refused("run-plugin-not-recorded", folder=run):
        trusted_plugins(run, ["single_file.py"], None, [])
