"""What the harness itself keeps and reads again: packed streams, entries of the feature cache, the index of a folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from hypothesis import strategies as st

from tests.benchmarks import fuzz_inputs as made
from tests.benchmarks.fuzz_seeds import USER
from tests.benchmarks.fuzz_worker import Target

ANY = st.binary(max_size=4000)


def of_kept() -> dict[str, Callable[[str], Target]]:
    """Name -> what makes the target."""
    return {
        "pack's label": partial(_pack, spoil="face/a.json"),
        "packed pictures": partial(_pack, spoil="face/a.arrow"),
        "packed sound": partial(_pack, spoil="audio/a.arrow"),
        **{f"cache {name}": partial(_entry, spoil=name) for name in ("meta.json", "features.npy", "present.npy")},
        "index of a folder": _memo,
    }


def _pack(name: str, spoil: str) -> Target:
    """Whatever a label says and a file holds, pictures and samples come out or the reader's own error."""
    from harness.data.packed.metadata import Label, read_label
    from harness.data.packed.reader import Pictures, Samples
    from harness.data.packed.writer import PICTURES, SAMPLES, Writer

    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder)
        picture = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8))[1].tobytes()
        with Writer(pack, "face", "a", PICTURES) as writer:
            for jpeg in (picture, None, picture):
                writer.add(jpeg)
            faces = writer.finish("x", {"turned": False})
        with Writer(pack, "audio", "a", SAMPLES) as writer:
            writer.add_array(np.arange(400, dtype=np.int16))
            sound = writer.finish("x", {"rate": 16_000, "start": 0.0})
        files = {str(path.relative_to(pack)): path.read_bytes() for path in sorted(pack.rglob("a.*"))}

    def read(path: Path) -> object:
        root = path.parents[1]
        if spoil.startswith("audio"):
            return Samples(root, sound).samples.sum()
        label: Label | None = read_label(root, "face", "a") if spoil.endswith(".json") else faces
        if label is None:
            return None
        pictures, out = Pictures(root, label), np.zeros((3, 16, 16, 3), np.uint8)
        there = np.flatnonzero(pictures.present(3))
        pictures.fill(there, [out[i] for i in there])
        return out

    keys = ("stream", "name", "source", "rows", "bytes", "sha256", "settings", "version")
    kinds = made.documents(*keys) if spoil.endswith(".json") else ANY
    beside = {file: content for file, content in files.items() if file != spoil}
    return Target(name, spoil, (files[spoil],), kinds, read, USER, beside, names=False)


def _entry(name: str, spoil: str) -> Target:
    """An entry is what was written, or has a fault."""
    from harness.features.cache.entry import Entry, Writer

    with tempfile.TemporaryDirectory() as folder:
        entry = Entry(Path(folder, "aa", "a" * 64))
        writer = Writer(entry, 4, "float16")
        writer.add(np.arange(12, dtype=np.float32).reshape(3, 4))
        writer.finish(np.array([True, False, True, True]), {"video": "a", "stream": "face", "encoder": "x"})
        files = {path.name: path.read_bytes() for path in sorted(entry.folder.iterdir())}

    def read(path: Path) -> object:
        fault = Entry(path.parent).check()
        if fault is None and any(
            (path.parent / name).read_bytes() != files[name] for name in files if name != "meta.json"
        ):
            raise AssertionError("other features than those that were written are taken")
        return fault

    kinds = made.documents(*json.loads(files["meta.json"])) if spoil == "meta.json" else made.arrays()
    beside = {file: content for file, content in files.items() if file != spoil}
    return Target(name, spoil, (files[spoil],), kinds, read, USER, beside)


def _memo(name: str) -> Target:
    """What does not match its digest counts as none."""
    from harness.io.read_cache import ReadCache

    kept = np.arange(6, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "a.txt"), Path(folder, "a.memo")
        source.write_text("x")
        memo = ReadCache(path)
        memo.read(source, "frames", lambda: {"labels": kept.copy()})
        memo.save()
        content = path.read_bytes()

    def read(path: Path) -> object:
        entries = ReadCache(path)._entries
        for entry in entries.values():
            np.testing.assert_array_equal(entry.arrays["labels"].array(), kept)
        return len(entries)

    return Target(name, "a.memo", (content,), ANY, read, USER)
