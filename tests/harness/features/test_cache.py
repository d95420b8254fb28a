"""Housekeeping of the feature cache: what is listed, what is found damaged, what goes and what never does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.cli.commands.cache import parsed, shown
from harness.features.cache import housekeeping
from harness.features.cache.entry import Entry, Writer, remove
from harness.features.cache.leases import Lease, leased, try_lock, unlock
from harness.features.store import FeatureStore
from tests.support.refusals import refused

DAY = 86_400


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def make(number: int, *, frames: int = 10, days: float = 0, encoder: str = "lite0", dtype: str = "float16") -> Entry:
    entry = Entry.of(f"{number:064x}")
    entry.folder.parent.mkdir(parents=True, exist_ok=True)
    writer = Writer(entry, 4, dtype)
    present = np.arange(frames) % 3 > 0
    rng = np.random.default_rng(number)
    rows = rng.normal(size=(int(present.sum()), 4))
    writer.add(rows[:3])
    writer.add(rows[3:])
    writer.finish(present, {"video": f"v{number}", "stream": "face", "encoder": encoder, "precision": "bf16"})
    used = time.time() - days * DAY
    os.utime(entry.folder / "meta.json", (used, used))
    return entry


def names(removals: list[housekeeping.Removal]) -> set[str]:
    return {removal.path.name for removal in removals}


def test_an_entry_is_read_back_as_written() -> None:
    entry = make(1, frames=100_001, dtype="float32")
    rows = np.load(entry.folder / "features.npy")
    assert rows.shape == (66_667, 4)
    np.testing.assert_array_equal(rows, np.random.default_rng(1).normal(size=(66_667, 4)).astype(np.float32))
    assert entry.check() is None
    assert not entry.part.exists()


def test_what_float16_cannot_hold_is_its_largest_number() -> None:
    entry = Entry.of("f" * 64)
    writer = Writer(entry, 1, "float16")
    writer.add(np.array([[1e9], [-1e9]], np.float32))
    writer.finish(np.ones(2, bool), {})
    assert np.load(entry.folder / "features.npy").ravel().tolist() == [65504, -65504]


def test_rows_and_mask_must_agree() -> None:
    writer = Writer(Entry.of("e" * 64), 2, "float16")
    writer.add(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="3 rows for 2 present"):
        writer.finish(np.array([True, True, False]), {})
    writer.discard()
    assert not list(Entry.of("e" * 64).folder.parent.iterdir())


def test_ls_adds_up_by_encoder(program) -> None:
    for number in range(3):
        make(number)
    make(9, encoder="other", dtype="float32")
    groups = {group.encoder: group for group in housekeeping.listing()}
    assert (groups["lite0"].entries, len(groups["lite0"].videos), groups["lite0"].frames) == (3, 3, 18)
    assert groups["lite0"].form == "bf16 float16"
    assert groups["other"].form == "bf16 float32"
    assert groups["lite0"].bytes == sum(p.stat().st_size for n in range(3) for p in make(n).folder.iterdir())


@pytest.mark.parametrize("file", ["features.npy", "present.npy", "meta.json"])
def test_verify_names_a_damaged_entry(program, cache: Path, file: str) -> None:
    own = type(program)(cache.parent, program.demo)
    entry, _ = make(1), make(2)
    assert own("cache", "verify").code == 0
    path = entry.folder / file
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    answer = own("cache", "verify")
    assert answer.code == 1
    assert f"damaged: {entry.folder}" in answer.out
    assert "2 entries, 1 damaged" in answer.out
    assert "lite0" in own("cache", "ls").out


def test_gc_by_age_and_size_spares_the_rest() -> None:
    old, middle, new = make(1, days=40), make(2, days=20), make(3)
    gone, spared = housekeeping.garbage_collect(days=30, dry=True)
    assert (names(gone), spared) == ({old.key}, 0)
    assert old.check() is None  # a dry run removes nothing
    gone, _ = housekeeping.garbage_collect(days=30)
    assert names(gone) == {old.key}
    assert not old.folder.exists()
    gone, _ = housekeeping.garbage_collect(most=new.size())
    assert names(gone) == {middle.key}
    assert new.check() is None
    assert housekeeping.garbage_collect() == ([], 0)


def test_gc_keeps_what_runs_were_made_from(tmp_path: Path) -> None:
    used, unused = make(1), make(2)
    store = FeatureStore()
    store.folders["face", "v1"] = used.folder
    (tmp_path / "runs" / "a").mkdir(parents=True)
    store.write(tmp_path / "runs" / "a" / "features.csv")
    with refused("cache-keep-no-run"):
        housekeeping.garbage_collect(keep=[tmp_path / "runs", tmp_path / "nowhere"])
    gone, _ = housekeeping.garbage_collect(keep=[tmp_path / "runs"])
    assert names(gone) == {unused.key}
    assert used.check() is None


@pytest.mark.parametrize(("kind", "fails"), [(FileNotFoundError, False), (PermissionError, True)])
def test_runs_that_are_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[OSError], fails: bool
) -> None:
    """A folder that is gone when it is looked into had no features.csv; one that cannot be looked into may have one."""
    used, unused = make(1), make(2)
    store = FeatureStore()
    store.folders["face", "v1"] = used.folder
    (tmp_path / "runs" / "a" / ".part").mkdir(parents=True)
    store.write(tmp_path / "runs" / "a" / "features.csv")
    look = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith(".part"):
            raise kind(1, "it cannot", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    if fails:
        with refused("cache-keep-unreadable", filename=".part", strerror="it cannot"):
            housekeeping.garbage_collect(keep=[tmp_path / "runs"])
    else:
        assert names(housekeeping.garbage_collect(keep=[tmp_path / "runs"])[0]) == {unused.key}
    assert used.check() is None


def test_gc_never_takes_what_is_in_use() -> None:
    entries = [make(number, days=90) for number in range(3)]
    lease = Lease()
    lease.take(entries[:1])
    lock = try_lock(entries[1].lock)
    assert lock is not None
    gone, spared = housekeeping.garbage_collect(days=30)
    assert (names(gone), spared) == ({entries[2].key}, 2)
    assert entries[0].check() is None
    lease.release()
    unlock(lock)
    gone, spared = housekeeping.garbage_collect(days=30)
    assert (len(gone), spared) == (2, 0)


def test_a_lease_ends_with_its_process_however_that_ends(cache: Path) -> None:
    entry = make(1, days=90)
    code = (
        "import sys, time; from harness.features.cache.entry import Entry; from harness.features.cache.leases import Lease\n"
        "lease = Lease(); lease.take([Entry.of(sys.argv[1])]); print('taken', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, entry.key], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        assert leased(cache) == {entry.key}
        assert housekeeping.garbage_collect(days=30) == ([], 1)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    gone, spared = housekeeping.garbage_collect(days=30)
    assert (names(gone), spared) == ({entry.key}, 0)
    assert not list((cache / "leases").iterdir())


def test_gc_clears_what_killed_processes_left(cache: Path) -> None:
    whole, being_written = make(1), Entry.of("a" * 64)
    Writer(Entry.of("b" * 64), 2, "float16").add(np.zeros((3, 2)))  # never finished
    lock = try_lock(being_written.lock)
    assert lock is not None
    Writer(being_written, 2, "float16")
    (cache / "bb" / f"{'b' * 64}.123").mkdir()  # as an earlier version named it
    (cache / "bb" / f"{'b' * 64}.lock").touch()
    headless = make(2)
    (headless.folder / "meta.json").unlink()
    wanted = {f"{'b' * 64}.part", f"{'b' * 64}.123", headless.key}
    assert wanted <= names(housekeeping.garbage_collect(dry=True)[0])
    gone, _ = housekeeping.garbage_collect()
    assert wanted <= names(gone)
    assert being_written.part.is_dir()
    unlock(lock)
    assert whole.check() is None
    assert names(housekeeping.garbage_collect()[0]) == {being_written.part.name}
    assert [path.name for path in cache.glob("??/*")] == [whole.key]


def test_removal_leaves_no_half_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = make(1)
    monkeypatch.setattr("harness.features.cache.entry.shutil.rmtree", lambda *a, **k: None)  # killed here
    remove(entry.folder)
    assert entry.check() == "missing"
    monkeypatch.undo()


def test_sizes() -> None:
    assert [parsed(text) for text in ("50GB", "1.5 mb", "10", "7k", "2B")] == [50 * 10**9, 1_500_000, 10, 7000, 2]
    assert [shown(n) for n in (12, 1500, 7 * 10**9, 3 * 10**13)] == ["12 B", "1.5 KB", "7.0 GB", "30.0 TB"]
    for text in ("much", "-3GB", "5XB"):
        with refused("size-invalid"):
            parsed(text)


def test_few_files_stay_mapped_and_all_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore()
    for number in range(20):
        store.folders["face", f"v{number}"] = make(number, frames=30).folder
    one = store.rows("face", "v0").nbytes
    monkeypatch.setattr("harness.features.store.MAPPED", 3 * one)
    for _ in range(2):
        for number in range(20):
            clip = store.clip("face", f"v{number}", 0, 30)
            present = store.present("face", f"v{number}")
            np.testing.assert_array_equal(clip[present], np.load(make(number, frames=30).folder / "features.npy"))
            assert not clip[~present].any()
    assert len(store._maps) == 3
