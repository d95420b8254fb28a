"""A record comes back as it was written, whole or not at all, and anything else is refused in one line."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboards.record import SCHEMA, Record, RecordError, canonical, digest, read

RESULT: dict[str, Any] = {
    "edition": "abaw10",
    "seeds": [0, 1],
    "scores": {"raw": {"main": 0.1 + 0.2, "low": 0.25, "high": 0.35, "parts": {"ccc_valence": 1 / 3}}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_a_record_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one" / "record.json"
    record = Record("one", "done", None, RESULT, {"host": "here", "seconds": 1.5})
    record.write(path)
    assert read(path) == record
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["schema"] == SCHEMA
    assert content["scores"] == {"raw": {"main": 0.30000000000000004, "low": 0.25, "high": 0.35}}
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


def test_the_hash_is_of_the_canonical_result() -> None:
    spelt = '{"a":[1,2.5,null],"b":{"z":true,"\\u00e4":"x"}}'
    assert canonical({"b": {"z": True, "ä": "x"}, "a": (1, 2.5, math.nan)}) == spelt
    assert digest(json.loads(spelt)) == hashlib.sha256(spelt.encode()).hexdigest()


def test_what_numpy_holds_becomes_plain() -> None:
    value = {
        "x": np.float64(0.1),
        "n": np.int64(3),
        "b": np.bool_(True),
        "a": np.array([[1.5, np.inf]]),
        4: Path("a/b"),
    }
    assert canonical(value) == '{"4":"a/b","a":[[1.5,null]],"b":true,"n":3,"x":0.1}'
    with pytest.raises(TypeError, match="set"):
        canonical({"x": {1, 2}})


def test_a_name_that_is_no_unicode_does_not_stop_a_record(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    Record("one", "failed", "no such file: a\udcff.mp4").write(path)
    assert read(path).reason == "no such file: a?.mp4"


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_the_hash_survives_the_file(result: dict[str, Any]) -> None:
    assert digest(json.loads(json.dumps(result))) == digest(result)


def test_later_keys_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    Record("one", "done", None, RESULT, later={"mood": "good"}).write(path)
    record = read(path)
    assert record.later == {"mood": "good"}
    record.write(path)
    assert read(path) == record


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_whatever_bit_flips_a_record_is_refused_or_the_same(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "record.json"
    record = Record("one", "done", None, RESULT, {"host": "a", "data": {"relative": "../data"}})
    record.write(path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = read(path)
    except RecordError:
        return
    # What a flip may do: a space into another space, and the name of the digest itself, as records of 0.1 have none.
    assert found in (record, replace(record, later=found.later))


def broken(**changes: Any) -> str:
    whole = {
        "schema": 1,
        "name": "one",
        "status": "done",
        "reason": None,
        "scores": {},
        "result": RESULT,
        "result_sha256": digest(RESULT),
        "circumstances": {},
    }
    return json.dumps({k: v for k, v in (whole | changes).items() if v != "DROP"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ('{"schema": 1, "na', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "no schema number"),
        ('{"a": 1}', "no schema number"),
        (broken(schema="1"), "no schema number"),
        (broken(name="a\udcff"), "is not JSON: 'utf-8' codec can't encode"),
        (broken(schema=SCHEMA + 1), "has schema 2, this program reads up to 1"),
        (broken(name=None), "'name' is missing or no str"),
        (broken(status="DROP"), "'status' is missing"),
        (broken(status="brilliant"), "unknown status 'brilliant'"),
        (broken(reason=7), "'reason' is missing or no str or null"),
        (broken(result=[]), "'result' is missing or no dict"),
        (broken(result_sha256="DROP"), "'result_sha256' is missing"),
        (broken(result=RESULT | {"edition": "abaw9"}), "changed after it was written"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=says) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read(tmp_path / "record.json")
    (tmp_path / "record.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="is not JSON"):
        read(tmp_path / "record.json")


def test_a_full_disk_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    Record("old", "running").write(path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Record("new", "done", None, RESULT).write(path)
    assert read(path).name == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_leaderboards_load_without_torch_and_without_the_rest() -> None:
    heavy = ("torch", "pandas", "zoo", "harness", "plugins")
    code = f"import sys, leaderboards.tables; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
