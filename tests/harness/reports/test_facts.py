"""What stands beside the pictures: commands that repeat a run, without the names of machines and folders."""

from __future__ import annotations

from pathlib import Path

from harness.reports.facts import environment, repeat, score_rows, settings
from leaderboards.record import Record
from tests.support.made_up import result


def test_the_commands_that_repeat_a_run() -> None:
    run = dict(repeat(Path("/somewhere/runs/a b"), result(0.5)))
    assert run["run it again and compare the scores"] == "harness reproduce 'runs/a b'"
    assert "what each input branch adds" in run
    seeds = dict(repeat(Path("runs/s"), result(0.5, members=["0" * 64])))
    assert "what each input branch adds" not in seeds
    members = [{"name": "a", "raw": 0.4, "weights": None}, {"name": "$(b)", "raw": 0.3, "weights": {"value": 0.5}}]
    merged = dict(repeat(Path("runs/e"), result(0.5, ensemble={"method": "ccc"}, members=members)))
    assert merged["merge its members again"] == "harness ensemble runs/a 'runs/$(b)' --method ccc"
    assert not any("reproduce" in command for command in merged.values())


def test_no_machine_and_no_folder_is_named() -> None:
    record = Record(
        "run", "done", None, result(0.5), {"host": "tower", "data": {"absolute": "/home/me"}, "seconds": 20.79999999}
    )
    assert environment(record) == [("seconds", "20.8")]


def test_the_plain_reference_is_a_row_without_an_interval() -> None:
    rows = score_rows(result(0.5, reference={"main": 0.4, "parts": {"ccc_valence": 0.3, "frames": 9.0}}))
    assert [row["kind"] for row in rows] == ["raw", "post", "reference"]
    assert (rows[2]["main"], rows[2]["low"], rows[2]["frames"]) == (0.4, None, 9)
    assert rows[0]["groups"] == 12


def test_settings_are_flat() -> None:
    assert settings(result(0.5, config={"a": {"b": [1, 2]}, "c": True})) == [("a.b", "1, 2"), ("c", "yes")]
