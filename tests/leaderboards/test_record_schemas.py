"""Records of every schema number load for ever, and what is no record any more raises RecordError and nothing else."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from leaderboards.blocks import Circumstances, Result
from leaderboards.record import _UPGRADES, SCHEMA, Record, RecordError, digest, read
from leaderboards.tables import leaderboard, load_runs, to_csv, to_markdown

FOLDER = Path(__file__).parent / "records"
RECORDS = sorted(FOLDER.glob("schema-*/*.json"))
KINDS = {
    "va",
    "expr",
    "au",
    "mtl",
    "seeds",
    "folds",
    "fold-0",
    "fit",
    "ensemble",
    "failed",
    "interrupted",
    "killed",
    "first",
}
STATUS = {"failed": "failed", "interrupted": "interrupted", "killed": "running"}


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_there_are_records_of_every_number() -> None:
    assert {int(p.name.removeprefix("schema-")) for p in FOLDER.glob("schema-*")} == set(range(1, SCHEMA + 1))
    assert set(_UPGRADES) == set(range(1, SCHEMA))
    for number in range(1, SCHEMA + 1):
        assert {p.stem for p in RECORDS if p.parent.name == f"schema-{number}"} >= KINDS


def misfits(value: Any, kind: Any, place: str) -> Iterator[str]:
    """Places whose key or value is not what the types of leaderboards.blocks say."""
    if kind is Any:
        return
    if is_typeddict(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        yield from (f"{place}.{key}" for key in value.keys() - hints.keys())
        for key in value.keys() & hints.keys():
            yield from misfits(value[key], hints[key], f"{place}.{key}")
        return
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        found = [list(misfits(value, one, place)) for one in inner]
        yield from min(found, key=len)
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from misfits(item, inner[1], f"{place}.{key}")
    elif origin is list and isinstance(value, list):
        for i, item in enumerate(value):
            yield from misfits(item, inner[0], f"{place}.{i}")
    elif is_typeddict(kind) or not isinstance(value, (int, float) if kind is float else origin or kind):
        yield place


@pytest.mark.parametrize("path", RECORDS, ids=named)
def test_the_types_of_its_blocks_are_those_that_are_written(path: Path) -> None:
    record = read(path)
    assert not list(misfits(record.result, Result, "result"))
    assert not list(misfits(record.circumstances, Circumstances, "circumstances"))


def test_what_the_types_do_not_know_is_found() -> None:
    block = {"main": None, "low": None, "metric": 1, "groups": ["a", 2]}
    assert sorted(misfits({"scores": {"raw": block}, "seeds": 3, "edition": "abaw10"}, Result, "r")) == [
        "r.scores.raw.groups.1",
        "r.scores.raw.main",
        "r.scores.raw.metric",
        "r.seeds",
    ]


@pytest.mark.parametrize("path", RECORDS, ids=named)
def test_it_loads_and_is_written_back_the_same(path: Path, tmp_path: Path) -> None:
    content = json.loads(path.read_text())
    assert content["schema"] == int(path.parent.name.removeprefix("schema-"))
    record = read(path)
    assert record.status == STATUS.get(path.stem, "done")
    assert bool(record.reason) == (record.status in ("failed", "interrupted"))
    assert bool(record.scores) == (record.status == "done" and path.stem != "fit")
    record.write(tmp_path / "record.json")
    assert read(tmp_path / "record.json") == record
    if content["schema"] == SCHEMA:
        written = json.loads((tmp_path / "record.json").read_text())
        assert written == {"record_sha256": written["record_sha256"], **content}  # 0.1 wrote none


@pytest.mark.parametrize("path", RECORDS, ids=named)
def test_it_stands_in_a_table(path: Path) -> None:
    record = read(path)
    (table,) = leaderboard([record])
    (row,) = csv.DictReader(io.StringIO(to_csv([table])))
    raw = record.scores.get("raw", {})
    assert (row["run"], row["status"]) == (record.name, record.status)
    for column, key in (("score", "main"), ("low", "low"), ("high", "high")):
        assert (float(row[column]) if row[column] else None) == raw.get(key)
    assert row["edition"] == record.result["edition"]
    assert row["track"] == record.result["track"]
    text = to_markdown([table])
    assert record.name in text
    assert f"{raw['main']:.3f}".replace("-0.000", "0.000") in text if raw else True


def test_together_they_are_tables_without_problems(tmp_path: Path) -> None:
    for path in RECORDS:
        folder = tmp_path / named(path).replace("/", "-")
        folder.mkdir()
        (folder / "record.json").write_bytes(path.read_bytes())
    records, problems = load_runs(tmp_path)
    assert problems == []
    assert len(records) == len(RECORDS)
    assert sum(len(table.rows) for table in leaderboard(records)) == len(RECORDS)


def test_an_older_number_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the next number will do it: ``result.edition`` renamed to ``result.year``, the digest checked before."""

    def upgrade(content: dict[str, Any]) -> dict[str, Any]:
        result = {("year" if key == "edition" else key): value for key, value in content["result"].items()}
        return {**content, "result": result}

    monkeypatch.setattr("leaderboards.record.SCHEMA", SCHEMA + 1)
    monkeypatch.setitem(_UPGRADES, SCHEMA, upgrade)
    (path,) = (p for p in RECORDS if named(p) == f"schema-{SCHEMA}/va")
    record = read(path)
    assert cast(dict[str, object], record.result)["year"] == "abaw10"
    record.write(tmp_path / "record.json")
    assert json.loads((tmp_path / "record.json").read_text())["schema"] == SCHEMA + 1
    assert read(tmp_path / "record.json") == record
    damaged = json.loads(path.read_text())
    damaged["result"]["edition"] = "abaw9"
    (tmp_path / "damaged.json").write_text(json.dumps(damaged))
    with pytest.raises(RecordError, match="was changed"):
        read(tmp_path / "damaged.json")


# --- damaged records --------------------------------------------------------------------------------------------------

JUNK: list[Any] = [None, True, 0, -1, 2**70, 1e308, "", "x", "\ud800", [], [[]], {}, {"": None}, [None], float("nan")]


def places(tree: Any, parent: Any = None, key: Any = None) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree: what holds it, and under which key."""
    if parent is not None:
        yield parent, key
    for inner, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(value, tree, inner)


def mutated(content: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A record with one to three places replaced, dropped or doubled."""
    tree = copy.deepcopy(content)
    for _ in range(rng.randint(1, 3)):
        parent, key = rng.choice(list(places(tree)))
        action = rng.random()
        if action < 0.25:
            del parent[key]
        elif action < 0.4 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        else:
            parent[key] = copy.deepcopy(rng.choice(JUNK))
    return tree


def test_bytes_that_were_damaged_raise_recorderror_alone(tmp_path: Path) -> None:
    rng, path = random.Random(0), tmp_path / "record.json"
    refused: list[str] = []
    for _ in range(600):
        whole = bytearray(rng.choice(RECORDS).read_bytes())
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(whole))
            whole[at : at + rng.choice([0, 1, 1, 50])] = bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 3])))
        path.write_bytes(whole[: rng.choice([len(whole), len(whole), rng.randrange(len(whole))])])
        try:
            assert isinstance(read(path), Record)
        except RecordError as error:
            refused.append(str(error))
    assert not any("\n" in text for text in refused)
    assert len(refused) > 500  # what is left was damaged in what the digest does not cover


@pytest.mark.parametrize("signed", [False, True], ids=["changed", "changed and signed anew"])
def test_values_that_were_changed_end_as_a_problem_or_a_row(tmp_path: Path, signed: bool) -> None:
    rng, path, refused = random.Random(1), tmp_path / "one" / "record.json", 0
    path.parent.mkdir()
    for _ in range(600):
        content = mutated(json.loads(rng.choice(RECORDS).read_text()), rng)
        if signed:
            content["result_sha256"] = digest(content.get("result"))
        path.write_text(json.dumps(content))
        records, problems = load_runs(tmp_path)
        assert len(records) + len(problems) == 1
        refused += len(problems)
        (to_markdown(leaderboard(records), problems) + to_csv(leaderboard(records))).encode()
    assert refused > (10 if signed else 500)


def test_a_deep_record_is_refused(tmp_path: Path) -> None:
    content = json.loads(RECORDS[0].read_text())
    for depth in (500, 900, 2_000, 50_000):
        text = json.dumps(content).replace('"result": {', '"result": {"deep": ' + "[" * depth + "]" * depth + ", ", 1)
        (tmp_path / "record.json").write_text(text)
        with pytest.raises(RecordError):
            read(tmp_path / "record.json")


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_that_never_was_is_refused(tmp_path: Path, number: int) -> None:
    content = json.loads(RECORDS[0].read_text()) | {"schema": number}
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match="never was a schema"):
        read(tmp_path / "record.json")


def test_no_record_names_a_machine() -> None:
    for path in RECORDS:
        circumstances = read(path).circumstances
        assert circumstances.get("host", "host") == "host"
        assert "/" not in "".join(str(value) for key, value in circumstances.items() if key != "commit")
