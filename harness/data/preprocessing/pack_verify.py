"""Verify a pack, for ``harness data verify``: compare every file with its label and with its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.data.decoding.probe_cache import video_digest
from harness.data.index.picture_folders import pictures_digest
from harness.data.packed.metadata import STREAMS, VERSION, Label, arrow_path, parse_label
from harness.data.packed.reader import Pictures, Samples
from harness.data.preprocessing.pack_plan import plan
from harness.io.digests import DAMAGED
from harness.runtime.launchers import Failure
from harness.runtime.machine import cores
from harness.runtime.process_pool import Tick, run_jobs
from zoo.errors import UserError
from zoo.files import file_sha256


@dataclass(frozen=True)
class Finding:
    """A file of a pack that is not or must not be used, and the reason."""

    path: Path
    fault: str

    def __str__(self) -> str:
        return f"{self.path}: {self.fault}"


def verify_pack(root: Path, pack: Path, *, jobs: int | None = None, progress: bool = True) -> tuple[int, list[Finding]]:
    """Return the number of labelled files in a pack, and its faults by file. Raise UserError if there is no pack."""
    files = sorted(path for stream in STREAMS for path in (pack / stream).glob("[!.]*.*"))
    labels = [path for path in files if path.suffix == ".json"]
    if not files:
        raise UserError("pack-missing", pack=pack, root=root)
    bare = [path for path in files if path.suffix == ".arrow" and not path.with_suffix(".json").is_file()]
    findings = [Finding(path, "unfinished: it has no label") for path in bare]
    aside = {path.with_suffix("").with_suffix(".arrow") for path in files if path.suffix == DAMAGED}
    findings += [Finding(path, "damaged: it was set aside") for path in sorted(aside - set(bare)) if not path.is_file()]
    labels = [
        path for path in labels if path.with_suffix(".arrow") not in aside or path.with_suffix(".arrow").is_file()
    ]
    sizes = [_size(path) for path in labels]
    sources = dict(_sources(root, labels))
    task = partial(_check, sources=sources)
    jobs = jobs or cores()
    for place, found in run_jobs(task, labels, labels, sizes, jobs=jobs, label="verify", unit="B", progress=progress):
        fault = found.reason if isinstance(found, Failure) else found
        if fault:
            findings.append(Finding(labels[place].with_suffix(".arrow"), fault))
    return len(labels), sorted(findings, key=lambda finding: str(finding.path))


def _check(path: Path, tick: Tick, *, sources: dict[tuple[str, str], Path]) -> str | None:
    """Return the fault of one packed file, or None."""
    try:
        label = parse_label(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return "its label is damaged"
    pack = path.parent.parent
    arrow = arrow_path(pack, label.stream, label.name)
    if (path.parent.name, path.stem) != (label.stream, label.name):
        return f"its label belongs to {label.stream}/{label.name}"
    if label.version != VERSION:
        return f"packed by another version ({label.version}; this one is {VERSION})"
    if not arrow.is_file():
        return "it is not there"
    if arrow.stat().st_size != label.bytes:
        return f"it has {arrow.stat().st_size:,} bytes, its label says {label.bytes:,}"
    if file_sha256(arrow) != label.sha256:
        return "damaged: its sha256 differs from its label"
    _open(pack, label)
    source = sources.get((label.stream, label.name))
    if source is not None and label.source != (pictures_digest if source.is_dir() else video_digest)(source):
        return f"{source} has changed since it was packed"
    return None


def _open(pack: Path, label: Label) -> None:
    if label.stream == "audio":
        Samples(pack, label)
    else:
        Pictures(pack, label)


def _size(path: Path) -> int:
    arrow = path.with_suffix(".arrow")
    return arrow.stat().st_size if arrow.is_file() else 1


def _sources(root: Path, labels: Sequence[Path]) -> Iterator[tuple[tuple[str, str], Path]]:
    """Yield (stream, name) and the source of each file, if the source still exists."""
    kinds = {path.parent.name for path in labels}
    for stream in kinds:
        try:
            for item in plan(root, [stream]):
                yield from ((wanted, item.path) for wanted in item.wanted)
        except UserError:  # the folder has no data for this stream any more
            continue
