"""`harness reproduce`: the same run again from its record, and a verdict that can be negative."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.reproduce import Paths, _config, _judge, _record
from harness.config.schema import RunConfig
from leaderboards.record import Record, read
from tests.support.paths import STRANGERS
from tests.support.refusals import Part, Refusal, refused
from zoo.files import file_sha256

Read = Callable[[Path], dict[str, Any]]
PLUGIN = STRANGERS / "single_file.py"
SETTINGS = RunConfig(encoders="face", seed=3, edition="abaw10").model_dump(
    mode="json", exclude={"data_dir", "device", "plugin", "epochs_from"}
)


def record_of(raw: float | None = 0.5, low: float = 0.4, high: float = 0.6, **more: Any) -> Record:
    scores = {} if raw is None else {"raw": {"main": raw, "low": low, "high": high, "groups": ["a", "b"]}}
    result = {"config": SETTINGS, "seeds": [3], "scores": scores, "data": {"synthetic": False}, **more}
    return Record("one", "done", None, result, {})


# --- from the record to a configuration -------------------------------------------------------------------------------


def test_the_records_settings_count_and_the_paths_beside_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    plugin = tmp_path / "two.py"
    plugin.touch()
    made = record_of(plugins=[f"one.py sha256 {file_sha256(plugin)}"])
    there = RunConfig(encoders="body", data_dir=str(tmp_path / "there"), device="cpu", plugin=("one.py",))
    (tmp_path / "config.toml").write_text(there.toml())
    with refused("run-plugin-not-named", name="one.py"):
        _config(tmp_path, made, tmp_path, Paths())
    config = _config(tmp_path, made, tmp_path, Paths(plugins=(plugin,)))
    assert (config.encoders, config.seed, config.edition) == ("face", 3, "abaw10")
    assert (config.data_dir, config.device, config.plugin) == (str(tmp_path / "there"), "cpu", (str(plugin),))
    given = Paths(Path("here"), Path("list.txt"), (plugin,), None, "cuda")
    config = _config(tmp_path, made, tmp_path, given)
    assert (config.data_dir, config.device) == ("here", "cuda")
    assert config.data.list == "list.txt"
    assert config.data.crops == "cropped_aligned"


def test_a_record_alone_wants_its_data(tmp_path: Path) -> None:
    with refused("reproduce-no-data-path"):
        _config(tmp_path, record_of(), None, Paths())
    assert _config(tmp_path, record_of(), None, Paths(data=Path("here"))).data_dir == "here"
    assert _config(tmp_path, record_of(data={"synthetic": True}), None, Paths()).data_dir is None  # the demo set


def test_a_fit_wants_the_run_of_its_epochs(tmp_path: Path) -> None:
    fit = record_of(None, config={**SETTINGS, "fit": ["train", "val"]}, epochs_from={"run": "chooser"})
    with refused("reproduce-no-epochs-run", origin="chooser"):
        _config(tmp_path, fit, None, Paths(data=tmp_path))
    assert _config(tmp_path, fit, None, Paths(data=tmp_path, epochs_from=Path("x"))).epochs_from == "x"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (
            {"status": "failed", "reason": "no disk"},
            refused("reproduce-not-finished", status="failed", why=Part("no disk")),
        ),
        ({"status": "interrupted"}, refused("reproduce-not-finished", status="interrupted")),
        ({"result": {"ensemble": {"method": "vote"}}}, refused("reproduce-ensemble", value="vote")),
    ],
)
def test_what_has_no_training_is_refused(tmp_path: Path, change: dict[str, Any], refusal: Refusal) -> None:
    record = record_of()
    for name, value in change.items():
        setattr(record, name, value)
    record.write(tmp_path / "record.json")
    for path in (tmp_path, tmp_path / "record.json"):
        with refusal:
            _record(path)


def test_a_record_without_settings_is_refused(tmp_path: Path) -> None:
    with refused("reproduce-no-config"):
        _config(tmp_path, record_of(config=None), None, Paths())
    old = record_of(config={**SETTINGS, "brightness": 1}, versions={"abaw-zoo": "0.0.1"})
    with refused("reproduce-program-changed", maker="abaw-zoo 0.0.1"):
        _config(tmp_path, old, None, Paths(data=tmp_path))


# --- the verdict ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        (record_of(0.5), record_of(0.5), 0, "reproduced: the result is the same to the last digit"),
        (record_of(0.5), record_of(0.41), 0, "reproduced: the new score is inside the record's 95 % interval"),
        (record_of(0.5), record_of(0.39), 1, "NOT reproduced: the new score is not inside"),
        (record_of(0.5), record_of(0.61), 1, "NOT reproduced"),
        (record_of(0.5), record_of(None), 1, "NOT reproduced"),
        (record_of(None), record_of(None), 0, "nothing was scored"),
        (record_of(None), record_of(None, epoch=7), 1, "epoch: not there then, 7 now"),
    ],
)
def test_inside_is_0_and_outside_is_1(
    capsys: pytest.CaptureFixture[str], old: Record, new: Record, code: int, says: str
) -> None:
    assert _judge(old, new, differed=True) == code
    out = capsys.readouterr().out
    assert says in out
    assert ("result_sha256: the same" in out) == (old.result == new.result)
    assert "warning" not in out


def test_another_result_of_the_same_machine_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _judge(record_of(0.5), record_of(0.5, epoch=2), differed=False) == 0
    assert "warning: no difference was found that should change a result" in capsys.readouterr().out


# --- on a crumb -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the crumb set."""
    out = tmp_path_factory.mktemp("reproduce")
    return Path(program.run(out, "first", "--encoders", "face", "--epochs", 1))


@pytest.mark.slow
def test_from_the_folder_and_from_the_record_alone(program, done: Path, tmp_path: Path) -> None:
    alone = tmp_path / "sent" / "somebody.json"
    alone.parent.mkdir()
    shutil.copy(done / "record.json", alone)
    ways = {"folder": (done,), "file": (done / "record.json",), "alone": (alone, "--data", program.demo)}
    for name, way in ways.items():
        answer = program("reproduce", *way, "--out", tmp_path / name)
        assert answer.code == 0, answer.err + answer.out
        assert "result_sha256: the same" in answer.out
        assert "reproduced: the result is the same to the last digit" in answer.out
        again = read(tmp_path / name / "first" / "record.json")
        assert again.result_sha256 == read(done / "record.json").result_sha256


@pytest.mark.slow
@pytest.mark.parametrize("kind", [("--seeds", 2), ("--folds", 3)], ids=["seeds", "folds"])
def test_several_trainings(program, tmp_path: Path, kind: tuple[object, ...]) -> None:
    folder = program.run(tmp_path, "several", "--encoders", "face", "--epochs", 1, *kind)
    answer = program("reproduce", folder, "--out", tmp_path / "again")
    assert answer.code == 0, answer.err + answer.out
    assert "result_sha256: the same" in answer.out


@pytest.mark.slow
def test_what_differs_is_listed_and_a_score_outside_is_1(program, done: Path, tmp_path: Path, record: Read) -> None:
    content = record(done)
    result = content["result"]
    result["versions"]["torch"] = "1.0"
    result["plugins"] = ["stranger"]
    result["passports"][0]["sha256"] = "0" * 64
    for block in result["scores"].values():
        block |= {"main": 0.9, "low": 0.8, "high": 0.95}
    old = Record("first", "done", None, result, content["circumstances"] | {"python": "2.7"})
    old.write(tmp_path / "old" / "record.json")
    answer = program("reproduce", tmp_path / "old" / "record.json", "--data", program.demo, "--out", tmp_path / "new")
    assert answer.code == 1, answer.err + answer.out
    assert f"torch 1.0 then, {read(done / 'record.json').result['versions']['torch']} now" in answer.out
    assert "plugin then, not now: stranger" in answer.out
    assert "weights of face: sha256 000000000000 then" in answer.out
    assert "python 2.7 then" in answer.out
    assert answer.out.count("OUTSIDE") == len(result["scores"])
    assert "NOT reproduced" in answer.out


@pytest.mark.slow
def test_a_plugin_file_is_wanted_and_a_changed_one_told(program, tmp_path: Path) -> None:
    plugin = tmp_path / "colours.py"
    shutil.copy(PLUGIN, plugin)
    folder = program.run(tmp_path, "foreign", "--encoders", "face=colours", "--epochs", 1, "--plugin", plugin)
    alone = Path(shutil.copy(folder / "record.json", tmp_path / "alone.json"))
    lost = program("reproduce", alone, "--data", program.demo, "--out", tmp_path / "lost")
    assert (lost.code, len(lost.err.strip().splitlines())) == (2, 1), lost.err
    assert "made with the plugin file colours.py" in lost.err
    way = ("reproduce", alone, "--data", program.demo, "--plugin", plugin)
    answer = program(*way, "--out", tmp_path / "same")
    assert answer.code == 0, answer.err + answer.out
    assert "result_sha256: the same" in answer.out
    plugin.write_text(plugin.read_text() + "# one line more\n")
    answer = program(*way, "--out", tmp_path / "changed")
    assert (answer.code, len(answer.err.strip().splitlines())) == (2, 1), answer.err
    assert "is not that of a plugin file of" in answer.err


@pytest.mark.slow
def test_other_data_and_another_version_of_the_track_are_refused(
    program, done: Path, tmp_path: Path, record: Read
) -> None:
    data = tmp_path / "demo"
    shutil.copytree(program.demo, data)
    labels = sorted(data.rglob("*Valence_Arousal*/V*/*.txt")) or sorted(data.rglob("*VA*/V*/*.txt"))
    lines = labels[0].read_text().splitlines()
    labels[0].write_text("\n".join([*lines[:-1], "0.123,0.321"]) + "\n")
    answer = program("reproduce", done, "--data", data, "--out", tmp_path / "new")
    assert (answer.code, len(answer.err.strip().splitlines())) == (2, 1), answer.err
    answer.refused("reproduce-other-data", name="first", said=Part("the counts are the same"))
    content = record(done)
    Record("first", "done", None, content["result"] | {"track_version": 99}).write(tmp_path / "old" / "record.json")
    answer = program("reproduce", tmp_path / "old" / "record.json", "--data", program.demo, "--out", tmp_path / "new")
    answer.refused("reproduce-version-changed", words="track version", value=99)
    assert not (tmp_path / "new").exists()
